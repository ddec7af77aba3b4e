// SPDX-License-Identifier: Apache-2.0

/// Takes an expression apart, from left to right.
struct ThresholdParser {
    private let expression: String
    private var rest: Substring

    init(_ expression: String) {
        self.expression = expression
        rest = expression[...]
    }

    static let statistics = ["min", "mean", "max"]
    static let distributions = Distributions.all.map(\.name)

    /// What there is to choose from, for messages.
    static let known =
        "min, mean, p50, p75, p90, p95, p99, p99.9, p99.99 and max, each of latency or behind "
        + distributions.filter { $0 != "latency" }.map { "\($0)." }.joined(separator: ", ") + "; "
        + Threshold.Single.allCases.map(\.rawValue).joined(separator: ", ")

    /// `part` is of the expression, or has the same text as its beginning.
    func error(_ part: Substring, _ reason: String) -> ThresholdError {
        let isPart = part.base == expression
        let offset = isPart ? expression.distance(from: expression.startIndex, to: part.startIndex) : leadingBlankCount
        return ThresholdError(expression: expression, offset: offset, length: part.count, reason: reason)
    }

    private var leadingBlankCount: Int { expression.prefix { $0.isWhitespace }.count }

    private static let comparisonCharacters: Set<Character> = ["<", ">", "=", "!"]

    mutating func takeMetric() throws(ThresholdError) -> (group: String?, Threshold.Metric) {
        let end = rest.firstIndex { Self.comparisonCharacters.contains($0) } ?? rest.endIndex
        let left = rest[..<end].trimmed
        rest = rest[end...]
        guard !left.isEmpty else {
            throw error(left, "there is no metric before the comparison; use \(Self.known)")
        }
        guard let colon = left.lastIndex(of: ":") else { return (nil, try metric(left)) }
        let group = left[..<colon].trimmed
        guard !group.isEmpty else { throw error(left[...colon], "there is no group before ':'") }
        return (String(group), try metric(left[left.index(after: colon)...].trimmed))
    }

    private func metric(_ text: Substring) throws(ThresholdError) -> Threshold.Metric {
        if let single = Threshold.Single(rawValue: String(text)) { return .single(single) }
        var distribution = "latency"
        var statistic = text
        for name in Self.distributions where text.hasPrefix("\(name).") {
            distribution = name
            statistic = text.dropFirst(name.count + 1)
        }
        if Self.statistics.contains(String(statistic)) {
            return .distribution(distribution, statistic: String(statistic), percent: nil)
        }
        guard statistic.first == "p", let percent = Self.number(statistic.dropFirst()), (0..<100).contains(percent)
        else { throw error(text, "'\(text)' is no metric; use \(Self.known)") }
        return .distribution(distribution, statistic: String(statistic), percent: percent)
    }

    mutating func takeComparison() throws(ThresholdError) -> Threshold.Comparison {
        let text = rest.prefix { Self.comparisonCharacters.contains($0) }
        guard let comparison = Threshold.Comparison(rawValue: String(text)) else {
            let known = Threshold.Comparison.allCases.map(\.rawValue).joined(separator: " ")
            throw error(
                text, text.isEmpty ? "there is no comparison; use \(known)" : "'\(text)' is no comparison; use \(known)"
            )
        }
        rest = rest[text.endIndex...]
        return comparison
    }

    func takeLimit(_ quantity: Threshold.Quantity) throws(ThresholdError) -> Double {
        let text = rest.trimmed
        let digits = text.prefix { $0.isASCII && $0.isNumber || $0 == "." }
        guard let number = Self.number(digits) else {
            throw error(
                text,
                text.isEmpty ? "there is no number behind the comparison" : "'\(text)' does not begin with a number")
        }
        let unit = text[digits.endIndex...].trimmed
        if let factor = quantity.units.first(where: { $0.name == unit })?.factor { return number * factor }
        if unit.isEmpty, number == 0 { return 0 }
        let known = quantity.units.map(\.name).filter { !$0.isEmpty }.joined(separator: ", ")
        if unit.isEmpty { throw error(digits, "'\(digits)' needs a unit: \(known)") }
        throw error(unit, "'\(unit)' is no unit of this metric; use \(known)")
    }

    /// Of digits and a point, as people write it.
    private static func number(_ text: Substring) -> Double? {
        guard !text.isEmpty, text.allSatisfy({ $0.isASCII && $0.isNumber || $0 == "." }), text.first != ".",
            text.last != ".", let value = Double(text), value <= 1e15
        else { return nil }
        return value
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        let start = drop { $0.isWhitespace }
        guard let last = start.lastIndex(where: { !$0.isWhitespace }) else { return start }
        return start[...last]
    }
}
