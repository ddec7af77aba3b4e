// SPDX-License-Identifier: Apache-2.0

/// What values a setting takes.
enum SettingRule: Equatable {
    case count(ClosedRange<Int>)
    /// `orZero`: 0 is allowed besides, and means that there is no limit.
    case bytes(ClosedRange<Int>, orZero: Bool = false)
    case duration(ClosedRange<Duration>, orZero: Bool = false)
    case choice([String])
    /// Yes or no.
    case flag
    /// Text that is judged elsewhere.
    case text
    /// The name of a file; in the configuration file, from that file's directory.
    case file
    case list
    /// Keys of its own.
    case section

    /// The end of the sentence "… is 7; use".
    var allowed: String {
        switch self {
        case .count(let range): "\(range.lowerBound) to \(range.upperBound)"
        case .bytes(let range, let orZero):
            "\(Quantity.text(byteCount: range.lowerBound)) to \(Quantity.text(byteCount: range.upperBound))"
                + (orZero ? ", or 0 for no limit" : "")
        case .duration(let range, let orZero):
            "\(Quantity.text(range.lowerBound)) to \(Quantity.text(range.upperBound))"
                + (orZero ? ", or 0 for none" : "")
        case .choice(let names): Self.alternatives(names)
        case .flag: "yes or no"
        case .text: "text"
        case .file: "the name of a file"
        case .list: "a list"
        case .section: "keys of its own"
        }
    }

    private static func alternatives(_ names: [String]) -> String {
        if names.count > 6 { return "one of \(names.joined(separator: ", "))" }
        guard names.count > 2, let last = names.last else { return names.joined(separator: " or ") }
        return names.dropLast().joined(separator: ", ") + " or \(last)"
    }
}
