import RoostWebSocket

/// RFC 6455 §5 said as plainly as possible: a whole stream in, what it means out. Slow and independent of the
/// decoder under test; text is judged by the standard library.
struct ReferenceDecoder {
    let role: FrameRole
    let messageByteCountMax: Int
    private var results: [Received] = []
    private var open: (kind: MessageKind, payload: [UInt8])?

    init(role: FrameRole, messageByteCountMax: Int) {
        self.role = role
        self.messageByteCountMax = messageByteCountMax
    }

    mutating func decode(_ stream: [UInt8]) -> [Received] {
        var rest = stream[...]
        do {
            while let frameByteCount = try frame(rest) { rest = rest.dropFirst(frameByteCount) }
        } catch {
            results.append(.failure(error))
        }
        return results
    }

    /// Handles the frame at the start of `bytes`; nil if it is not whole.
    private mutating func frame(_ bytes: ArraySlice<UInt8>) throws(FrameError) -> Int? {
        let bytes = Array(bytes)
        guard let first = bytes.first else { return nil }
        if first & 0x70 != 0 { throw .reservedBits(first >> 4 & 7) }
        let opcode = first & 0x0F
        guard [0, 1, 2, 8, 9, 10].contains(opcode) else { throw .reservedOpcode(opcode) }
        let control = ControlKind(rawValue: opcode)
        if let control, first & 0x80 == 0 { throw .fragmentedControlFrame(control) }
        guard bytes.count >= 2 else { return nil }
        let isMasked = bytes[1] & 0x80 != 0
        if role == .server, !isMasked { throw .unmaskedClientFrame }
        if role == .client, isMasked { throw .maskedServerFrame }
        let code = bytes[1] & 0x7F
        if let control, code > 125 { throw .longControlFrame(control) }
        let lengthByteCount = code < 126 ? 0 : code == 126 ? 2 : 8
        let headerByteCount = 2 + lengthByteCount + (isMasked ? 4 : 0)
        guard bytes.count >= headerByteCount else { return nil }
        var length = UInt64(code)
        if lengthByteCount > 0 {
            length = bytes[2..<2 + lengthByteCount].reduce(0) { $0 << 8 | UInt64($1) }
            if length >> 63 == 1 { throw .lengthBeyond63Bits }
            if length < (code == 126 ? 126 : 65_536) { throw .nonMinimalLength(byteCount: length) }
        }
        try check(opcode, length)
        let available = min(bytes.count - headerByteCount, Int(length))
        let mask = isMasked ? Array(bytes[headerByteCount - 4..<headerByteCount]) : [0, 0, 0, 0]
        let payload = (0..<available).map { bytes[headerByteCount + $0] ^ mask[$0 % 4] }
        let isWhole = available == Int(length)
        if let control {
            if isWhole { results.append(.control(control, payload)) }
        } else {
            try append(opcode, payload, isEnd: isWhole && first & 0x80 != 0)
        }
        return isWhole ? headerByteCount + available : nil
    }

    private func check(_ opcode: UInt8, _ length: UInt64) throws(FrameError) {
        if opcode >= 8 { return }
        if opcode == 0, open == nil { throw .continuationWithoutStart }
        if opcode != 0, open != nil { throw .messageInsideMessage(opcode == 1 ? .text : .binary) }
        let total = UInt64(open?.payload.count ?? 0) + length
        if total > UInt64(messageByteCountMax) {
            throw .messageTooBig(byteCount: total, limit: UInt64(messageByteCountMax))
        }
    }

    private mutating func append(_ opcode: UInt8, _ payload: [UInt8], isEnd: Bool) throws(FrameError) {
        let kind = open?.kind ?? (opcode == 1 ? .text : .binary)
        let whole = (open?.payload ?? []) + payload
        if kind == .text, !(isEnd ? isUTF8(whole) : canBecomeUTF8(whole)) { throw .textNotUTF8 }
        open = isEnd ? nil : (kind, whole)
        if isEnd { results.append(.message(kind, whole)) }
    }
}

/// The standard library's opinion.
func isUTF8(_ bytes: some Collection<UInt8>) -> Bool { String(validating: bytes, as: UTF8.self) != nil }

/// True if some text that the standard library accepts starts with `bytes`.
func canBecomeUTF8(_ bytes: [UInt8]) -> Bool {
    if isUTF8(bytes) { return true }
    // Enough to complete any character: the ends and the borders of the ranges in RFC 3629 §4.
    let ends: [UInt8] = [0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF]
    for cut in 1...3 where bytes.count >= cut {
        let tail = Array(bytes.suffix(cut))
        guard tail[0] >= 0xC0 else { continue }
        guard isUTF8(bytes.dropLast(cut)) else { return false }
        let one = ends.map { [$0] }
        let two = one.flatMap { first in ends.map { first + [$0] } }
        let three = two.flatMap { first in ends.map { first + [$0] } }
        return (one + two + three).contains { isUTF8(tail + $0) }
    }
    return false
}
