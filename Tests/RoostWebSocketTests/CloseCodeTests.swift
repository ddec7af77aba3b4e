import RoostWebSocket
import Testing

@Suite struct CloseCodeTests {
    @Test("RFC 6455 §7.4: of 65,536 codes exactly 2,012 may be sent")
    func validOnWire() {
        let named: Set<UInt16> = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]
        var validCount = 0
        for code in UInt16.min...UInt16.max {
            let isValid = named.contains(code) || code / 1000 == 3 || code / 1000 == 4
            if CloseCode(rawValue: code).isValidOnWire != isValid { Issue.record("\(code) judged wrongly") }
            validCount += CloseCode(rawValue: code).isValidOnWire ? 1 : 0
        }
        #expect(validCount == 2_012)
    }

    @Test("RFC 6455 §7.4.1: codes for the application alone may not be sent")
    func reservedCodes() {
        let reserved: [CloseCode] = [.noStatusReceived, .abnormalClosure, .tlsHandshake]
        #expect(reserved.map(\.rawValue) == [1005, 1006, 1015])
        #expect(reserved.allSatisfy { !$0.isValidOnWire })
    }

    @Test("a description tells number and name")
    func descriptions() {
        #expect(CloseCode.normalClosure.description == "1000 (normal closure)")
        #expect(CloseCode.messageTooBig.description == "1009 (message too big)")
        #expect(CloseCode(rawValue: 3000).description == "3000 (registered)")
        #expect(CloseCode(rawValue: 4999).description == "4999 (private)")
        #expect(CloseCode(rawValue: 999).description == "999 (unassigned)")
        #expect(CloseCode(rawValue: 1004).description == "1004 (unassigned)")
    }

    @Test("every refusal has a valid code and names RFC 6455 or RFC 7692")
    func frameErrors() {
        let errors: [(FrameError, UInt16)] = [
            (.reservedBits(4), 1002), (.reservedOpcode(3), 1002), (.fragmentedControlFrame(.ping), 1002),
            (.longControlFrame(.close), 1002), (.unmaskedClientFrame, 1002), (.maskedServerFrame, 1002),
            (.nonMinimalLength(byteCount: 5), 1002), (.lengthBeyond63Bits, 1002), (.continuationWithoutStart, 1002),
            (.messageInsideMessage(.text), 1002), (.messageTooBig(byteCount: 11, limit: 10), 1009),
            (.tooManyFragments(limit: 9), 1009), (.textNotUTF8, 1007), (.closePayloadOfOneByte, 1002),
            (.compressedDataInvalid, 1007), (.closeCodeNotAllowed(1005), 1002), (.closeReasonNotUTF8, 1007),
            (.alreadyFailed, 1002),
        ]
        for (error, code) in errors {
            #expect(error.closeCode.rawValue == code, "\(error)")
            #expect(error.description.contains(/\(RFC (6455|7692) §/), "\(error)")
        }
        #expect(FrameError.reservedBits(4).description.contains("0b100"))
        #expect(FrameError.reservedOpcode(11).description.contains("0xb"))
        #expect(
            FrameError.messageTooBig(byteCount: 11, limit: 10).description
                == "message of at least 11 bytes; raise the message limit (now 10) to accept it (RFC 6455 §10.4)")
    }
}
