// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// The straight line through values over time that least squares fit best.
///
/// Neighbours are alike: memory is where it was a second ago. As values of their own, many of them would make any
/// wandering a sure trend. They are put together to a few means, so that the error is told by what lasts.
package struct Trend: Sendable, Equatable {
    /// Means that a line goes through, at most, where there are twice as many points.
    private static let meanCount = 8

    package let perHour: Double
    /// Of the slope; nil where the points are too few to tell: two lie on a line always.
    package let standardErrorPerHour: Double?
    package let count: Int

    /// Nil where there is no line: fewer than two points, or all at one time.
    package init?(_ all: [(seconds: Double, value: Double)]) {
        guard all.count >= 2 else { return nil }
        let points = Self.means(all)
        let count = Double(points.count)
        let meanTime = points.reduce(0) { $0 + $1.seconds } / count
        let meanValue = points.reduce(0) { $0 + $1.value } / count
        var (squares, products) = (0.0, 0.0)
        for point in points {
            squares += (point.seconds - meanTime) * (point.seconds - meanTime)
            products += (point.seconds - meanTime) * (point.value - meanValue)
        }
        guard squares > 0 else { return nil }
        let slope = products / squares
        var residuals = 0.0
        for point in points {
            let residual = point.value - meanValue - slope * (point.seconds - meanTime)
            residuals += residual * residual
        }
        perHour = slope * 3_600
        standardErrorPerHour =
            points.count > 2 ? (residuals / (count - 2) / squares).squareRoot() * 3_600 : nil
        self.count = points.count
    }

    /// Of as many points each, up to one.
    private static func means(_ points: [(seconds: Double, value: Double)]) -> [(seconds: Double, value: Double)] {
        guard points.count >= 2 * meanCount else { return points }
        return (0..<meanCount).map { index in
            let part = points[index * points.count / meanCount..<(index + 1) * points.count / meanCount]
            let count = Double(part.count)
            return (part.reduce(0) { $0 + $1.seconds } / count, part.reduce(0) { $0 + $1.value } / count)
        }
    }

    /// Beyond what chance makes of values without a trend in nineteen of twenty cases.
    package var isSignificant: Bool {
        guard let standardErrorPerHour else { return false }
        return abs(perHour) > standardErrorPerHour * StudentT.quantile975(count - 2)
    }

    /// The slope, or 0 where it may be chance.
    package var perHourBeyondChance: Double { isSignificant ? perHour : 0 }

    /// `+1.2 MiB/h, more than chance (standard error 0.3 MiB/h)`; `format` tells an amount that is not negative.
    package func text(_ format: (Double) -> String) -> String {
        let slope = "\(perHour < 0 ? "-" : "+")\(format(abs(perHour)))/h"
        guard let standardErrorPerHour else { return "\(slope) (too few intervals to tell its error)" }
        let error = "standard error \(format(standardErrorPerHour))/h"
        return isSignificant ? "\(slope), more than chance (\(error))" : "none to be told: \(slope), \(error)"
    }

    /// Of a run's measured intervals, at their middles.
    package static func latency99(_ record: RunRecord) -> Trend? {
        Trend(
            points(record) { interval in
                guard var total = interval.groups.first?.distributions.latency else { return nil }
                for group in interval.groups.dropFirst() { total.add(group.distributions.latency) }
                let summary = DistributionSummary(total)
                return summary.count > 0 ? Double(summary.value("p99")) : nil
            })
    }

    /// Of the server's anonymous memory, in bytes.
    package static func serverMemory(_ record: RunRecord) -> Trend? {
        Trend(points(record) { $0.server?.anonymousByteCount.map(Double.init) })
    }

    private static func points(
        _ record: RunRecord, _ value: (Interval) -> Double?
    ) -> [(seconds: Double, value: Double)] {
        record.intervals.filter { $0.phase == .measuring }.compactMap { interval in
            value(interval).map { (interval.startSeconds + interval.seconds / 2, $0) }
        }
    }
}

/// Student's distribution.
package enum StudentT {
    /// Below which 97.5 % of it lies, for one degree of freedom and more. To four digits.
    private static let table = [
        12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448,
        2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484,
        2.0452, 2.0423,
    ]

    /// Beyond the table, the first terms of the expansion around the normal distribution's quantile (Abramowitz and
    /// Stegun, 26.7.5).
    package static func quantile975(_ freedom: Int) -> Double {
        guard freedom > 0 else { return .infinity }
        guard freedom > table.count else { return table[freedom - 1] }
        let (z, n) = (1.959964, Double(freedom))
        let cube = z * z * z
        return z + (cube + z) / (4 * n) + (5 * cube * z * z + 16 * cube + 3 * z) / (96 * n * n)
    }
}
