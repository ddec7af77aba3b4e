// SPDX-License-Identifier: Apache-2.0

/// A part of a regular expression.
indirect enum PatternNode: Sendable {
    case scalar(Unicode.Scalar)
    case set(ScalarSet)
    case anchor(Pattern.Anchor)
    case sequence([PatternNode])
    case choice([PatternNode])
    /// Without `most`: any number of times.
    case repeated(PatternNode, least: Int, most: Int?)
}

/// Reads a regular expression as it is written: what PCRE, RE2 and `Regex` have in common.
struct PatternReader {
    private var rest: Substring.UnicodeScalarView
    private var flags = Flags()
    private var depth = 0

    private static let depthMax = 50
    private static let countMax = 1_000

    private struct Flags {
        var ignoresCase = false
        var dotTakesNewline = false
        var hasLines = false
    }

    init(_ text: String) { rest = text[...].unicodeScalars }

    mutating func read() throws(Pattern.Refusal) -> PatternNode {
        let node = try choice()
        guard rest.isEmpty else {
            throw Pattern.Refusal(message: "it has a ) without a (; write \\) for the character")
        }
        return node
    }

    private mutating func take() -> Unicode.Scalar? { rest.popFirst() }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard rest.first == scalar else { return false }
        rest.removeFirst()
        return true
    }

    // MARK: Structure

    private mutating func choice() throws(Pattern.Refusal) -> PatternNode {
        var nodes = [try sequence()]
        while take("|") { nodes.append(try sequence()) }
        return nodes.count == 1 ? nodes[0] : .choice(nodes)
    }

    private mutating func sequence() throws(Pattern.Refusal) -> PatternNode {
        var nodes: [PatternNode] = []
        while let next = rest.first, next != "|", next != ")" { nodes.append(try quantified()) }
        return nodes.count == 1 ? nodes[0] : .sequence(nodes)
    }

    private mutating func quantified() throws(Pattern.Refusal) -> PatternNode {
        var node = try atom()
        while let (least, most) = try quantifier() {
            if take("+") {
                throw Pattern.Refusal(message: "it has a possessive quantifier (as in a*+), which is not supported")
            }
            // Whether as few or as many as can be are tried first makes no difference to whether there is a match.
            _ = take("?")
            node = .repeated(node, least: least, most: most)
        }
        return node
    }

    private mutating func quantifier() throws(Pattern.Refusal) -> (Int, Int?)? {
        if take("*") { return (0, nil) }
        if take("+") { return (1, nil) }
        if take("?") { return (0, 1) }
        guard rest.first == "{" else { return nil }
        // What is no count is the character.
        let before = rest
        rest.removeFirst()
        let least = number()
        let hasComma = take(",")
        let most = hasComma ? number() : least
        guard take("}"), let least else {
            rest = before
            return nil
        }
        guard least <= Self.countMax, most ?? 0 <= Self.countMax, least <= most ?? least else {
            throw Pattern.Refusal(message: "it has a count in {…} that is above \(Self.countMax), or falls")
        }
        return (least, most)
    }

    private mutating func number() -> Int? {
        var digits = ""
        while let next = rest.first, ("0"..."9").contains(next), digits.count < 6 {
            digits.unicodeScalars.append(next); rest.removeFirst()
        }
        return Int(digits)
    }

    private mutating func group() throws(Pattern.Refusal) -> PatternNode {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthMax else { throw Pattern.Refusal(message: "its groups are nested too deep") }
        let outer = flags
        if take("?") {
            if take("<") || take("P") {
                _ = take("<")
                guard let next = rest.first, next != "=", next != "!", let close = rest.firstIndex(of: ">") else {
                    throw Self.noLooking
                }
                rest = rest[rest.index(after: close)...]
            } else if !take(":") {
                // Flags for what follows in this group, or for a group of their own.
                guard try setFlags() else { return .sequence([]) }
            }
        }
        let node = try choice()
        flags = outer
        guard take(")") else { throw Pattern.Refusal(message: "it has a ( without a ); write \\( for the character") }
        return node
    }

    private static var noLooking: Pattern.Refusal {
        Pattern.Refusal(
            message:
                "it looks ahead or behind, or has an atomic group, which is not supported: expressions are matched "
                + "in one pass; use a second condition")
    }

    /// True where a group follows.
    private mutating func setFlags() throws(Pattern.Refusal) -> Bool {
        while let letter = take() {
            switch letter {
            case "i": flags.ignoresCase = true
            case "s": flags.dotTakesNewline = true
            case "m": flags.hasLines = true
            case ":": return true
            case ")": return false
            case "=", "!", ">": throw Self.noLooking
            default: throw Pattern.Refusal(message: "it has the flag \(letter); use i, s or m, as in (?i)")
            }
        }
        throw Pattern.Refusal(message: "it has a ( without a ); write \\( for the character")
    }

    // MARK: Characters

    private mutating func atom() throws(Pattern.Refusal) -> PatternNode {
        guard let scalar = take() else { return .sequence([]) }
        switch scalar {
        case "(": return try group()
        case "[": return .set(try set())
        case ".":
            var set = ScalarSet()
            if !flags.dotTakesNewline { set.ranges = [10...10] }
            set.isNegated = true
            return .set(set)
        case "^": return .anchor(flags.hasLines ? .lineStart : .textStart)
        case "$": return .anchor(flags.hasLines ? .lineEnd : .lastLineEnd)
        case "*", "+", "?":
            throw Pattern.Refusal(
                message: "it has a \(scalar) with nothing before it; write \\\(scalar) for the character")
        case "\\": return try escape()
        default: return literal(scalar)
        }
    }

    private func literal(_ scalar: Unicode.Scalar) -> PatternNode {
        guard flags.ignoresCase else { return .scalar(scalar) }
        var set = ScalarSet()
        set.ranges = [scalar.value...scalar.value]
        set.ignoresCase = true
        return .set(set)
    }

    private mutating func escape() throws(Pattern.Refusal) -> PatternNode {
        guard let letter = rest.first else { throw Self.openEscape }
        switch letter {
        case "A": return anchor(.textStart)
        case "z": return anchor(.textEnd)
        case "Z": return anchor(.lastLineEnd)
        case "b": return anchor(.wordBoundary)
        case "B": return anchor(.noWordBoundary)
        case "1"..."9", "k":
            throw Pattern.Refusal(
                message: "it refers back (\\\(letter)), which is not supported: expressions are matched in one pass")
        default: break
        }
        if let kind = Self.kind(letter) {
            rest.removeFirst()
            var set = ScalarSet()
            set.kinds = [kind]
            return .set(set)
        }
        return literal(try escaped())
    }

    private mutating func anchor(_ anchor: Pattern.Anchor) -> PatternNode {
        rest.removeFirst()
        return .anchor(anchor)
    }

    private static var openEscape: Pattern.Refusal {
        Pattern.Refusal(message: "it ends with a backslash; write \\\\ for the character")
    }

    private static func kind(_ letter: Unicode.Scalar) -> (ScalarSet.Kind, Bool)? {
        switch letter {
        case "d": (.digit, true)
        case "D": (.digit, false)
        case "w": (.word, true)
        case "W": (.word, false)
        case "s": (.space, true)
        case "S": (.space, false)
        default: nil
        }
    }

    /// The character that follows a backslash stands for.
    private mutating func escaped() throws(Pattern.Refusal) -> Unicode.Scalar {
        guard let letter = take() else { throw Self.openEscape }
        switch letter {
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "f": return "\u{0C}"
        case "v": return "\u{0B}"
        case "e": return "\u{1B}"
        case "0": return "\0"
        case "x": return try hexadecimal(2)
        case "u": return try hexadecimal(4)
        case "a"..."z", "A"..."Z":
            throw Pattern.Refusal(message: "it has \\\(letter), which is not supported; write the characters in […]")
        default: return letter
        }
    }

    /// So many digits, or any number of them in braces.
    private mutating func hexadecimal(_ count: Int) throws(Pattern.Refusal) -> Unicode.Scalar {
        let isBraced = take("{")
        var digits = ""
        while digits.count < (isBraced ? 6 : count), let next = rest.first, next.properties.isASCIIHexDigit {
            digits.unicodeScalars.append(next)
            rest.removeFirst()
        }
        let isComplete = isBraced ? take("}") && !digits.isEmpty : digits.count == count
        guard isComplete, let value = UInt32(digits, radix: 16), let scalar = Unicode.Scalar(value) else {
            throw Pattern.Refusal(
                message: "it has a character by number that is none; write \\x0a, \\u00e9 or \\u{1F600}")
        }
        return scalar
    }

    private mutating func set() throws(Pattern.Refusal) -> ScalarSet {
        var set = ScalarSet()
        set.ignoresCase = flags.ignoresCase
        set.isNegated = take("^")
        // In the first place it is the character.
        var isFirst = true
        while true {
            guard let scalar = take() else {
                throw Pattern.Refusal(message: "it has a [ without a ]; write \\[ for the character")
            }
            if scalar == "]", !isFirst { return set }
            isFirst = false
            if scalar == "\\", let letter = rest.first, let kind = Self.kind(letter) {
                rest.removeFirst()
                set.kinds.append(kind)
                continue
            }
            let least = try member(scalar)
            guard rest.first == "-", let after = rest.dropFirst().first, after != "]" else {
                set.ranges.append(least.value...least.value)
                continue
            }
            rest.removeFirst()
            let most = try member(take() ?? "]")
            guard least <= most else {
                throw Pattern.Refusal(message: "it has the range \(least)-\(most) in […], which falls; swap them")
            }
            set.ranges.append(least.value...most.value)
        }
    }

    private mutating func member(_ scalar: Unicode.Scalar) throws(Pattern.Refusal) -> Unicode.Scalar {
        switch scalar {
        case "\\":
            // Within a set it is the control character.
            if take("b") { return "\u{08}" }
            return try escaped()
        case "[":
            throw Pattern.Refusal(message: "it has a [ within […]; write \\[ for the character, or name each one")
        default: return scalar
        }
    }
}
