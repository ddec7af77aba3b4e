import RoostWebSocket

/// A frame written the plainest way, independent of `FrameEncoder`. Every field can be given a wrong value.
struct WireFrame {
    enum LengthForm { case shortest, bits16, bits64 }

    var opcode: UInt8
    var isFinal = true
    var reservedBits: UInt8 = 0
    var mask: [UInt8]? = [0x37, 0xFA, 0x21, 0x3D]
    var payload: [UInt8] = []
    var lengthForm = LengthForm.shortest
    /// Claimed instead of the payload's real size.
    var claimedByteCount: UInt64?

    var bytes: [UInt8] {
        let length = claimedByteCount ?? UInt64(payload.count)
        let maskBit: UInt8 = mask == nil ? 0 : 0x80
        var bytes = [(isFinal ? 0x80 : 0) | reservedBits << 4 | opcode]
        switch lengthForm {
        case .shortest where length < 126: bytes.append(maskBit | UInt8(length))
        case .shortest where length < 65_536, .bits16:
            bytes.append(maskBit | 126)
            bytes += [UInt8(length >> 8 & 0xFF), UInt8(length & 0xFF)]
        case .shortest, .bits64:
            bytes.append(maskBit | 127)
            for shift in [56, 48, 40, 32, 24, 16, 8, 0] { bytes.append(UInt8(length >> UInt64(shift) & 0xFF)) }
        }
        guard let mask else { return bytes + payload }
        return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 % 4] }
    }

    var headerByteCount: Int { bytes.count - payload.count }

    static func text(_ text: String) -> WireFrame { WireFrame(opcode: 0x1, payload: Array(text.utf8)) }
}
