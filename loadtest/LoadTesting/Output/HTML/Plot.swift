// SPDX-License-Identifier: Apache-2.0

/// A value of a line; nil: there was none, and the line has a gap.
package struct PlotPoint: Sendable, Equatable {
    package var x: Double
    package var y: Double?

    package init(_ x: Double, _ y: Double?) {
        self.x = x
        self.y = y
    }
}

/// One line of a plot.
package struct PlotLine: Sendable, Equatable {
    package var name: String
    /// In the order of `x`.
    package var points: [PlotPoint]

    package init(_ name: String, _ points: [PlotPoint]) {
        self.name = name
        self.points = points
    }

    var hasValues: Bool { points.contains { $0.y != nil } }
}

/// Lines over one pair of axes.
package struct Plot: Sendable {
    package enum Axis: String, Sendable {
        /// Seconds since the run began.
        case elapsed
        /// 1 / (1 - percentile), logarithmic.
        case percentile
    }

    /// Of the element in the page.
    package var name: String
    package var title: String
    /// What it shows, in a sentence.
    package var summary: String
    package var unit: PlotUnit
    package var axis = Axis.elapsed
    package var isLogarithmicAllowed = false
    package var lines: [PlotLine]
    /// Parts of the x axis that are not measured.
    package var shaded: [ClosedRange<Double>] = []

    package init(_ name: String, title: String, summary: String, unit: PlotUnit, lines: [PlotLine]) {
        self.name = name
        self.title = title
        self.summary = summary
        self.unit = unit
        self.lines = lines
    }
}

/// A line of few enough points to send around.
package enum Thinning {
    /// Points of a line in a report.
    package static let pointCountMax = 600

    /// At most `countMax` of the points, unchanged: of each stretch its least and its greatest, so that neither a peak
    /// nor a stall is lost. Where a stretch has no value, one point that says so.
    package static func thinned(_ points: [PlotPoint], countMax: Int = pointCountMax) -> [PlotPoint] {
        guard points.count > countMax, countMax >= 4 else { return points }
        // The first and the last stay; two of each stretch between.
        let stretchCount = (countMax - 2) / 2
        let inner = points[1..<(points.count - 1)]
        var result = [points[0]]
        for index in 0..<stretchCount {
            let start = 1 + inner.count * index / stretchCount, end = 1 + inner.count * (index + 1) / stretchCount
            var least = start, greatest = start
            for candidate in start..<end {
                guard let value = points[candidate].y else { continue }
                if points[least].y.map({ value < $0 }) ?? true { least = candidate }
                if points[greatest].y.map({ value > $0 }) ?? true { greatest = candidate }
            }
            result.append(points[min(least, greatest)])
            if least != greatest { result.append(points[max(least, greatest)]) }
        }
        result.append(points[points.count - 1])
        return result
    }
}
