import RoostWebSocket
import Testing

@Suite struct FrameEncoderTests {
    static let byteCounts = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]

    @Test("RFC 6455 §5.2: frames have the shortest header and are written byte for byte", arguments: byteCounts)
    func writesFrames(payloadByteCount: Int) {
        let payload = (0..<payloadByteCount).map { UInt8(truncatingIfNeeded: $0) }
        for opcode in [Opcode.text, .binary, .continuation] {
            for isFinal in [true, false] {
                let plain = WireFrame(opcode: opcode.rawValue, isFinal: isFinal, mask: nil, payload: payload)
                #expect(encode(opcode, isFinal: isFinal, payload) == plain.bytes)
                let masked = WireFrame(
                    opcode: opcode.rawValue, isFinal: isFinal, mask: [1, 2, 3, 4], payload: payload)
                #expect(encode(opcode, isFinal: isFinal, payload, key: MaskingKey(bits: 0x0403_0201)) == masked.bytes)
            }
        }
    }

    @Test("control frames are written", arguments: [Opcode.close, .ping, .pong], [0, 1, 125])
    func writesControlFrames(opcode: Opcode, payloadByteCount: Int) {
        let payload = [UInt8](repeating: 0x61, count: payloadByteCount)
        #expect(opcode.isControl)
        #expect(encode(opcode, payload) == WireFrame(opcode: opcode.rawValue, mask: nil, payload: payload).bytes)
    }

    @Test("RFC 7692 §6.1: RSV1 marks a compressed message, in whole or first frames", arguments: byteCounts)
    func writesCompressedFrames(payloadByteCount: Int) {
        let payload = (0..<payloadByteCount).map { UInt8(truncatingIfNeeded: $0) }
        for opcode in [Opcode.text, .binary] {
            for isFinal in [true, false] {
                var frame = WireFrame(
                    opcode: opcode.rawValue, isFinal: isFinal, reservedBits: 4, mask: nil, payload: payload)
                #expect(encode(opcode, isFinal: isFinal, isCompressed: true, payload) == frame.bytes)
                frame.mask = [1, 2, 3, 4]
                let masked = encode(
                    opcode, isFinal: isFinal, isCompressed: true, payload, key: MaskingKey(bits: 0x0403_0201))
                #expect(masked == frame.bytes)
            }
        }
    }

    @Test("RFC 7692 §6.1: RSV1 on a control or continuation frame traps: it would be our bug")
    func trapsOnCompressedControlFrames() async {
        await #expect(processExitsWith: .failure) { _ = encode(.continuation, isCompressed: true, []) }
        await #expect(processExitsWith: .failure) { _ = encode(.close, isCompressed: true, []) }
        await #expect(processExitsWith: .failure) { _ = encode(.ping, isCompressed: true, []) }
        await #expect(processExitsWith: .failure) {
            _ = encode(.pong, isCompressed: true, [], key: MaskingKey(bits: 1))
        }
    }

    @Test("a header is never longer than the stated maximum")
    func headerIsBounded() {
        #expect(FrameEncoder.headerByteCount(payloadByteCount: Int.max, isMasked: true) == 14)
        #expect(FrameEncoder.headerByteCountMax == 14)
    }

    @Test("a long control frame traps: it would be our bug")
    func trapsOnLongControlFrame() async {
        await #expect(processExitsWith: .failure) { _ = encode(.ping, [UInt8](repeating: 0, count: 126)) }
    }

    @Test("a fragmented control frame traps")
    func trapsOnFragmentedControlFrame() async {
        await #expect(processExitsWith: .failure) { _ = encode(.pong, isFinal: false, []) }
    }

    @Test("a buffer smaller than the header traps")
    func trapsOnSmallBuffer() async {
        await #expect(processExitsWith: .failure) {
            var buffer: [UInt8] = [0, 0, 0]
            // Safe: it traps before it writes.
            _ = unsafe buffer.withUnsafeMutableBytes {
                unsafe FrameEncoder.writeHeader(.binary, payloadByteCount: 126, to: $0)
            }
        }
    }
}
