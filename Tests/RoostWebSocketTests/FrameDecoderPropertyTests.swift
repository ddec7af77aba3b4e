import RoostWebSocket
import Testing

/// However the bytes arrive, they mean the same.
@Suite struct FrameDecoderPropertyTests {
    /// A message in three frames with control frames between, then whole messages and a close.
    static func sampleStream(_ role: FrameRole) -> [UInt8] {
        let mask: [UInt8]? = role == .server ? [0xA1, 0x5B, 0x07, 0xF0] : nil
        let long = [UInt8](repeating: 0x62, count: 130)
        return [
            WireFrame(opcode: 0x1, isFinal: false, mask: mask, payload: Array("aé€".utf8.dropLast(2))),
            WireFrame(opcode: 0x9, mask: mask, payload: [1, 2, 3]),
            WireFrame(opcode: 0x0, isFinal: false, mask: mask),
            WireFrame(opcode: 0x0, mask: mask, payload: Array("€".utf8.dropFirst())),
            WireFrame(opcode: 0x2, mask: mask, payload: long),
            WireFrame(opcode: 0x1, mask: mask),
            WireFrame(opcode: 0x8, mask: mask, payload: [0x03, 0xE8]),
        ].flatMap(\.bytes)
    }

    static let sampleMeaning: [Received] = [
        .control(.ping, [1, 2, 3]), .message(.text, Array("aé€".utf8)),
        .message(.binary, [UInt8](repeating: 0x62, count: 130)), .message(.text, []), .control(.close, [0x03, 0xE8]),
    ]

    @Test("every split into two pieces, and byte by byte", arguments: [FrameRole.server, .client])
    func anySplitMeansTheSame(role: FrameRole) {
        let stream = Self.sampleStream(role)
        for split in 0...stream.count {
            var receiver = Receiver(role: role)
            receiver.feed(stream[..<split])
            receiver.feed(stream[split...])
            #expect(receiver.received == Self.sampleMeaning, "split at \(split)")
            #expect(receiver.unconsumed.isEmpty)
        }
        var receiver = Receiver(role: role)
        for byte in stream { receiver.feed([byte]) }
        #expect(receiver.received == Self.sampleMeaning)
    }

    @Test("every split into three pieces")
    func anyTwoSplitsMeanTheSame() {
        let stream = Array(Self.sampleStream(.server).prefix(60))
        let expected = receive(stream)
        #expect(expected.count == 2)
        for first in 0...stream.count {
            for second in first...stream.count {
                var receiver = Receiver()
                receiver.feed(stream[..<first])
                receiver.feed(stream[first..<second])
                receiver.feed(stream[second...])
                #expect(receiver.received == expected, "split at \(first) and \(second)")
            }
        }
    }

    @Test(
        "the rest of a large frame can be read straight into the caller's own buffer",
        arguments: [1, 3, 64, 999, 5_000])
    func decodesPurePayload(pieceByteCount: Int) throws {
        let payload = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 31) & 0x7F }
        let frame = WireFrame(opcode: 0x1, payload: payload).bytes
        var decoder = FrameDecoder(role: .server, messageByteCountMax: 1 << 20)
        var head = Array(frame.prefix(100))
        let first = decoder.decode(array: &head)
        let expected = FrameDecoder.Event.chunk(
            kind: .text, payloadOffset: 14, payloadByteCount: 86, frameRemainingByteCount: payload.count - 86,
            isEndOfMessage: false, isCompressed: false)
        try #require(first == expected)

        var buffer = Array(frame.dropFirst(100))
        var offset = 0
        while offset < buffer.count {
            let end = min(offset + pieceByteCount, buffer.count)
            // Safe: the piece lies within the buffer.
            let event = unsafe buffer.withUnsafeMutableBytes {
                unsafe decoder.decode(UnsafeMutableRawBufferPointer(rebasing: $0[offset..<end]))
            }
            let piece = FrameDecoder.Event.chunk(
                kind: .text, payloadOffset: 0, payloadByteCount: end - offset,
                frameRemainingByteCount: buffer.count - end, isEndOfMessage: end == buffer.count, isCompressed: false)
            try #require(event == piece)
            offset = end
        }
        #expect(Array(head.dropFirst(14)) + buffer == payload)
    }

    @Test("random valid streams in random pieces decode as the reference does", arguments: UInt64(0)..<60)
    func validStreamsAgreeWithReference(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let role: FrameRole = Bool.random(using: &generator) ? .server : .client
        let stream = RandomStream(role: role, messageCount: 12, using: &generator).bytes
        var reference = ReferenceDecoder(role: role, messageByteCountMax: 1 << 20)
        let expected = reference.decode(stream)
        #expect(expected.count >= 12)
        for _ in 0..<2 {
            var receiver = Receiver(role: role)
            for piece in stream.randomPieces(using: &generator) { receiver.feed(piece) }
            #expect(receiver.received == expected)
        }
    }

    @Test("streams with a damaged byte decode as the reference does, refusal included", arguments: UInt64(0)..<300)
    func damagedStreamsAgreeWithReference(seed: UInt64) {
        var generator = SeededGenerator(seed: seed &+ 10_000)
        let role: FrameRole = Bool.random(using: &generator) ? .server : .client
        var stream = Array(RandomStream(role: role, messageCount: 4, using: &generator).bytes.prefix(2_000))
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
            stream[Int.random(in: stream.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
        }
        var reference = ReferenceDecoder(role: role, messageByteCountMax: 1_500)
        let expected = reference.decode(stream)
        var receiver = Receiver(role: role, messageByteCountMax: 1_500)
        for piece in stream.randomPieces(using: &generator) { receiver.feed(piece) }
        #expect(receiver.received == expected)
    }

    @Test("garbage never traps and agrees with the reference", arguments: UInt64(0)..<500)
    func garbageAgreesWithReference(seed: UInt64) {
        var generator = SeededGenerator(seed: seed &+ 20_000)
        let role: FrameRole = Bool.random(using: &generator) ? .server : .client
        var stream = generator.bytes(count: Int.random(in: 0...300, using: &generator))
        // Half of the time a plausible start, or nearly all garbage ends at its first byte.
        if !stream.isEmpty, Bool.random(using: &generator) { stream[0] &= 0x8F }
        if stream.count > 1, Bool.random(using: &generator) { stream[1] = role == .server ? 0x85 : 0x05 }
        var reference = ReferenceDecoder(role: role, messageByteCountMax: 200)
        let expected = reference.decode(stream)
        var receiver = Receiver(role: role, messageByteCountMax: 200)
        for piece in stream.randomPieces(using: &generator) { receiver.feed(piece) }
        #expect(receiver.received == expected)
    }

    @Test("what the encoder writes the decoder reads", arguments: UInt64(0)..<40)
    func encodedFramesDecode(seed: UInt64) {
        var generator = SeededGenerator(seed: seed &+ 30_000)
        let role: FrameRole = Bool.random(using: &generator) ? .server : .client
        var stream: [UInt8] = []
        var expected: [Received] = []
        for _ in 0..<10 {
            let byteCount = [0, 1, 125, 126, 300, 65_535, 65_536].randomElement(using: &generator)!
            let payload = generator.bytes(count: byteCount)
            let key = role == .server ? MaskingKey(bits: UInt32.random(in: 0...UInt32.max, using: &generator)) : nil
            stream += encode(.binary, payload, key: key)
            expected.append(.message(.binary, payload))
        }
        var receiver = Receiver(role: role)
        for piece in stream.randomPieces(using: &generator) { receiver.feed(piece) }
        #expect(receiver.received == expected)
    }
}
