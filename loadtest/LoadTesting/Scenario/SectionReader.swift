// SPDX-License-Identifier: Apache-2.0

/// Reads the keys of one section, and tells what is wrong with them.
///
/// Values that are wrong are reported and read as if they were absent.
struct SectionReader {
    let node: YAMLNode
    /// Begins messages: "group 'chat': ".
    let place: String
    let problems: ProblemList
    private let entries: [YAMLNode.Entry]

    /// Reports keys that are not among `known`. Nil, and a problem, where it is no section.
    init?(_ node: YAMLNode, _ place: String, known: [String], _ problems: ProblemList, example: String) {
        guard case .section(let entries) = node.content else {
            let subject = place.isEmpty ? "" : "\(place.dropLast(2)) "
            problems.add(node, "\(subject)is \(node.shown); write a section, as in `\(example)`")
            return nil
        }
        self.node = node
        self.place = place
        self.problems = problems
        self.entries = entries
        for entry in entries where !known.contains(entry.key) {
            let hint = Nearest.hint(entry.key, among: known)
            problems.add(
                line: entry.line, column: entry.column,
                "\(place)'\(Printable.short(entry.key))' is no known key here\(hint)")
        }
    }

    func entry(_ key: String) -> YAMLNode.Entry? { entries.first { $0.key == key } }
    func value(_ key: String) -> YAMLNode? { entry(key)?.value }
    var keys: [String] { entries.map(\.key) }

    func refuse(_ node: YAMLNode, _ name: String, _ remedy: String) {
        problems.add(node, "\(place)\(name) is \(node.shown); \(remedy)")
    }

    /// Reports a place of a template where none is filled in. True where there is none.
    func hasNoPlaces(_ text: String, _ node: YAMLNode, _ name: String) -> Bool {
        guard let open = text.firstRange(of: "{{") else { return true }
        let rest = text[open.lowerBound...]
        let place = Printable.short(String(rest.firstRange(of: "}}").map { rest[..<$0.upperBound] } ?? rest))
        refuse(node, name, "\(place) is no variable of the file, and other places stand in `send` and `expect` only")
        return false
    }

    func text(_ key: String) -> String? {
        guard let node = value(key) else { return nil }
        if let text = node.scalar, !text.isEmpty { return text }
        refuse(node, key, "use text")
        return nil
    }

    func integer(_ key: String, _ range: ClosedRange<Int>) -> Int? {
        guard let node = value(key) else { return nil }
        if let value = node.scalar.flatMap(Quantity.count), range.contains(value) { return value }
        refuse(node, key, "use a whole number in \(range.lowerBound)...\(range.upperBound)")
        return nil
    }

    func number(_ key: String, above least: Double, upTo most: Double) -> Double? {
        guard let node = value(key) else { return nil }
        if let value = node.scalar.flatMap(Quantity.number), value > least, value <= most { return value }
        refuse(node, key, "use a number above \(Quantity.text(least)), up to \(Quantity.text(most))")
        return nil
    }

    /// `isPositive`: nothing at all is not allowed.
    func seconds(_ key: String, isPositive: Bool, most: Double) -> Double? {
        guard let node = value(key) else { return nil }
        if let value = node.scalar.flatMap(Quantity.seconds), value <= most, value > 0 || !isPositive { return value }
        let least = isPositive ? "more than 0" : "0 or more"
        refuse(node, key, "use a time as in 500ms, 30s, 5m or 1h, \(least), at most \(Quantity.duration(most))")
        return nil
    }

    func flag(_ key: String) -> Bool? {
        guard let node = value(key) else { return nil }
        switch node.scalar {
        case "true", "yes", "on": return true
        case "false", "no", "off": return false
        default:
            refuse(node, key, "use true or false")
            return nil
        }
    }

    /// A list of texts, or one.
    func texts(_ key: String) -> [(text: String, node: YAMLNode)]? {
        guard let node = value(key) else { return nil }
        switch node.content {
        case .scalar(let text) where !text.isEmpty: return [(text, node)]
        case .list(let elements):
            return elements.compactMap { element in
                if let text = element.scalar, !text.isEmpty { return (text, element) }
                refuse(element, "an element of \(key)", "use text")
                return nil
            }
        case .scalar, .section:
            refuse(node, key, "use a text or a list of texts")
            return nil
        }
    }

    /// A section within, or nil; `known` are its keys.
    func section(_ key: String, known: [String], example: String) -> SectionReader? {
        value(key).flatMap { SectionReader($0, "\(place)\(key): ", known: known, problems, example: example) }
    }
}

/// Numbers, sizes and times as people write them: `64KiB`, `250ms`; a plain number is bytes or seconds.
enum Quantity {
    private static let byteUnits: [(suffix: String, byteCount: Double)] = [
        ("MiB", 1_048_576), ("KiB", 1_024), ("MB", 1_000_000), ("kB", 1_000), ("B", 1),
    ]
    private static let timeUnits: [(suffix: String, seconds: Double)] = [
        ("ms", 0.001), ("us", 0.000_001), ("h", 3_600), ("m", 60), ("s", 1),
    ]

    /// A whole number; `_` may separate digits.
    static func count(_ text: String) -> Int? {
        guard let first = text.utf8.first, first != UInt8(ascii: "_"), first != UInt8(ascii: "+") else { return nil }
        return Int(text.filter { $0 != "_" })
    }

    static func number(_ text: String) -> Double? {
        guard !text.isEmpty, text.allSatisfy({ $0.isASCII && ($0.isNumber || ".eE-".contains($0)) }),
            let value = Double(text), value.isFinite
        else { return nil }
        return value
    }

    static func byteCount(_ text: String) -> Double? { scaled(text, byteUnits) }
    static func seconds(_ text: String) -> Double? { scaled(text, timeUnits) }

    private static func scaled(_ text: String, _ units: [(String, Double)]) -> Double? {
        let unit = units.first { text.hasSuffix($0.0) }
        let digits = text.dropLast(unit?.0.count ?? 0)
        guard let number = number(digits.last == " " ? String(digits.dropLast()) : String(digits)), number >= 0 else {
            return nil
        }
        let value = number * (unit?.1 ?? 1)
        return value.isFinite ? value : nil
    }

    /// Without a fraction where there is none.
    static func text(_ number: Double) -> String {
        number == number.rounded() && abs(number) < 1e15 ? "\(Int(number))" : "\(number)"
    }

    static func duration(_ seconds: Double) -> String {
        switch seconds {
        case ..<1: "\(text((seconds * 1e6).rounded() / 1e3)) ms"
        case 3_600... where seconds.truncatingRemainder(dividingBy: 3_600) == 0: "\(text(seconds / 3_600)) h"
        default: "\(text((seconds * 1e3).rounded() / 1e3)) s"
        }
    }
}
