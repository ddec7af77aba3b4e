import RoostWebSocket

/// Valid streams of frames, drawn at random.
struct RandomStream {
    var bytes: [UInt8] = []
    private let role: FrameRole

    /// `messageCount` messages in any number of fragments, control frames wherever they are allowed.
    init(role: FrameRole, messageCount: Int, using generator: inout SeededGenerator) {
        self.role = role
        for _ in 0..<messageCount {
            appendControls(using: &generator)
            let isText = Bool.random(using: &generator)
            let size = Self.sizes.randomElement(using: &generator)! + Int.random(in: 0...3, using: &generator)
            let payload = isText ? Self.text(byteCountMin: size, using: &generator) : generator.bytes(count: size)
            appendMessage(opcode: isText ? 0x1 : 0x2, payload, using: &generator)
        }
    }

    private static let sizes = [
        0, 0, 1, 5, 8, 30, 31, 60, 62, 122, 122, 124, 125, 126, 200, 300, 400, 700, 1_000, 65_533,
    ]

    static func text(byteCountMin: Int, using generator: inout SeededGenerator) -> [UInt8] {
        let ranges: [ClosedRange<UInt32>] = [
            0x20...0x7E, 0x20...0x7E, 0x80...0x7FF, 0x800...0xD7FF, 0x10000...0x10FFFF,
        ]
        let isASCII = Bool.random(using: &generator)
        var text: [UInt8] = []
        while text.count < byteCountMin {
            let range = isASCII ? ranges[0] : ranges.randomElement(using: &generator)!
            let scalar = Unicode.Scalar(UInt32.random(in: range, using: &generator))!
            text += Array(String(scalar).utf8)
        }
        return text
    }

    private mutating func appendMessage(opcode: UInt8, _ payload: [UInt8], using generator: inout SeededGenerator) {
        var rest = payload[...]
        var isFirst = true
        while generator.chance(1, in: 3) {
            let byteCount = Int.random(in: 0...rest.count, using: &generator)
            append(isFirst ? opcode : 0x0, isFinal: false, Array(rest.prefix(byteCount)), using: &generator)
            rest = rest.dropFirst(byteCount)
            isFirst = false
            appendControls(using: &generator)
        }
        append(isFirst ? opcode : 0x0, isFinal: true, Array(rest), using: &generator)
    }

    private mutating func appendControls(using generator: inout SeededGenerator) {
        while generator.chance(1, in: 4) {
            let byteCount = [0, 1, 7, 124, 125].randomElement(using: &generator)!
            let opcode: UInt8 = [0x8, 0x9, 0xA].randomElement(using: &generator)!
            append(opcode, isFinal: true, generator.bytes(count: byteCount), using: &generator)
        }
    }

    private mutating func append(
        _ opcode: UInt8, isFinal: Bool, _ payload: [UInt8], using generator: inout SeededGenerator
    ) {
        let mask = role == .server ? generator.bytes(count: 4) : nil
        bytes += WireFrame(opcode: opcode, isFinal: isFinal, mask: mask, payload: payload).bytes
    }
}

extension Array where Element == UInt8 {
    /// The bytes in pieces of random sizes, many of them tiny.
    func randomPieces(using generator: inout SeededGenerator) -> [ArraySlice<UInt8>] {
        var rest = self[...]
        var pieces: [ArraySlice<UInt8>] = []
        while !rest.isEmpty {
            let byteCountMax = [1, 2, 5, 20, 150, 5_000, 100_000].randomElement(using: &generator)!
            let byteCount = Int.random(in: 1...byteCountMax, using: &generator)
            pieces.append(rest.prefix(byteCount))
            rest = rest.dropFirst(byteCount)
        }
        return pieces
    }
}
