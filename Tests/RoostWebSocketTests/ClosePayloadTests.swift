import RoostWebSocket
import Testing

/// RFC 6455 §5.5.1.
@Suite struct ClosePayloadTests {
    static func parse(_ bytes: [UInt8]) throws(FrameError) -> ClosePayload {
        // A copy at an odd address: nothing may depend on alignment.
        let shifted = [0] + bytes
        let result = unsafe shifted.withUnsafeBytes { buffer -> Result<ClosePayload, FrameError> in
            do throws(FrameError) {
                // Safe: the buffer is used during the call only.
                return .success(unsafe try ClosePayload(parsing: UnsafeRawBufferPointer(rebasing: buffer[1...])))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    static func write(_ payload: ClosePayload) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xEE, count: 125)
        // Safe: the buffer is used during the call only.
        let byteCount = unsafe bytes.withUnsafeMutableBytes { unsafe FrameEncoder.writeClosePayload(payload, to: $0) }
        #expect(bytes[byteCount...].allSatisfy { $0 == 0xEE })
        return Array(bytes[..<byteCount])
    }

    @Test("no payload: no code, reported as 1005")
    func emptyPayload() throws {
        let payload = try Self.parse([])
        #expect(payload == .empty)
        #expect(payload.code == nil)
        #expect(payload.reportedCode == .noStatusReceived)
        #expect(payload.reply == .empty)
    }

    @Test("one byte is refused", arguments: [UInt8(0), 3, 255])
    func oneByte(byte: UInt8) {
        #expect(throws: FrameError.closePayloadOfOneByte) { try Self.parse([byte]) }
    }

    @Test("every code is judged as the table of codes says")
    func everyCode() {
        for code in UInt16.min...UInt16.max {
            let parsed = try? Self.parse([UInt8(code >> 8), UInt8(code & 0xFF)])
            let expected = CloseCode(rawValue: code).isValidOnWire ? CloseCode(rawValue: code) : nil
            if parsed?.code != expected { Issue.record("\(code) judged wrongly") }
        }
        #expect(throws: FrameError.closeCodeNotAllowed(1005)) { try Self.parse([0x03, 0xED]) }
    }

    @Test("the reason is text of up to 123 bytes")
    func reason() throws {
        let text = String(repeating: "é", count: 61) + "a"
        let payload = try Self.parse([0x03, 0xE8] + Array(text.utf8))
        #expect(payload == ClosePayload(code: .normalClosure, reason: text))
        #expect(payload.reply == ClosePayload(code: .normalClosure))
        #expect(payload.reportedCode == .normalClosure)
    }

    @Test(
        "a reason that is not UTF-8 is refused", arguments: [[0xFF], [0x61, 0xC3], [0xED, 0xA0, 0x80]] as [[UInt8]])
    func reasonNotUTF8(reason: [UInt8]) {
        #expect(throws: FrameError.closeReasonNotUTF8) { try Self.parse([0x03, 0xE8] + reason) }
    }

    @Test("what is written is read back", arguments: [0, 1, 122, 123])
    func roundTrip(reasonByteCount: Int) throws {
        let payload = ClosePayload(
            code: CloseCode(rawValue: 4_321), reason: String(repeating: "x", count: reasonByteCount))
        let bytes = Self.write(payload)
        #expect(bytes.count == 2 + reasonByteCount)
        #expect(try Self.parse(bytes) == payload)
        #expect(Self.write(.empty) == [])
    }

    @Test("a longer reason is cut after a whole character", arguments: ["a", "é", "€", "😀"], 0...3)
    func cutsLongReasons(character: String, prefixByteCount: Int) throws {
        let reason = String(repeating: "-", count: prefixByteCount) + String(repeating: character, count: 124)
        let bytes = Self.write(ClosePayload(code: .goingAway, reason: reason))
        let payload = try Self.parse(bytes)
        #expect(reason.hasPrefix(payload.reason))
        #expect(bytes.count <= 125)
        #expect(bytes.count > 125 - character.utf8.count)
    }

    @Test("a code that may not be sent traps: it would be our bug")
    func trapsOnInvalidCode() async {
        await #expect(processExitsWith: .failure) { _ = Self.write(ClosePayload(code: .noStatusReceived)) }
    }
}
