// SPDX-License-Identifier: Apache-2.0

/// Where in a JSON document a value is: `.payload.token`, `[4].status`, `.items[0]["odd key"]`; `.` is the whole.
package struct JSONPath: Codable, Sendable, Equatable, CustomStringConvertible {
    package let description: String
    let components: [Component]

    enum Component: Codable, Sendable, Equatable {
        case key([UInt8])
        case index(Int)
    }

    private static let componentCountMax = 32

    /// Nil where it is no path.
    package init?(_ text: String) {
        description = text
        var components: [Component] = []
        var rest = text.hasPrefix("$") ? text.dropFirst() : text[...]
        if rest == "." || rest.isEmpty && !text.isEmpty {
            self.components = []
            return
        }
        // The first key may stand without its dot.
        if let first = rest.first, first != ".", first != "[" { rest = "." + rest }
        while let first = rest.first {
            rest = rest.dropFirst()
            guard let component = first == "." ? Self.key(&rest) : first == "[" ? Self.bracket(&rest) : nil else {
                return nil
            }
            components.append(component)
        }
        guard (1...Self.componentCountMax).contains(components.count) else { return nil }
        self.components = components
    }

    private static func key(_ rest: inout Substring) -> Component? {
        let key = rest.prefix { $0 != "." && $0 != "[" }
        guard !key.isEmpty else { return nil }
        rest = rest[key.endIndex...]
        return .key(Array(key.utf8))
    }

    private static func bracket(_ rest: inout Substring) -> Component? {
        if let quote = rest.first, quote == "\"" || quote == "'" {
            rest = rest.dropFirst()
            guard let close = rest.firstIndex(of: quote) else { return nil }
            let key = rest[..<close]
            rest = rest[close...].dropFirst()
            guard rest.first == "]" else { return nil }
            rest = rest.dropFirst()
            return .key(Array(key.utf8))
        }
        guard let close = rest.firstIndex(of: "]"), let index = Int(rest[..<close]), index >= 0 else { return nil }
        rest = rest[close...].dropFirst()
        return .index(index)
    }
}

/// Finds values in JSON text (RFC 8259) without building them.
///
/// It reads as far as it must, and checks no more of the document than that.
enum JSONText {
    /// Where the value at `path` is; nil where there is none, or the text is no JSON up to there.
    static func find(_ path: JSONPath, in bytes: Span<UInt8>) -> Range<Int>? {
        var position = 0
        skipSpace(bytes, &position)
        for component in path.components {
            switch component {
            case .key(let key): guard enterObject(bytes, &position, key) else { return nil }
            case .index(let index): guard enterArray(bytes, &position, index) else { return nil }
            }
        }
        let start = position
        guard skipValue(bytes, &position) else { return nil }
        return start..<position
    }

    /// The value as text, appended: a string without its quotes and escapes, anything else as it stands.
    static func append(_ range: Range<Int>, of bytes: Span<UInt8>, to result: inout [UInt8]) {
        guard bytes[range.lowerBound] == quote else {
            for index in range { result.append(bytes[index]) }
            return
        }
        var index = range.lowerBound + 1
        let end = range.upperBound - 1
        while index < end {
            let byte = bytes[index]
            index += 1
            if byte != backslash {
                result.append(byte)
            } else {
                appendEscape(bytes, &index, end, &result)
            }
        }
    }

    /// Whether the value as text is `text`; numbers are the same however they are written.
    static func equals(_ range: Range<Int>, of bytes: Span<UInt8>, _ text: Span<UInt8>) -> Bool {
        if isEqual(bytes, range, text) { return true }
        let first = bytes[range.lowerBound]
        if first == quote {
            // Without escapes nothing has to be made.
            let inner = range.lowerBound + 1..<range.upperBound - 1
            if isEqual(bytes, inner, text) { return true }
            guard inner.contains(where: { bytes[$0] == backslash }) else { return false }
            var decoded: [UInt8] = []
            append(range, of: bytes, to: &decoded)
            return isEqual(decoded.span, 0..<decoded.count, text)
        }
        guard first == UInt8(ascii: "-") || isDigit(first), let own = number(bytes, range),
            let other = number(text, 0..<text.count)
        else { return false }
        return own == other
    }

    // MARK: Walking

    private static let quote = UInt8(ascii: "\"")
    private static let backslash = UInt8(ascii: "\\")

