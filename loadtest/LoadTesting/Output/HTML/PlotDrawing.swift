// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A plot as SVG, in the size of a wide or of a narrow window: text stays readable where a drawing would shrink.
package struct PlotDrawing {
    package struct Size: Sendable {
        let name: String
        let width: Double
        let height: Double
        let left: Double
        let right: Double
        let xTickCountMax: Int
        let yTickCountMax: Int
        let labelLengthMax: Int

        package static let wide = Size(
            name: "wide", width: 680, height: 300, left: 62, right: 84, xTickCountMax: 8, yTickCountMax: 6,
            labelLengthMax: 10)
        package static let narrow = Size(
            name: "narrow", width: 328, height: 236, left: 52, right: 58, xTickCountMax: 4, yTickCountMax: 5,
            labelLengthMax: 8)

        static let top = 12.0
        static let bottom = 34.0
        var plotWidth: Double { width - left - right }
        var plotHeight: Double { height - Self.top - Self.bottom }
    }

    private let plot: Plot
    private let size: Size
    package let xScale: PlotScale
    package let yScale: PlotScale
    /// Series have as many looks; further ones begin anew.
    static let lookCount = 6
    private static let labelDistanceMin = 13.0

    package init(_ plot: Plot, _ size: Size) {
        self.plot = plot
        self.size = size
        let points = plot.lines.flatMap(\.points)
        let end = points.lazy.map(\.x).max() ?? 0
        switch plot.axis {
        case .elapsed: xScale = .elapsed(to: end, tickCountMax: size.xTickCountMax)
        case .percentile: xScale = .logarithmic(from: 1, to: max(end, 10))
        }
        yScale = .fitting(
            points.compactMap(\.y), isLogarithmicAllowed: plot.isLogarithmicAllowed, base: plot.unit.base)
    }

    package func x(_ value: Double) -> Double { size.left + xScale.position(of: value) * size.plotWidth }
    package func y(_ value: Double) -> Double { Size.top + (1 - yScale.position(of: value)) * size.plotHeight }

    package var svg: HTML {
        let id = "\(plot.name)-\(size.name)"
        return .element(
            "svg",
            [
                "class": "plot-\(size.name)", "viewBox": "0 0 \(number(size.width)) \(number(size.height))",
                "role": "img", "aria-labelledby": "\(id)-title \(id)-desc",
            ],
            .element("title", ["id": "\(id)-title"], .text(plot.title)),
            .element("desc", ["id": "\(id)-desc"], .text(description)),
            shading, hasValues ? grid : nothing, lines, labels,
            .element(
                "line",
                [
                    "class": "cursor", "y1": number(Size.top), "y2": number(Size.top + size.plotHeight), "x1": "-9",
                    "x2": "-9",
                ]))
    }

    private var hasValues: Bool { plot.lines.contains(where: \.hasValues) }

    private var nothing: HTML {
        label("x", size.left + size.plotWidth / 2, Size.top + size.plotHeight / 2, "no values")
    }

    /// For those who hear the plot: what it shows and where each line ends up.
    private var description: String {
        let ranges = plot.lines.compactMap { line -> String? in
            let values = line.points.compactMap(\.y)
            guard let least = values.min(), let greatest = values.max() else { return nil }
            return "\(line.name): from \(plot.unit.label(least)) to \(plot.unit.label(greatest))"
        }
        return ([plot.summary] + (ranges.isEmpty ? ["No values."] : [ranges.joined(separator: "; ") + "."]))
            .joined(separator: " ")
    }

    // MARK: Axes

    private var shading: HTML {
        .joined(
            plot.shaded.map { range in
                let start = x(range.lowerBound), end = x(range.upperBound)
                return .element(
                    "rect",
                    [
                        "class": "shaded", "x": number(start), "y": number(Size.top), "width": number(end - start),
                        "height": number(size.plotHeight),
                    ])
            })
    }

    private var grid: HTML {
        var parts: [HTML] = []
        for tick in yScale.ticks {
            let y = number(self.y(tick))
            parts.append(
                .element(
                    "line",
                    [
                        "class": tick == yScale.low ? "axis" : "grid", "x1": number(size.left),
                        "x2": number(size.left + size.plotWidth), "y1": y, "y2": y,
                    ]))
            parts.append(label("y", size.left - 7, self.y(tick) + 4, plot.unit.label(tick)))
        }
        let bottom = Size.top + size.plotHeight
        for (value, text) in xTicks {
            let x = number(self.x(value))
            parts.append(
                .element(
                    "line", ["class": "axis", "x1": x, "x2": x, "y1": number(bottom), "y2": number(bottom + 4)]))
            parts.append(label("x", self.x(value), bottom + 17, text))
        }
        return .joined(parts)
    }

    private var xTicks: [(Double, String)] {
        switch plot.axis {
        case .elapsed: return xScale.ticks.map { ($0, elapsedLabel($0)) }
        case .percentile:
            let names = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %", "99.99999 %"]
            let all = names.enumerated().map { (pow(10, Double($0.offset)), $0.element) } + [(2, "50 %")]
            let step = size.name == Size.narrow.name && xScale.high > 2_000 ? 2 : 1
            return all.filter { value, _ in
                value <= xScale.high && (value == 2 || Int(log10(value).rounded()) % step == 0)
                    && !(step == 2 && value == 2)
            }
        }
    }

    private func elapsedLabel(_ seconds: Double) -> String {
        if xScale.high < 180 { return PlotUnit.significant(seconds) + " s" }
        let whole = Int(seconds.rounded())
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        if xScale.high < 10_800 { return "\(whole / 60):\(two(whole % 60))" }
        return "\(whole / 3_600):\(two(whole / 60 % 60)) h"
    }

    private func label(_ name: String, _ x: Double, _ y: Double, _ text: String) -> HTML {
        .element("text", ["class": "tick-\(name)", "x": number(x), "y": number(y)], .text(text))
    }

    // MARK: Lines

    private var lines: HTML {
        .joined(
            plot.lines.enumerated().map { index, line in
                let path = self.path(line.points)
                let lone = path.lone.map { point in
                    HTML.element("circle", ["cx": number(point.x), "cy": number(point.y), "r": "3"])
                }
                return .element(
                    "g", ["class": "look-\(index % Self.lookCount)"],
                    [
                        .element(
                            "path",
                            [
                                "class": "line", "d": path.data, "data-line": line.name,
                                "data-points": "\(path.pointCount)",
                            ])
                    ] + lone)
            })
    }

    /// Most gaps leave single points, each a dot: only so many are drawn larger.
    private static let loneCountMax = 50

    package func path(
        _ points: [PlotPoint]
    ) -> (data: String, pointCount: Int, lone: [(x: Double, y: Double)]) {
        var data = "", count = 0, lone: [(x: Double, y: Double)] = []
        var run: [(x: Double, y: Double)] = []
        func endRun() {
            for (index, point) in run.enumerated() {
                data += "\(index == 0 ? "M" : "L")\(number(point.x)) \(number(point.y))"
            }
            if run.count == 1, lone.count < Self.loneCountMax { lone.append(run[0]) }
            count += run.count
            run = []
        }
        for point in points {
            if let value = point.y {
                run.append((x(point.x), y(value)))
            } else {
                endRun()
            }
        }
        endRun()
        return (data, count, lone)
    }

    /// The lines' names at their right ends, moved apart where they would lie on one another.
    private var labels: HTML {
        var ends: [(index: Int, y: Double)] = []
        for (index, line) in plot.lines.enumerated() {
            if let value = line.points.last(where: { $0.y != nil })?.y { ends.append((index, y(value))) }
        }
        let spread = Self.spread(
            ends.map(\.y), distance: Self.labelDistanceMin, low: Size.top + 4, high: Size.top + size.plotHeight)
        return .joined(
            zip(ends, spread).map { end, y in
                let name = plot.lines[end.index].name
                let short = name.count > size.labelLengthMax ? name.prefix(size.labelLengthMax - 1) + "…" : name[...]
                return .element(
                    "text",
                    [
                        "class": "end look-\(end.index % Self.lookCount)", "x": number(size.left + size.plotWidth + 6),
                        "y": number(y + 4),
                    ], .text(String(short)))
            })
    }

    /// The positions, at least `distance` apart and within low...high where there is room, in their given order.
    package static func spread(_ positions: [Double], distance: Double, low: Double, high: Double) -> [Double] {
        let order = positions.indices.sorted { (positions[$0], $0) < (positions[$1], $1) }
        var result = positions
        var least = low
        for index in order {
            result[index] = max(positions[index], least)
            least = result[index] + distance
        }
        var most = high
        for index in order.reversed() {
            result[index] = min(result[index], most)
            most = result[index] - distance
        }
        return result
    }

    /// A tenth of a pixel is enough.
    private func number(_ value: Double) -> String {
        let text = Format.decimal(value, digits: 1)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}
