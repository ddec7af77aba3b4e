// SPDX-License-Identifier: Apache-2.0

/// Reads templates: text with places as in `{{client}}`.
struct TemplateReader {
    /// How the literal parts are written.
    enum Encoding { case text, hexadecimal, base64 }

    struct Refusal: Error { let message: String }

    let group: String
    /// What was captured so far, and in which slot.
    var captures: [String: Int] = [:]
    static let names = [
        "client", "group", "attempt", "seq", "time_ms", "random", "uuid", "filler",
    ]
    private static let fillerByteCountMax = 1 << 20

    func read(_ text: String, _ encoding: Encoding = .text) throws(Refusal) -> ScriptTemplate {
        var pieces: [ScriptTemplate.Piece] = []
        var literal = ""
        func flush() throws(Refusal) {
            guard !literal.isEmpty else { return }
            Self.append(.literal(try Self.decode(literal, encoding)), to: &pieces)
            literal = ""
        }
        var rest = text[...]
        while let open = rest.firstRange(of: "{{") {
            literal += rest[..<open.lowerBound]
            rest = rest[open.upperBound...]
            if rest.hasPrefix("{{") {
                literal += "{{"
                rest = rest.dropFirst(2)
                continue
            }
            guard let close = rest.firstRange(of: "}}") else {
                throw Refusal(message: "has '{{' without '}}'; write {{{{ where {{ itself is meant")
            }
            try flush()
            Self.append(try piece(String(rest[..<close.lowerBound])), to: &pieces)
            rest = rest[close.upperBound...]
        }
        literal += rest
        try flush()
        return ScriptTemplate(pieces)
    }

    /// Neighbouring literals are one.
    private static func append(_ piece: ScriptTemplate.Piece, to pieces: inout [ScriptTemplate.Piece]) {
        if case .literal(let bytes) = piece, case .literal(let last) = pieces.last {
            pieces[pieces.count - 1] = .literal(last + bytes)
        } else {
            pieces.append(piece)
        }
    }

    private func piece(_ inside: String) throws(Refusal) -> ScriptTemplate.Piece {
        let words = inside.split(separator: " ").map(String.init)
        let name = words.first ?? ""
        let shown = "'{{\(Printable.short(inside))}}'"
        func plain(_ piece: ScriptTemplate.Piece) throws(Refusal) -> ScriptTemplate.Piece {
            guard words.count == 1 else { throw Refusal(message: "has \(shown); \(name) takes nothing more") }
            return piece
        }
        switch name {
        case "client": return try plain(.client)
        case "group": return try plain(.literal(Array(group.utf8)))
        case "attempt": return try plain(.attempt)
        case "seq": return try plain(.sequence)
        case "time_ms": return try plain(.milliseconds)
        case "uuid": return try plain(.uuid)
        case "random":
            guard words.count == 3, let least = Int(words[1]), let most = Int(words[2]), least <= most else {
                throw Refusal(message: "has \(shown); write two whole numbers, the lower first: {{random 1 100}}")
            }
            return .random(least, most)
        case "filler":
            guard words.count == 2, let count = Quantity.byteCount(words[1]).map({ Int(min($0, 1e9)) }),
                count <= Self.fillerByteCountMax
            else { throw Refusal(message: "has \(shown); write a number of bytes in 0...1048576: {{filler 200}}") }
            return .literal((0..<count).map { UInt8(ascii: "a") + UInt8($0 % 26) })
        default:
            if let slot = captures[name] { return try plain(.captured(slot)) }
            let hint = Nearest.hint(name, among: Self.names + captures.keys)
            throw Refusal(message: "has \(shown), which is no variable and not captured before\(hint)")
        }
    }

    private static func decode(_ text: String, _ encoding: Encoding) throws(Refusal) -> [UInt8] {
        switch encoding {
        case .text: return Array(text.utf8)
        case .hexadecimal:
            let digits = text.filter { !$0.isWhitespace }.map(\.hexDigitValue)
            guard digits.count.isMultiple(of: 2), !digits.contains(nil) else {
                throw Refusal(message: "is not hexadecimal; write two digits for each byte, as in 00ff")
            }
            return stride(from: 0, to: digits.count, by: 2).map { index in
                UInt8((digits[index] ?? 0) << 4 | (digits[index + 1] ?? 0))
            }
        case .base64:
            guard let bytes = base64(text.utf8.filter { $0 > 0x20 }) else {
                throw Refusal(message: "is not base64 (RFC 4648 §4); write it in A-Z, a-z, 0-9, + and /, filled with =")
            }
            return bytes
        }
    }

    /// With or without the filling at the end.
    private static func base64(_ text: [UInt8]) -> [UInt8]? {
        var digits = text[...]
        while digits.last == UInt8(ascii: "="), text.count - digits.count < 2 { digits = digits.dropLast() }
        guard digits.count % 4 != 1, digits.count == text.count || text.count.isMultiple(of: 4) else { return nil }
        var (result, bits, bitCount): ([UInt8], UInt32, UInt32) = ([], 0, 0)
        for digit in digits {
            let value: UInt8
            switch digit {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = digit - UInt8(ascii: "A")
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = digit - UInt8(ascii: "a") + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0") + 52
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            default: return nil
            }
            bits = bits << 6 | UInt32(value)
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                result.append(UInt8(truncatingIfNeeded: bits >> bitCount))
            }
        }
        return result
    }
}