    private static func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }

    private static func skipSpace(_ bytes: Span<UInt8>, _ position: inout Int) {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    /// Passes over `byte`, and space around it; false where another is there.
    private static func take(_ byte: UInt8, _ bytes: Span<UInt8>, _ position: inout Int) -> Bool {
        skipSpace(bytes, &position)
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        skipSpace(bytes, &position)
        return true
    }

    private static func enterObject(_ bytes: Span<UInt8>, _ position: inout Int, _ key: [UInt8]) -> Bool {
        guard take(UInt8(ascii: "{"), bytes, &position) else { return false }
        while position < bytes.count, bytes[position] == quote {
            let start = position
            guard skipString(bytes, &position) else { return false }
            let isIt = equals(start..<position, of: bytes, key.span)
            guard take(UInt8(ascii: ":"), bytes, &position) else { return false }
            if isIt { return position < bytes.count }
            guard skipValue(bytes, &position), take(UInt8(ascii: ","), bytes, &position) else { return false }
        }
        return false
    }

    private static func enterArray(_ bytes: Span<UInt8>, _ position: inout Int, _ index: Int) -> Bool {
        guard take(UInt8(ascii: "["), bytes, &position) else { return false }
        for _ in 0..<index {
            guard skipValue(bytes, &position), take(UInt8(ascii: ","), bytes, &position) else { return false }
        }
        return position < bytes.count && bytes[position] != UInt8(ascii: "]")
    }

    private static func skipString(_ bytes: Span<UInt8>, _ position: inout Int) -> Bool {
        position += 1
        while position < bytes.count {
            let byte = bytes[position]
            position += byte == backslash ? 2 : 1
            if byte == quote { return true }
        }
        return false
    }

    /// Any depth: brackets are counted, not followed.
    private static func skipValue(_ bytes: Span<UInt8>, _ position: inout Int) -> Bool {
        var depth = 0
        let start = position
        while position < bytes.count {
            switch bytes[position] {
            case quote:
                guard skipString(bytes, &position) else { return false }
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                position += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                // The end of what the value is in.
                if depth == 0 { return position > start }
                depth -= 1
                position += 1
            case UInt8(ascii: ","), 0x20, 0x09, 0x0A, 0x0D:
                if depth == 0 { return position > start }
                position += 1
                continue
            default:
                position += 1
                // Of a number or a word.
                if depth == 0 { continue }
            }
            if depth == 0 { return true }
        }
        return depth == 0 && position > start
    }

    // MARK: Values

    private static func isEqual(_ bytes: Span<UInt8>, _ range: Range<Int>, _ text: Span<UInt8>) -> Bool {
        guard range.count == text.count else { return false }
        for index in 0..<text.count where bytes[range.lowerBound + index] != text[index] { return false }
        return true
    }

    private static func number(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Double? {
        guard range.count <= 64 else { return nil }
        var text = ""
        for index in range {
            guard bytes[index] < 0x80 else { return nil }
            text.unicodeScalars.append(Unicode.Scalar(bytes[index]))
        }
        return Quantity.number(text)
    }

    private static func appendEscape(
        _ bytes: Span<UInt8>, _ index: inout Int, _ end: Int, _ result: inout [UInt8]
    ) {
        guard index < end else { return }
        let letter = bytes[index]
        index += 1
        switch letter {
        case UInt8(ascii: "n"): result.append(0x0A)
        case UInt8(ascii: "t"): result.append(0x09)
        case UInt8(ascii: "r"): result.append(0x0D)
        case UInt8(ascii: "b"): result.append(0x08)
        case UInt8(ascii: "f"): result.append(0x0C)
        case UInt8(ascii: "u"):
            var value = hexadecimal(bytes, &index, end)
            if 0xD800...0xDBFF ~= value, index + 1 < end, bytes[index] == backslash,
                bytes[index + 1] == UInt8(ascii: "u")
            {
                index += 2
                let low = hexadecimal(bytes, &index, end)
                value = 0xDC00...0xDFFF ~= low ? 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00) : 0xFFFD
            }
            // Half of a pair is no character.
            result += Array(String(Character(Unicode.Scalar(value) ?? "\u{FFFD}")).utf8)
        default: result.append(letter)
        }
    }

    private static func hexadecimal(_ bytes: Span<UInt8>, _ index: inout Int, _ end: Int) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 where index < end {
            let digit = Character(Unicode.Scalar(bytes[index])).hexDigitValue ?? 0
            value = value << 4 | UInt32(digit)
            index += 1
        }
        return value
    }
}
