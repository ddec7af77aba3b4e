/// The header of a frame (RFC 6455 §5.2). Exists only if it obeys every rule that needs no knowledge of other frames.
struct FrameHeader {
    let opcode: Opcode
    let isFinal: Bool
    let payloadByteCount: Int
    let key: MaskingKey
    /// Bytes of the header itself, masking key included.
    let byteCount: Int

    enum Outcome {
        case header(FrameHeader)
        case needsMoreBytes
        case failure(FrameError)
    }

    /// Reads the header at the start of `bytes`. What is wrong with its first two bytes is told before it is whole.
    @inline(__always)
    static func read(_ bytes: UnsafeMutableRawBufferPointer, role: FrameRole) -> Outcome {
        guard let base = bytes.baseAddress, bytes.count >= 1 else { return .needsMoreBytes }
        // Safe: every load of this function lies below `bytes.count`, which is compared first.
        let first = unsafe base.load(as: UInt8.self)
        guard first & 0x70 & ~reservedBitsAllowed == 0 else { return .failure(.reservedBits(first >> 4 & 0x7)) }
        guard let opcode = Opcode(rawValue: first & 0x0F) else { return .failure(.reservedOpcode(first & 0x0F)) }
        let isFinal = first & 0x80 != 0
        guard isFinal || !opcode.isControl else { return .failure(.fragmentedControlFrame(control(opcode))) }

        guard bytes.count >= 2 else { return .needsMoreBytes }
        let second = unsafe base.load(fromByteOffset: 1, as: UInt8.self)
        let isMasked = second & 0x80 != 0
        guard isMasked == (role == .server) else {
            return .failure(role == .server ? .unmaskedClientFrame : .maskedServerFrame)
        }
        let lengthCode = second & 0x7F
        guard lengthCode <= 125 || !opcode.isControl else { return .failure(.longControlFrame(control(opcode))) }

        let keyByteCount = isMasked ? 4 : 0
        let lengthEnd = lengthCode <= 125 ? 2 : lengthCode == 126 ? 4 : 10
        guard bytes.count >= lengthEnd &+ keyByteCount else { return .needsMoreBytes }
        var payloadByteCount = Int(lengthCode)
        if lengthCode > 125 {
            switch unsafe extendedLength(base, code: lengthCode) {
            case .success(let byteCount): payloadByteCount = byteCount
            case .failure(let error): return .failure(error)
            }
        }
        let key = isMasked ? unsafe base.loadUnaligned(fromByteOffset: lengthEnd, as: UInt32.self).littleEndian : 0
        return .header(
            FrameHeader(
                opcode: opcode, isFinal: isFinal, payloadByteCount: payloadByteCount, key: MaskingKey(bits: key),
                byteCount: lengthEnd &+ keyByteCount))
    }

    /// Bits of the first byte that a negotiated extension has given a meaning. The one place to change for
    /// permessage-deflate, which will admit RSV1 (0x40) on the first frame of a message (RFC 7692 §6).
    private static var reservedBitsAllowed: UInt8 { 0 }

    /// The 16-bit or 64-bit length that follows the second byte.
    private static func extendedLength(_ base: UnsafeRawPointer, code: UInt8) -> Result<Int, FrameError> {
        // Safe: the caller has the whole header.
        if code == 126 {
            let byteCount = unsafe UInt16(bigEndian: base.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
            guard byteCount > 125 else { return .failure(.nonMinimalLength(byteCount: UInt64(byteCount))) }
            return .success(Int(byteCount))
        }
        let byteCount = unsafe UInt64(bigEndian: base.loadUnaligned(fromByteOffset: 2, as: UInt64.self))
        guard byteCount >> 63 == 0 else { return .failure(.lengthBeyond63Bits) }
        guard byteCount > 65_535 else { return .failure(.nonMinimalLength(byteCount: byteCount)) }
        return .success(Int(byteCount))
    }

    /// The kind of a control frame's opcode.
    private static func control(_ opcode: Opcode) -> ControlKind {
        guard let kind = ControlKind(rawValue: opcode.rawValue) else {
            preconditionFailure("FrameHeader.control: \(opcode) is not a control opcode")
        }
        return kind
    }
}
