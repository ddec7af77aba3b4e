import RoostWebSocket
import Testing

/// Limits at n - 1, n and n + 1, and that they strike before anything is gathered.
@Suite struct FrameDecoderLimitTests {
    static let limits = [0, 1, 125, 126, 1_000, 65_535, 65_536]

    @Test("a message in one frame: at the limit accepted, one byte above refused", arguments: limits, [-1, 0, 1])
    func limitsWholeMessages(limit: Int, difference: Int) {
        let byteCount = limit + difference
        guard byteCount >= 0 else { return }
        let payload = [UInt8](repeating: 0x61, count: byteCount)
        let expected: Received =
            byteCount <= limit
            ? .message(.text, payload)
            : .failure(.messageTooBig(byteCount: UInt64(byteCount), limit: UInt64(limit)))
        #expect(receive(WireFrame(opcode: 0x1, payload: payload).bytes, messageByteCountMax: limit) == [expected])
    }

    @Test("a fragmented message: the sum counts", arguments: [-1, 0, 1], [0, 1, 50, 99, 100])
    func limitsFragmentedMessages(difference: Int, firstByteCount: Int) {
        let lastByteCount = 100 + difference - firstByteCount
        guard lastByteCount >= 0 else { return }
        let stream =
            WireFrame(opcode: 0x2, isFinal: false, payload: [UInt8](repeating: 1, count: firstByteCount)).bytes
            + WireFrame(opcode: 0x0, payload: [UInt8](repeating: 1, count: lastByteCount)).bytes
        let expected: Received =
            difference <= 0
            ? .message(.binary, [UInt8](repeating: 1, count: 100 + difference))
            : .failure(.messageTooBig(byteCount: 101, limit: 100))
        #expect(receive(stream, messageByteCountMax: 100) == [expected])
    }

    @Test("the sum starts anew with each message")
    func countsEachMessageAlone() {
        let message =
            WireFrame(opcode: 0x2, isFinal: false, payload: [1, 2, 3]).bytes
            + WireFrame(opcode: 0x0, payload: [4, 5]).bytes
        let expected = Received.message(.binary, [1, 2, 3, 4, 5])
        #expect(receive(message + message + message, messageByteCountMax: 5) == [expected, expected, expected])
    }

    @Test(
        "a length beyond the limit is refused from the header, before any payload",
        arguments: [UInt64(1_001), 65_536, 1 << 32, UInt64(Int64.max)])
    func refusesFromTheHeader(claimed: UInt64) {
        let frame = WireFrame(opcode: 0x2, claimedByteCount: claimed)
        #expect(
            receive(frame.bytes, messageByteCountMax: 1_000)
                == [.failure(.messageTooBig(byteCount: claimed, limit: 1_000))])
    }

    @Test("lengths whose sum overflows are refused")
    func refusesSumsThatOverflow() {
        let stream =
            WireFrame(opcode: 0x2, isFinal: false, payload: [1]).bytes
            + WireFrame(opcode: 0x0, claimedByteCount: UInt64(Int64.max)).bytes
        let expected = Received.failure(.messageTooBig(byteCount: 1 << 63, limit: UInt64(Int64.max)))
        #expect(receive(stream, messageByteCountMax: Int.max) == [expected])
    }

    @Test("the largest length is accepted where the limit allows it")
    func acceptsTheLargestLength() {
        var decoder = FrameDecoder(role: .server, messageByteCountMax: Int.max)
        var header = WireFrame(opcode: 0x2, claimedByteCount: UInt64(Int64.max)).bytes
        let event = decoder.decode(array: &header)
        let expected = FrameDecoder.Event.chunk(
            kind: .binary, payloadOffset: 14, payloadByteCount: 0, frameRemainingByteCount: Int.max,
            isEndOfMessage: false, isCompressed: false)
        #expect(event == expected)
    }

    @Test("control frames do not count towards a message")
    func controlFramesDoNotCount() {
        let stream =
            WireFrame(opcode: 0x2, isFinal: false, payload: [1, 2]).bytes
            + WireFrame(opcode: 0x9, payload: [UInt8](repeating: 7, count: 125)).bytes
            + WireFrame(opcode: 0x0, payload: [3]).bytes
        #expect(receive(stream, messageByteCountMax: 3).last == .message(.binary, [1, 2, 3]))
    }

    @Test("empty fragments cannot go on for ever", arguments: [UInt32(1), 2, 10], [-1, 0, 1])
    func limitsFragments(limit: UInt32, difference: Int) {
        let frameCount = Int(limit) + difference
        guard frameCount >= 1 else { return }
        var receiver = Receiver(fragmentCountMax: limit)
        for index in 0..<frameCount {
            receiver.feed(WireFrame(opcode: index == 0 ? 0x2 : 0x0, isFinal: index == frameCount - 1).bytes)
        }
        let expected: Received = difference <= 0 ? .message(.binary, []) : .failure(.tooManyFragments(limit: limit))
        #expect(receiver.received == [expected])
    }

    @Test("fragments are counted anew with each message")
    func countsFragmentsOfEachMessage() {
        var receiver = Receiver(fragmentCountMax: 2)
        for _ in 0..<5 {
            receiver.feed(WireFrame(opcode: 0x2, isFinal: false).bytes + WireFrame(opcode: 0x0).bytes)
        }
        #expect(receiver.received == Array(repeating: .message(.binary, []), count: 5))
    }
}
