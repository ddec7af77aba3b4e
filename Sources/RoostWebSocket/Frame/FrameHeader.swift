/// The header of a frame (RFC 6455 §5.2). Exists only if it obeys every rule that needs no knowledge of other frames.
struct FrameHeader {
    /// The opcode as sent, never a reserved one, and RSV1 (0x40) above it. Kept as a number: this is read for every
    /// frame, and going through an enum costs two jump tables.
    let opcodeAndRSV1: UInt8
    let isFinal: Bool
    let payloadByteCount: Int
    let key: MaskingKey
    /// Bytes of the header itself, masking key included.
    let byteCount: Int

    @inline(__always)
    var isControl: Bool { opcodeAndRSV1 & 0x8 != 0 }
    @inline(__always)
    var isContinuation: Bool { opcodeAndRSV1 == 0x0 }
    /// True if the message that the frame starts is compressed (RFC 7692 §6).
    @inline(__always)
    var isCompressed: Bool { opcodeAndRSV1 & 0x40 != 0 }
    /// True if the payload is text as it is. One comparison, as it is made for every message.
    @inline(__always)
    var isPlainText: Bool { opcodeAndRSV1 == 0x1 }

    /// The kind of message that a frame which is neither control nor continuation starts.
    @inline(__always)
    var messageKind: MessageKind { opcodeAndRSV1 & 0x0F == 0x1 ? .text : .binary }

    /// The kind of a control frame.
    var controlKind: ControlKind { Self.controlKind(opcodeAndRSV1) }

    enum Outcome {
        case header(FrameHeader)
        case needsMoreBytes
        case failure(FrameError)
    }

    /// Reads the header at the start of `bytes`. What is wrong with its first two bytes is told before it is whole.
    @inline(__always)
    static func read(
        _ bytes: UnsafeMutableRawBufferPointer, role: FrameRole, allowsCompression: Bool
    ) -> Outcome {
        guard let base = bytes.baseAddress, bytes.count >= 1 else { return .needsMoreBytes }
        // Safe: every load of this function lies below `bytes.count`, which is compared first.
        let first = unsafe base.load(as: UInt8.self)
        guard first & 0x70 == 0 || allowsCompression && startsCompressedMessage(first) else {
            return .failure(.reservedBits(first >> 4 & 0x7))
        }
        let opcode = first & 0x0F
        guard definedOpcodes >> UInt16(opcode) & 1 != 0 else { return .failure(.reservedOpcode(opcode)) }
        let isFinal = first & 0x80 != 0
        guard isFinal || opcode & 0x8 == 0 else { return .failure(.fragmentedControlFrame(controlKind(opcode))) }

        guard bytes.count >= 2 else { return .needsMoreBytes }
        let second = unsafe base.load(fromByteOffset: 1, as: UInt8.self)
        let isMasked = second & 0x80 != 0
        guard isMasked == (role == .server) else {
            return .failure(role == .server ? .unmaskedClientFrame : .maskedServerFrame)
        }
        let lengthCode = second & 0x7F
        guard lengthCode <= 125 || opcode & 0x8 == 0 else { return .failure(.longControlFrame(controlKind(opcode))) }

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
                opcodeAndRSV1: first & 0x4F, isFinal: isFinal, payloadByteCount: payloadByteCount,
                key: MaskingKey(bits: key), byteCount: lengthEnd &+ keyByteCount))
    }

    /// RSV1, and neither other reserved bit, on a text or binary frame: permessage-deflate gives it a meaning on the
    /// first frame of a message alone (RFC 7692 §6).
    private static func startsCompressedMessage(_ first: UInt8) -> Bool {
        first & 0x7F == 0x41 || first & 0x7F == 0x42
    }

    /// A bit for each opcode that RFC 6455 §5.2 defines: 0x0 to 0x2 and 0x8 to 0xA.
    private static var definedOpcodes: UInt16 { 0b0000_0111_0000_0111 }

    /// The 16-bit or 64-bit length that follows the second byte.
    @inline(never)
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

    private static func controlKind(_ opcode: UInt8) -> ControlKind {
        switch opcode {
        case 0x8: .close
        case 0x9: .ping
        default: .pong
        }
    }
}
