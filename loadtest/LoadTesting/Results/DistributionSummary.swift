// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// What a histogram of nanoseconds says, in nanoseconds.
package struct DistributionSummary: Sendable, Equatable {
    package let count: Int
    /// Of the middles of slots; 0 where nothing was measured, as are the rest.
    package let mean: Double
    package let min: UInt64
    package let max: UInt64
    /// In the order of `percentiles`.
    package let values: [UInt64]

    package static let percentiles: [(name: String, percent: Double)] = [
        ("p50", 50), ("p75", 75), ("p90", 90), ("p95", 95), ("p99", 99), ("p99.9", 99.9), ("p99.99", 99.99),
    ]

    package init(_ histogram: NanosecondHistogram) {
        count = Int(clamping: histogram.totalCount)
        mean = HistogramSlots(histogram).mean
        min = count == 0 ? 0 : histogram.min
        max = histogram.maxRecorded
        values = Self.percentiles.map { histogram.valueAtPercentile($0.percent) }
    }

    /// That many percent of the values are not above this one; 0 where nothing was measured.
    static func value(_ histogram: NanosecondHistogram, _ percent: Double) -> UInt64 {
        histogram.valueAtPercentile(percent)
    }

    /// The value of one of the percentiles.
    package func value(_ name: String) -> UInt64 {
        zip(Self.percentiles, values).first { $0.0.name == name }?.1 ?? 0
    }

    package var rows: [(name: String, nanoseconds: UInt64)] {
        [("min", min)] + zip(Self.percentiles, values).map { ($0.0.name, $0.1) } + [("max", max)]
    }
}
