// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// How many times as much one server does as another, from rounds that were measured in turn.
///
/// The rounds are pairs, so that what slows the whole machine for a while touches both of a pair: the estimate is the
/// geometric mean of the pairs' ratios, and its interval is Student's on their logarithms. That takes the logarithms
/// for normally distributed, which ratios of figures that are means of many are, nearly; a bootstrap of the five or ten
/// rounds that people wait for is known to give intervals that are too narrow.
package struct RatioEstimate: Sendable, Equatable {
    package let ratio: Double
    /// In which the true ratio lies in nineteen of twenty comparisons; nil where one round tells none.
    package let interval: ClosedRange<Double>?
    package let roundCount: Int

    /// Of `b` to `a`, round by round. Nil without rounds, where their counts differ, or where a value is not above 0.
    package init?(_ a: [Double], _ b: [Double]) {
        guard !a.isEmpty, a.count == b.count, (a + b).allSatisfy({ $0 > 0 && $0.isFinite }) else { return nil }
        let logarithms = zip(a, b).map { log($1) - log($0) }
        let count = Double(logarithms.count)
        let mean = logarithms.reduce(0, +) / count
        ratio = exp(mean)
        roundCount = logarithms.count
        guard logarithms.count > 1 else {
            interval = nil
            return
        }
        let variance = logarithms.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (count - 1)
        let half = StudentT.quantile975(logarithms.count - 1) * (variance / count).squareRoot()
        interval = exp(mean - half)...exp(mean + half)
    }

    /// The interval has not got 1 in it.
    package var isDifference: Bool { interval.map { !$0.contains(1) } ?? false }

    /// What the values are.
    package enum Kind: Sendable {
        /// More is better: messages in a second.
        case rate
        /// Less is better: a latency.
        case duration
        /// Neither: bytes, CPU time.
        case amount
    }

    /// One plain sentence about `b`.
    package func sentence(_ kind: Kind, a: String, b: String) -> String {
        let times = Self.text(ratio)
        let verb =
            switch kind {
            case .rate: "\(b) is \(times) times as fast as \(a)"
            case .duration: "\(b) takes \(times) times as long as \(a)"
            case .amount: "\(b) takes \(times) times as much as \(a)"
            }
        guard let interval else { return "\(verb), in one round: how much of it is chance is not known" }
        let range = "95 % CI \(Self.text(interval.lowerBound)) to \(Self.text(interval.upperBound))"
        return isDifference
            ? "\(verb) (\(range))" : "no difference between \(a) and \(b) can be told: the ratio is \(times) (\(range))"
    }

    /// With as many digits as are worth something.
    private static func text(_ ratio: Double) -> String {
        Format.decimal(ratio, digits: ratio < 0.1 ? 4 : ratio < 10 ? (abs(ratio - 1) < 0.1 ? 3 : 2) : 1)
    }
}
