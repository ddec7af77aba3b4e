// SPDX-License-Identifier: Apache-2.0

/// One line of a terminal: pieces of text, each in one style.
package struct TerminalLine: Sendable, Equatable {
    package enum Style: String, Sendable, CaseIterable {
        case plain = ""
        case bold = "1"
        case dim = "2"
        case accent = "36"
        case good = "32"
        case bad = "31"
    }

    private(set) var pieces: [(text: String, style: Style)] = []
    /// Columns that the line takes.
    package private(set) var columnCount = 0

    package init() {}

    package init(_ text: String, _ style: Style = .plain) { append(text, style) }

    package mutating func append(_ text: String, _ style: Style = .plain) {
        let text = TerminalText.printable(text)
        guard !text.isEmpty else { return }
        pieces.append((text, style))
        columnCount += TerminalText.columnCount(text)
    }

    /// Blanks up to `column`; at least one where there is text already.
    package mutating func pad(to column: Int) {
        append(String(repeating: " ", count: max(column - columnCount, columnCount == 0 ? 0 : 1)))
    }

    /// The line cut to `width` columns; its last column then says that more follows.
    package func cut(to width: Int, ellipsis: String) -> TerminalLine {
        guard columnCount > width else { return self }
        var result = TerminalLine()
        let end = TerminalText.columnCount(ellipsis)
        guard width > end else { return result }
        for (text, style) in pieces {
            let kept = TerminalText.prefix(of: text, columnCount: width - end - result.columnCount)
            result.append(kept, style)
            if kept != text { break }
        }
        result.append(ellipsis, .dim)
        return result
    }

    /// The line for a terminal that knows no other characters.
    package var inASCII: TerminalLine {
        var result = TerminalLine()
        for (text, style) in pieces { result.append(String(text.map { $0.isASCII ? $0 : "?" }), style) }
        return result
    }

    /// As it is written: with the escape codes of styles (ECMA-48 §8.3.117) or without.
    package func rendered(isColored: Bool) -> String {
        pieces.map { text, style in
            isColored && style != .plain ? "\u{1b}[\(style.rawValue)m\(text)\u{1b}[0m" : text
        }.joined()
    }

    package static func == (a: Self, b: Self) -> Bool {
        a.pieces.elementsEqual(b.pieces) { $0.text == $1.text && $0.style == $1.style }
    }
}

/// How text behaves on a terminal.
package enum TerminalText {
    /// Nothing that a terminal would obey: URLs, headers and errors hold what others wrote.
    package static func printable(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { result.append(isControl(scalar) ? "?" : scalar) }
        return String(result)
    }

    static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        // Marks that turn the direction of writing, which would hide what follows.
        case .format: (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
        default: false  // of the standard library's categories
        }
    }

    package static func columnCount(_ text: String) -> Int { text.reduce(0) { $0 + columnCount($1) } }

    /// Whole characters that fit in `columnCount`.
    package static func prefix(of text: String, columnCount: Int) -> String {
        var left = columnCount
        return String(
            text.prefix { character in
                left -= self.columnCount(character)
                return left >= 0
            })
    }

    /// As terminals do: by the widest of a character's scalars, where East Asian ones and emoji take two columns.
    private static func columnCount(_ character: Character) -> Int {
        character.unicodeScalars.reduce(0) { max($0, columnCount($1)) }
    }

    private static func columnCount(_ scalar: Unicode.Scalar) -> Int {
        if scalar.isASCII { return scalar.value < 0x20 || scalar.value == 0x7F ? 0 : 1 }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format: return 0
        default: break  // of the standard library's categories
        }
        if scalar.properties.isEmojiPresentation { return 2 }
        return wideRanges.contains { $0.contains(scalar.value) } ? 2 : 1
    }

    /// UAX #11, "Wide" and "Fullwidth", in blocks.
    private static let wideRanges: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF,
        0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6,
        0x1F300...0x1F64F, 0x1F900...0x1F9FF, 0x20000...0x3FFFD,
    ]
}

/// What bars and curves are drawn with.
package struct TerminalGlyphs: Sendable, Equatable {
    let full: String
    let empty: String
    let steps: [String]
    let ellipsis: String
    let separator: String

    package static let unicode = TerminalGlyphs(
        full: "█", empty: "░", steps: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"], ellipsis: "…", separator: " · ")
    package static let ascii = TerminalGlyphs(
        full: "#", empty: "-", steps: ["_", ".", ":", "-", "=", "+", "*", "#"], ellipsis: ">", separator: ", ")

    /// A bar of `width` columns, `share` of it full.
    package func bar(_ share: Double, width: Int) -> (full: String, empty: String) {
        guard width > 0 else { return ("", "") }
        let share = share.isFinite ? min(max(share, 0), 1) : 0
        // Full only when all is done.
        let count = share >= 1 ? width : min(Int(share * Double(width)), width - 1)
        return (String(repeating: full, count: count), String(repeating: empty, count: width - count))
    }

    /// A column for each value, from 0 up to the greatest.
    package func sparkline(_ values: [Double]) -> String {
        guard let greatest = values.max(), greatest > 0 else {
            return String(repeating: steps[0], count: values.count)
        }
        return values.map { value in
            steps[min(Int(max(value, 0) / greatest * Double(steps.count - 1) + 0.5), steps.count - 1)]
        }.joined()
    }
}
