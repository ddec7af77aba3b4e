// SPDX-License-Identifier: Apache-2.0

/// Times as people write them.
package enum Seconds {
    private static let units: [(name: String, seconds: Double)] = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3_600)]

    /// Reads `90` (seconds), `90s`, `1.5m`, `4h`, `500ms`, `1h30m`.
    package static func parse(_ text: String) throws(LoadTestError) -> Double {
        var rest = text[...]
        var sum = 0.0
        var isFirst = true
        repeat {
            let digits = rest.prefix { "0"..."9" ~= $0 || $0 == "." }
            rest = rest.dropFirst(digits.count)
            let letters = rest.prefix { !("0"..."9" ~= $0 || $0 == ".") }
            rest = rest.dropFirst(letters.count)
            let unit = letters.isEmpty && isFirst && rest.isEmpty ? 1 : units.first { $0.name == letters }?.seconds
            guard let unit, let number = Double(digits) else {
                throw LoadTestError(
                    "'\(text)' is no time; write seconds, or a number and s, m or h: 90, 90s, 15m, 4h, 1h30m")
            }
            sum += number * unit
            isFirst = false
        } while !rest.isEmpty
        return sum
    }
}
