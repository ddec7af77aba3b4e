import RoostWebSocket
import Testing

/// RFC 7692 §6: where RSV1 may stand, and what it means.
@Suite struct FrameDecoderCompressionTests {
    /// Not UTF-8: a decoder that looked at it as text would refuse it.
    static let data: [UInt8] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]

    static func frame(_ opcode: UInt8, isFinal: Bool = true, bits: UInt8 = 0, _ payload: [UInt8]) -> [UInt8] {
        WireFrame(opcode: opcode, isFinal: isFinal, reservedBits: bits, payload: payload).bytes
    }

    @Test("RFC 7692 §6.1: RSV1 on the first frame of a message says that it is compressed", arguments: 1...20)
    func takesCompressedMessages(pieceByteCount: Int) {
        let stream =
            Self.frame(0x1, bits: 4, Self.data) + Self.frame(0x2, bits: 4, Self.data) + Self.frame(0x1, [0x61])
            + Self.frame(0x1, isFinal: false, bits: 4, Array(Self.data.prefix(3))) + Self.frame(0x9, [1])
            + Self.frame(0x0, isFinal: false, []) + Self.frame(0x0, Array(Self.data.dropFirst(3)))
            + Self.frame(0x1, isFinal: false, [0xC3]) + Self.frame(0x0, [0xA9]) + Self.frame(0x2, [0xFF])
        var receiver = Receiver(allowsCompression: true)
        for start in stride(from: 0, to: stream.count, by: pieceByteCount) {
            receiver.feed(stream[start..<min(start + pieceByteCount, stream.count)])
        }
        let expected: [Received] = [
            .compressed(.text, Self.data), .compressed(.binary, Self.data), .message(.text, [0x61]),
            .control(.ping, [1]), .compressed(.text, Self.data), .message(.text, [0xC3, 0xA9]),
            .message(.binary, [0xFF]),
        ]
        #expect(receiver.received == expected)
    }

    @Test("RFC 7692 §6.1: any other reserved bit, and RSV1 on any other frame, is refused", arguments: UInt8(0)...15)
    func refusesOtherBits(opcode: UInt8) {
        for bits in UInt8(1)...7 where !(bits == 4 && (opcode == 1 || opcode == 2)) {
            for isFinal in [true, false] {
                let frame = Self.frame(opcode, isFinal: isFinal, bits: bits, [])
                let expected: [Received] = [.failure(.reservedBits(bits))]
                #expect(receive(frame, allowsCompression: true) == expected)
                #expect(receive([frame[0]], allowsCompression: true) == expected, "told before the header is whole")
                #expect(FrameError.reservedBits(bits).closeCode == .protocolError)
            }
        }
    }

    @Test("RFC 7692 §6.1: RSV1 on a continuation is refused, whether the message is compressed or not")
    func refusesBitsOnContinuations() {
        for bits: UInt8 in [0, 4] {
            let stream = Self.frame(0x1, isFinal: false, bits: bits, []) + Self.frame(0x0, bits: 4, [0x61])
            #expect(receive(stream, allowsCompression: true) == [.failure(.reservedBits(4))])
        }
    }

    @Test("RFC 6455 §5.2: RSV1 is refused where compression was not agreed on", arguments: [FrameRole.server, .client])
    func refusesCompressionThatWasNotAgreedOn(role: FrameRole) {
        for opcode: UInt8 in [1, 2] {
            let mask: [UInt8]? = role == .server ? [1, 2, 3, 4] : nil
            let frame = WireFrame(opcode: opcode, reservedBits: 4, mask: mask, payload: Self.data).bytes
            #expect(receive(frame, role: role) == [.failure(.reservedBits(4))])
            let kind: MessageKind = opcode == 1 ? .text : .binary
            #expect(receive(frame, role: role, allowsCompression: true) == [.compressed(kind, Self.data)])
        }
    }

    @Test("RFC 6455 §8.1: text that is not compressed is validated as ever")
    func validatesPlainText() {
        let compressed = Self.frame(0x1, bits: 4, Self.data)
        let whole = receive(compressed + Self.frame(0x1, [0xFF]), allowsCompression: true)
        #expect(whole == [.compressed(.text, Self.data), .failure(.textNotUTF8)])
        let start = Self.frame(0x1, isFinal: false, bits: 4, Self.data) + Self.frame(0x0, [])
        let fragments = receive(start + Self.frame(0x1, isFinal: false, [0xFF]), allowsCompression: true)
        #expect(fragments == [.compressed(.text, Self.data), .failure(.textNotUTF8)])
    }

    @Test("RFC 6455 §10.4: a compressed message is bounded as it is sent, in one frame or several", arguments: -1...1)
    func boundsWireSize(difference: Int) {
        let limit = FrameDecoder.compressedByteCountMax(100)
        let payload = [UInt8](repeating: 0xFF, count: limit - 50 + difference)
        let rest = [UInt8](repeating: 0xFE, count: 50)
        let whole = receive(
            Self.frame(0x2, bits: 4, payload + rest), messageByteCountMax: 100, allowsCompression: true)
        let fragments = receive(
            Self.frame(0x2, isFinal: false, bits: 4, payload) + Self.frame(0x0, rest), messageByteCountMax: 100,
            allowsCompression: true)
        let expected: Received =
            difference <= 0
            ? .compressed(.binary, payload + rest) : .failure(.messageTooBig(byteCount: UInt64(limit) + 1, limit: 100))
        #expect(whole == [expected])
        #expect(fragments == [expected])
    }

    @Test("streams without compression decode as the reference does where it is allowed", arguments: UInt64(0)..<20)
    func agreesWithReference(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let stream = RandomStream(role: .server, messageCount: 8, using: &generator).bytes
        var reference = ReferenceDecoder(role: .server, messageByteCountMax: 1 << 20)
        var receiver = Receiver(allowsCompression: true)
        for piece in stream.randomPieces(using: &generator) { receiver.feed(piece) }
        #expect(receiver.received == reference.decode(stream))
    }
}
