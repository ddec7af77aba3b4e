// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// Several runs beside each other, each compared with the first.
package enum RunComparison {
    /// A figure of a run, and which way is better; nil where neither is.
    private struct Figure {
        let name: String
        let isMoreBetter: Bool?
        let value: (RunFigures) -> Double?
        let format: (Double) -> String
    }

    /// Changes below this many percent are not marked.
    private static let markedPercent = 1.0

    /// `names` are of the runs, in their order: their files, as a rule.
    package static func text(_ runs: [(name: String, figures: RunFigures)]) -> String {
        guard let first = runs.first else { return "" }
        var result = legend(runs)
        let others = Array(runs.indices.dropFirst())
        // Two at a time beside the first fit a terminal.
        for start in stride(from: 0, to: max(others.count, 1), by: 2) {
            let indices = Array(others[min(start, others.count)..<min(start + 2, others.count)])
            let head = ["", "A"] + indices.flatMap { [letter($0), "change"] }
            let rows = figures.compactMap { row($0, first.figures, indices.map { runs[$0].figures }) }
            result += "\n" + TextTable.columns([head] + rows)
        }
        if !others.isEmpty {
            result +=
                "\n"
                + TextTable.wrapped(
                    TextTable.indent,
                    "Changes are from A; from 1 % on they are marked. One run of each does not tell them from chance: "
                        + "`loadtest compare` does.", continued: TextTable.indent)
        }
        return result
    }

    private static func legend(_ runs: [(name: String, figures: RunFigures)]) -> String {
        runs.enumerated().map { index, run in
            TextTable.wrapped(
                "\(TextTable.indent)\(letter(index))  ",
                "\(run.name): \(run.figures.scenario.rawValue) \(run.figures.url)",
                continued: "     ")
        }.joined()
    }

    /// A to Z, then A1 to Z1.
    private static func letter(_ index: Int) -> String {
        let letter = String(UnicodeScalar(UInt8(65 + index % 26)))
        return index < 26 ? letter : "\(letter)\(index / 26)"
    }

    /// Nil where no run has the figure, or it is zero in all; that there were no errors is worth a row.
    private static func row(_ figure: Figure, _ first: RunFigures, _ others: [RunFigures]) -> [String]? {
        let base = figure.value(first)
        let values = others.map(figure.value)
        let hasSome = ([base] + values).contains { ($0 ?? 0) != 0 }
        guard hasSome || figure.name == "errors" else { return nil }
        var cells = [figure.name, base.map(figure.format) ?? "-"]
        for value in values {
            cells.append(value.map(figure.format) ?? "-")
            cells.append(change(figure, from: base, to: value))
        }
        return cells
    }

    private static func change(_ figure: Figure, from base: Double?, to value: Double?) -> String {
        guard let base, let value else { return "" }
        if base == value { return "0.0 %      " }
        let mark: (Bool) -> String = { isMore in
            guard let isMoreBetter = figure.isMoreBetter else { return "      " }
            return isMore == isMoreBetter ? "better" : "worse "
        }
        guard base > 0 else { return "new  \(mark(value > base))" }
        let percent = (value / base - 1) * 100
        let text = "\(percent < 0 ? "" : "+")\(Format.decimal(percent, digits: 1)) %"
        return "\(text) \(abs(percent) < markedPercent ? "      " : mark(percent > 0))"
    }

    // MARK: Figures

    private static var figures: [Figure] { rates + distributions + faults + costs }

    private static var rates: [Figure] {
        [
            Figure(name: "connected", isMoreBetter: true, value: { Double($0.connectedCount) }, format: whole),
            Figure(name: "completed/s", isMoreBetter: true, value: { $0.rate }, format: whole),
            Figure(name: "sent/s", isMoreBetter: true, value: { $0.perSecond(\.sent) }, format: whole),
            Figure(
                name: "received/s", isMoreBetter: true, value: { $0.perSecond(\.received) }, format: whole),
        ]
    }

    private static var distributions: [Figure] {
        [
            distribution("latency", "mean"), distribution("latency", "p50"), distribution("latency", "p90"),
            distribution("latency", "p99"), distribution("latency", "p99.9"), distribution("latency", "max"),
            distribution("connect", "p50"), distribution("connect", "p99"), distribution("lag", "p99"),
            distribution("recovery", "p50"), distribution("recovery", "p99"), distribution("recovery", "max"),
        ]
    }

    private static func distribution(_ name: String, _ statistic: String) -> Figure {
        Figure(
            name: "\(name) \(statistic)", isMoreBetter: false,
            value: { figures in
                guard let threshold = try? Threshold("\(name).\(statistic)>0") else { return nil }
                return threshold.verdict(figures).value
            },
            format: { Format.duration(nanoseconds: UInt64($0)) })
    }

    private static var faults: [Figure] {
        [
            Figure(name: "errors", isMoreBetter: false, value: { Double($0.errorCount) }, format: whole),
            count("failed", \.failed), count("lost", \.lost), count("duplicated", \.duplicated),
            count("reordered", \.reordered),
        ]
    }

    private static func count(_ name: String, _ path: any KeyPath<Counters, Int> & Sendable) -> Figure {
        Figure(
            name: name, isMoreBetter: false, value: { Double($0.wholeTotal.counters[keyPath: path]) },
            format: whole)
    }

    private static var costs: [Figure] {
        [
            Figure(
                name: "server CPU", isMoreBetter: nil, value: { $0.server.cpuSeconds },
                format: { Format.decimal($0, digits: 2) + " s" }),
            Figure(
                name: "completed/CPU s", isMoreBetter: true, value: { $0.completedPerCPUSecond },
                format: whole),
            Figure(
                name: "memory/connection", isMoreBetter: false, value: { $0.server.bytesPerConnection["anonymous"] },
                format: { whole($0) + " B" }),
        ]
    }

    private static func whole(_ value: Double) -> String { Format.wholeNumber(value) }
}
