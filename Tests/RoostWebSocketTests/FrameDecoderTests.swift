import RoostWebSocket
import Testing

/// One rule at a time. Splits, random streams and garbage are in `FrameDecoderPropertyTests`.
@Suite struct FrameDecoderTests {
    @Test("RFC 6455 §5.7: the examples decode as the text says")
    func decodesExamplesOfTheRFC() {
        let hello = Array("Hello".utf8)
        #expect(receive([0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F], role: .client) == [.message(.text, hello)])
        #expect(
            receive([0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]) == [.message(.text, hello)])
        #expect(
            receive([0x01, 0x03, 0x48, 0x65, 0x6C, 0x80, 0x02, 0x6C, 0x6F], role: .client) == [.message(.text, hello)])
        #expect(receive([0x89, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F], role: .client) == [.control(.ping, hello)])
        #expect(
            receive([0x8A, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]) == [.control(.pong, hello)])
        let short = [UInt8](repeating: 0xAB, count: 256)
        #expect(receive([0x82, 0x7E, 0x01, 0x00] + short, role: .client) == [.message(.binary, short)])
        let long = [UInt8](repeating: 0xCD, count: 65_536)
        #expect(receive([0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0] + long, role: .client) == [.message(.binary, long)])
    }

    @Test(
        "a message that lies whole in the bytes is delivered where it lies",
        arguments: [0, 1, 124, 125, 126, 127, 65_535, 65_536, 65_537], [FrameRole.server, .client])
    func deliversWholeMessagesInPlace(payloadByteCount: Int, role: FrameRole) {
        let payload = (0..<payloadByteCount).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let frame = WireFrame(opcode: 0x2, mask: role == .server ? [1, 2, 3, 4] : nil, payload: payload)
        var bytes = frame.bytes + [0x82]
        var decoder = FrameDecoder(role: role, messageByteCountMax: 1 << 20)
        let event = decoder.decode(array: &bytes)
        let offset = frame.headerByteCount
        #expect(
            event
                == .message(
                    kind: .binary, payloadOffset: offset, payloadByteCount: payloadByteCount, isCompressed: false))
        #expect(Array(bytes[offset..<offset + payloadByteCount]) == payload)
        #expect(bytes.last == 0x82)
        #expect(!decoder.isInsideMessage)
    }

    @Test("RFC 6455 §5.2: every reserved bit is refused, on every opcode", arguments: UInt8(1)...7, UInt8(0)...15)
    func refusesReservedBits(bits: UInt8, opcode: UInt8) {
        let frame = WireFrame(opcode: opcode, reservedBits: bits)
        #expect(receive(frame.bytes) == [.failure(.reservedBits(bits))])
    }

    @Test("RFC 6455 §5.2: reserved opcodes are refused", arguments: [UInt8(3), 4, 5, 6, 7, 11, 12, 13, 14, 15])
    func refusesReservedOpcodes(opcode: UInt8) {
        #expect(receive(WireFrame(opcode: opcode).bytes) == [.failure(.reservedOpcode(opcode))])
    }

    @Test("RFC 6455 §5.5: a fragmented control frame is refused", arguments: [ControlKind.close, .ping, .pong])
    func refusesFragmentedControlFrames(kind: ControlKind) {
        let frame = WireFrame(opcode: kind.rawValue, isFinal: false)
        #expect(receive(frame.bytes) == [.failure(.fragmentedControlFrame(kind))])
    }

    @Test(
        "RFC 6455 §5.5: a control frame longer than 125 bytes is refused",
        arguments: [ControlKind.close, .ping, .pong], [124, 125, 126, 127, 65_535, 65_536])
    func refusesLongControlFrames(kind: ControlKind, payloadByteCount: Int) {
        let payload = [UInt8](repeating: 0x61, count: payloadByteCount)
        let expected: Received = payloadByteCount <= 125 ? .control(kind, payload) : .failure(.longControlFrame(kind))
        #expect(receive(WireFrame(opcode: kind.rawValue, payload: payload).bytes) == [expected])
    }

    @Test("RFC 6455 §5.1: unmasked client frames are refused", arguments: [UInt8(0x0), 0x1, 0x2, 0x8, 0x9, 0xA])
    func refusesUnmaskedClientFrames(opcode: UInt8) {
        let frame = WireFrame(opcode: opcode, mask: nil, payload: [1, 2, 3])
        #expect(receive(frame.bytes) == [.failure(.unmaskedClientFrame)])
        #expect(receive(Array(frame.bytes.prefix(2))) == [.failure(.unmaskedClientFrame)])
    }

    @Test("RFC 6455 §5.1: masked server frames are refused", arguments: [UInt8(0x0), 0x1, 0x2, 0x8, 0x9, 0xA])
    func refusesMaskedServerFrames(opcode: UInt8) {
        let frame = WireFrame(opcode: opcode, payload: [1, 2, 3])
        #expect(receive(frame.bytes, role: .client) == [.failure(.maskedServerFrame)])
    }

    @Test("RFC 6455 §5.2: lengths in 16 bits are minimal", arguments: [0, 1, 124, 125, 126, 127, 65_535])
    func refusesNonMinimal16BitLengths(payloadByteCount: Int) {
        let payload = [UInt8](repeating: 0x61, count: payloadByteCount)
        let frame = WireFrame(opcode: 0x2, payload: payload, lengthForm: .bits16)
        let expected: Received =
            payloadByteCount < 126
            ? .failure(.nonMinimalLength(byteCount: UInt64(payloadByteCount))) : .message(.binary, payload)
        #expect(receive(frame.bytes) == [expected])
    }

    @Test("RFC 6455 §5.2: lengths in 64 bits are minimal", arguments: [0, 125, 126, 65_534, 65_535, 65_536])
    func refusesNonMinimal64BitLengths(payloadByteCount: Int) {
        let payload = [UInt8](repeating: 0x61, count: payloadByteCount)
        let frame = WireFrame(opcode: 0x2, payload: payload, lengthForm: .bits64)
        let expected: Received =
            payloadByteCount < 65_536
            ? .failure(.nonMinimalLength(byteCount: UInt64(payloadByteCount))) : .message(.binary, payload)
        #expect(receive(frame.bytes) == [expected])
    }

    @Test("RFC 6455 §5.2: 64-bit lengths with the top bit are refused", arguments: [UInt64(1) << 63, UInt64.max])
    func refusesLengthsWithTopBit(byteCount: UInt64) {
        let frame = WireFrame(opcode: 0x2, lengthForm: .bits64, claimedByteCount: byteCount)
        #expect(receive(frame.bytes) == [.failure(.lengthBeyond63Bits)])
    }

    @Test("RFC 6455 §5.4: a continuation needs a message that it continues", arguments: [true, false])
    func refusesContinuationWithoutStart(isFinal: Bool) {
        let frame = WireFrame(opcode: 0x0, isFinal: isFinal, payload: [1])
        #expect(receive(frame.bytes) == [.failure(.continuationWithoutStart)])
        #expect(
            receive(WireFrame.text("a").bytes + frame.bytes)
                == [.message(.text, [0x61]), .failure(.continuationWithoutStart)])
        let fragmented = WireFrame(opcode: 0x1, isFinal: false, payload: [0x61]).bytes + WireFrame(opcode: 0x0).bytes
        #expect(
            receive(fragmented + frame.bytes) == [.message(.text, [0x61]), .failure(.continuationWithoutStart)])
    }

    @Test("RFC 6455 §5.4: no message inside a message", arguments: [MessageKind.text, .binary], [true, false])
    func refusesMessageInsideMessage(kind: MessageKind, isFinal: Bool) {
        let start = WireFrame(opcode: 0x2, isFinal: false, payload: [1])
        let second = WireFrame(opcode: kind.rawValue, isFinal: isFinal, payload: [0x61])
        #expect(receive(start.bytes + second.bytes) == [.failure(.messageInsideMessage(kind))])
    }

    @Test("RFC 6455 §5.4: control frames may stand between fragments and change nothing")
    func deliversControlFramesBetweenFragments() {
        let stream =
            WireFrame(opcode: 0x1, isFinal: false, payload: [0xE2, 0x82]).bytes
            + WireFrame(opcode: 0x9, mask: [9, 8, 7, 6], payload: [0xFF, 0xFE]).bytes
            + WireFrame(opcode: 0x0, isFinal: false).bytes
            + WireFrame(opcode: 0xA).bytes
            + WireFrame(opcode: 0x0, mask: [5, 5, 5, 5], payload: [0xAC]).bytes
        #expect(
            receive(stream) == [
                .control(.ping, [0xFF, 0xFE]), .control(.pong, []), .message(.text, [0xE2, 0x82, 0xAC]),
            ])
    }

    @Test("a decoder that refused a frame refuses everything after it")
    func staysFailed() {
        var decoder = FrameDecoder(role: .server, messageByteCountMax: 10)
        var bad = WireFrame(opcode: 0x3).bytes
        let refusal = decoder.decode(array: &bad)
        #expect(refusal == .failure(.reservedOpcode(3)))
        var good = WireFrame.text("a").bytes
        let second = decoder.decode(array: &good)
        #expect(second == .failure(.alreadyFailed))
        var none: [UInt8] = []
        let third = decoder.decode(array: &none)
        #expect(third == .failure(.alreadyFailed))
    }

    @Test("a decoder is at most 48 bytes, as one lives in every connection")
    func decoderIsSmall() {
        #expect(MemoryLayout<FrameDecoder>.stride <= 48)
        #expect(MemoryLayout<UTF8Validator>.size <= 8)
    }

    @Test("no bytes: more are needed")
    func needsMoreThanNothing() {
        var decoder = FrameDecoder(role: .server, messageByteCountMax: 10)
        // Safe: the buffer is empty.
        let event = unsafe decoder.decode(UnsafeMutableRawBufferPointer(start: nil, count: 0))
        #expect(event == .needsMoreBytes)
    }
}
