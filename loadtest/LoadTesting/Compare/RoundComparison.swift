// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// What pairs of measurements, one of each server in each round, say of the ratio of B to A.
///
/// The logarithms of the rounds' ratios are taken as normally distributed; the interval is Student's. What changes from
/// round to round for both servers does not widen it.
package struct RoundComparison: Sendable, Equatable {
    /// Geometric mean of B / A.
    package let ratio: Double
    /// 95 % of intervals made so have the true ratio in them; nil with one round.
    package let low: Double?
    package let high: Double?

    /// Nil where there is nothing to compare: no pairs, or one that is not above 0.
    package init?(a: [Double], b: [Double]) {
        let pairs = zip(a, b)
        guard !a.isEmpty, a.count == b.count, pairs.allSatisfy({ $0 > 0 && $1 > 0 && $0.isFinite && $1.isFinite })
        else { return nil }
        let logarithms = pairs.map { log($1 / $0) }
        let count = Double(logarithms.count)
        let mean = logarithms.reduce(0, +) / count
        ratio = exp(mean)
        guard logarithms.count > 1 else {
            low = nil
            high = nil
            return
        }
        let variance = logarithms.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (count - 1)
        let margin = Self.quantile(logarithms.count - 1) * (variance / count).squareRoot()
        low = exp(mean - margin)
        high = exp(mean + margin)
    }

    /// Whether the interval leaves no doubt which is higher.
    package var isDecided: Bool {
        guard let low, let high else { return false }
        return low > 1 || high < 1
    }

    /// For a reader: `name` is what was measured.
    package func sentence(_ name: String) -> String {
        let percent = Format.decimal(abs(ratio - 1) * 100, digits: 1)
        let figures = "B/A \(Format.decimal(ratio, digits: 3))"
        guard let low, let high else {
            return "\(name): \(figures) in one round; more rounds are needed to tell it from chance"
        }
        let interval = "95 % interval \(Format.decimal(low, digits: 3)) to \(Format.decimal(high, digits: 3))"
        guard isDecided else { return "\(name): no difference shown (\(figures), \(interval))" }
        return "\(name): B is \(percent) % \(ratio > 1 ? "higher" : "lower") (\(figures), \(interval))"
    }

    /// Student's t, of which 2.5 % are above, by degrees of freedom.
    private static func quantile(_ degrees: Int) -> Double {
        let table = [
            12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
            2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
        ]
        // Beyond the table: the first term of the expansion around the normal distribution's 1.96.
        return degrees <= table.count ? table[degrees - 1] : 1.96 + 2.37 / Double(degrees)
    }
}
