// SPDX-License-Identifier: Apache-2.0

/// Sizes and durations as people write them: `1MiB`, `30s`; a plain number is bytes or seconds.
enum Quantity {
    private static let byteUnits: [(suffix: String, byteCount: Int)] = [
        ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
        ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000), ("B", 1),
    ]
    private static let timeUnits: [(suffix: String, milliseconds: Int)] = [
        ("ms", 1), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000),
    ]

    /// A whole number; `_` may separate digits.
    static func count(_ text: String) -> Int? {
        guard let first = text.utf8.first, first != UInt8(ascii: "_"), first != UInt8(ascii: "+") else { return nil }
        return Int(text.filter { $0 != "_" })
    }

    /// Bytes: `4096`, `64KiB`, `1 MiB`, `2GB`.
    static func byteCount(_ text: String) -> Int? {
        scaled(text, byteUnits.map { ($0.suffix, $0.byteCount) }, plain: 1)
    }

    /// A duration: `30` (seconds), `30s`, `250ms`, `5m`, `1h`, `1d`.
    static func duration(_ text: String) -> Duration? {
        scaled(text, timeUnits.map { ($0.suffix, $0.milliseconds) }, plain: 1_000).map { .milliseconds($0) }
    }

    private static func scaled(_ text: String, _ units: [(String, Int)], plain: Int) -> Int? {
        var number = text[...]
        var factor = plain
        for (suffix, value) in units where text.hasSuffix(suffix) {
            number = text.dropLast(suffix.count)
            if number.last == " " { number = number.dropLast() }
            factor = value
            break
        }
        guard let count = count(String(number)) else { return nil }
        let (product, isOverflow) = count.multipliedReportingOverflow(by: factor)
        return isOverflow ? nil : product
    }

    /// The shortest exact way to write it, in binary units.
    static func text(byteCount: Int) -> String {
        for (suffix, unit) in byteUnits.prefix(4) where byteCount >= unit && byteCount.isMultiple(of: unit) {
            return "\(byteCount / unit)\(suffix)"
        }
        return "\(byteCount)"
    }

    /// The shortest exact way to write it, to the millisecond.
    static func text(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let milliseconds = Int(seconds) * 1_000 + Int(attoseconds / 1_000_000_000_000_000)
        if milliseconds == 0 { return "0" }
        for (suffix, unit) in timeUnits.dropFirst() where milliseconds.isMultiple(of: unit) {
            return "\(milliseconds / unit)\(suffix)"
        }
        return "\(milliseconds)ms"
    }
}
