import RoostWebSocket
import Testing

/// RFC 6455 §8.1: text is UTF-8, and what is not is refused as early as can be.
@Suite struct FrameDecoderTextTests {
    /// Greek text, then the byte pair of a surrogate, then more: Autobahn's cases 6.4.
    static let valid: [UInt8] = Array("κόσμε".utf8)
    static let invalid: [UInt8] = [0xF4, 0x90, 0x80, 0x80]
    static let rest: [UInt8] = Array("edited".utf8)

    @Test("invalid text in one frame is refused", arguments: [0, 1, 31, 32, 33, 63, 64, 100, 1_000])
    func refusesInvalidText(prefixByteCount: Int) {
        let payload = [UInt8](repeating: 0x61, count: prefixByteCount) + Self.invalid
        #expect(receive(WireFrame(opcode: 0x1, payload: payload).bytes) == [.failure(.textNotUTF8)])
        #expect(receive(WireFrame(opcode: 0x2, payload: payload).bytes) == [.message(.binary, payload)])
    }

    @Test("an invalid byte in the middle of a frame is refused when it arrives, not at the end of the frame")
    func refusesInsideAFrame() {
        let frame = WireFrame(opcode: 0x1, payload: Self.valid + Self.invalid + Self.rest)
        var receiver = Receiver()
        let validEnd = frame.headerByteCount + Self.valid.count
        receiver.feed(frame.bytes[..<(validEnd + 1)])
        #expect(receiver.received.isEmpty, "0xF4 may still become a character")
        receiver.feed(frame.bytes[(validEnd + 1)..<(validEnd + 2)])
        #expect(receiver.received == [.failure(.textNotUTF8)], "0xF4 0x90 is above U+10FFFF")
    }

    @Test("an invalid byte in a fragment is refused before the message ends")
    func refusesInsideAMessage() {
        var receiver = Receiver()
        receiver.feed(WireFrame(opcode: 0x1, isFinal: false, payload: Self.valid).bytes)
        #expect(receiver.received.isEmpty)
        receiver.feed(WireFrame(opcode: 0x0, isFinal: false, payload: Self.invalid).bytes)
        #expect(receiver.received == [.failure(.textNotUTF8)])
    }

    @Test("a character may be split between fragments, everywhere")
    func acceptsCharactersSplitBetweenFragments() {
        let payload = Array("aé€😀z".utf8)
        for first in 0...payload.count {
            for second in first...payload.count {
                let stream =
                    WireFrame(opcode: 0x1, isFinal: false, payload: Array(payload[..<first])).bytes
                    + WireFrame(opcode: 0x0, isFinal: false, payload: Array(payload[first..<second])).bytes
                    + WireFrame(opcode: 0x0, payload: Array(payload[second...])).bytes
                #expect(receive(stream) == [.message(.text, payload)])
            }
        }
    }

    @Test("text that ends inside a character is refused", arguments: ["é", "€", "😀"])
    func refusesTruncatedText(character: String) {
        let whole = Array(character.utf8)
        for byteCount in 1..<whole.count {
            let payload = Array("ab".utf8) + whole.prefix(byteCount)
            #expect(receive(WireFrame(opcode: 0x1, payload: payload).bytes) == [.failure(.textNotUTF8)])
            let fragments =
                WireFrame(opcode: 0x1, isFinal: false, payload: payload).bytes + WireFrame(opcode: 0x0).bytes
            #expect(receive(fragments) == [.failure(.textNotUTF8)])
            var receiver = Receiver()
            for byte in WireFrame(opcode: 0x1, payload: payload).bytes { receiver.feed([byte]) }
            #expect(receiver.received == [.failure(.textNotUTF8)])
        }
    }

    @Test("a truncated message leaves nothing behind for the next one")
    func startsEachMessageAnew() {
        let stream =
            WireFrame(opcode: 0x2, isFinal: false, payload: [0xE2, 0x82]).bytes + WireFrame(opcode: 0x0).bytes
            + WireFrame(opcode: 0x1, isFinal: false, payload: [0x61]).bytes
            + WireFrame(opcode: 0x0, payload: [0x62]).bytes
        #expect(receive(stream) == [.message(.binary, [0xE2, 0x82]), .message(.text, [0x61, 0x62])])
    }

    @Test("control frames carry any bytes, also inside a text")
    func doesNotValidateControlFrames() {
        let stream =
            WireFrame(opcode: 0x1, isFinal: false, payload: [0xC3]).bytes
            + WireFrame(opcode: 0x9, payload: [0xFF, 0xC3]).bytes + WireFrame(opcode: 0x0, payload: [0xA9]).bytes
        #expect(receive(stream) == [.control(.ping, [0xFF, 0xC3]), .message(.text, [0xC3, 0xA9])])
    }
}
