// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// The tables of a report.
enum ReportTables {
    /// One table in a card. The first column names its rows; `wide` columns hold text of any length.
    static func table(_ title: String, _ head: [String], _ rows: [[HTML]]) -> HTML {
        .element(
            "section", ["class": "card"], .element("h3", [:], .text(title)),
            .element(
                "div", ["class": "scroll"],
                .element(
                    "table", [:],
                    .element(
                        "thead", [:],
                        .element("tr", [:], head.map { .element("th", ["scope": "col"], .text($0)) })),
                    .element(
                        "tbody", [:],
                        rows.map { cells in
                            .element(
                                "tr", [:],
                                [.element("th", ["scope": "row"], cells[0])] + cells.dropFirst())
                        }))))
    }

    static func cell(_ text: String, _ look: String = "") -> HTML {
        look.isEmpty ? .element("td", [:], .text(text)) : .element("td", ["class": look], .text(text))
    }

    // MARK: Distributions

    private static let columns: [(name: String, value: Double)] = [
        ("p50", 50), ("p90", 90), ("p99", 99), ("p99.9", 99.9), ("p99.99", 99.99), ("max", 100),
    ]

    /// Of every group, and of all together where there are several; every run's.
    static func distributions(_ runs: [PageFigures]) -> HTML {
        .joined(
            Distributions.all.compactMap { name, path -> HTML? in
                var rows: [[HTML]] = []
                for run in runs {
                    let prefix = runs.count > 1 ? "\(run.name): " : ""
                    let measures = Distributions.isOfWholeRun(name) ? run.whole : run.measured
                    for (group, measure) in zip(run.groupNames, measures) {
                        rows += row(prefix + group, measure.distributions[keyPath: path])
                    }
                    if measures.count > 1 {
                        rows += row(prefix + "all", measures.together.distributions[keyPath: path])
                    }
                }
                guard !rows.isEmpty else { return nil }
                return table(
                    title(ofDistribution: name), ["", "count", "min", "mean"] + columns.map(\.name), rows)
            })
    }

    private static func row(_ name: String, _ histogram: NanosecondHistogram) -> [[HTML]] {
        guard histogram.totalCount > 0 else { return [] }
        let values =
            [histogram.min, UInt64(HistogramSlots(histogram).mean)]
            + columns.map { histogram.valueAtPercentile($0.value) }
        return [
            [.text(name), cell(Format.grouped(Int(histogram.totalCount)))] + values.map { cell(duration($0)) }
        ]
    }

    static func duration(_ nanoseconds: UInt64) -> String {
        let text = Format.duration(nanoseconds: nanoseconds)
        return text.hasSuffix(" us") ? text.dropLast(2) + "µs" : text
    }

    private static func title(ofDistribution name: String) -> String {
        switch name {
        case "latency": "Latency, while measured"
        case "connect": "Connect time, whole run"
        case "lag": "Lateness of the load tester itself, while measured"
        case "recovery": "Time to come back after a lost connection, whole run"
        case "answered": "Time until a client is answered again after a lost connection, whole run"
        case _: name.capitalizedFirst
        }
    }

    // MARK: Counters

    /// Of one run by group; of several, those of all groups together.
    static func counters(_ runs: [PageFigures]) -> HTML {
        var columns: [(name: String, counters: Counters)] = []
        for run in runs {
            if runs.count == 1, run.groupNames.count > 1 {
                for (name, measure) in zip(run.groupNames, run.measured) { columns.append((name, measure.counters)) }
            }
            let prefix = runs.count > 1 ? "\(run.name), " : ""
            columns.append((prefix + "measured", run.total.counters))
            columns.append((prefix + "whole run", run.whole.together.counters))
        }
        let rows = Counters.all.compactMap { name, path -> [HTML]? in
            guard columns.contains(where: { $0.counters[keyPath: path] != 0 }) else { return nil }
            let isBytes = name.hasSuffix("_bytes")
            let words = name.split(separator: "_").joined(separator: " ").capitalizedFirst
            return [.text(words)]
                + columns.map { column in
                    let value = column.counters[keyPath: path]
                    return cell(isBytes ? Format.bytes(value) : Format.grouped(value))
                }
        }
        return rows.isEmpty ? .empty : table("Counters", [""] + columns.map(\.name), rows)
    }

    // MARK: Errors

    static func errors(_ runs: [PageFigures]) -> HTML {
        var rows: [[HTML]] = []
        for run in runs {
            for error in run.record.errors {
                let kind =
                    error.isExpected
                    ? HTML.text("expected: " + error.kind)
                    : HTML.element("span", ["class": "error"], .text(error.kind))
                rows.append(
                    [runs.count > 1 ? .text(run.name) + .text(": ") + kind : kind]
                        + [
                            cell(Format.grouped(error.count)),
                            cell("after " + PlotUnit.significant(error.firstSeconds) + " s"),
                        ])
            }
        }
        guard !rows.isEmpty else { return .empty }
        return table("Errors by kind", ["", "count", "first"], rows)
    }

    // MARK: Comparison

    /// Key figures of several runs in columns, with each one's change from the first.
    static func comparison(_ runs: [PageFigures]) -> HTML {
        let all = runs.map(KeyFigures.of)
        let names = all.flatMap { $0.map(\.name) }.reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
        let rows = names.map { name -> [HTML] in
            let figures = all.map { list in list.first { $0.name == name } }
            return [.text(name)]
                + figures.enumerated().flatMap { index, figure -> [HTML] in
                    let value = cell(figure?.value ?? "–")
                    return index == 0 ? [value] : [value, change(from: figures[0], to: figure)]
                }
        }
        let head = runs.enumerated().flatMap { $0.offset == 0 ? [$0.element.name] : [$0.element.name, "change"] }
        return table("Side by side", [""] + head, rows)
    }

    private static func change(from first: KeyFigure?, to other: KeyFigure?) -> HTML {
        guard let before = first?.number, let after = other?.number, before > 0 else { return cell("–") }
        let share = (after / before - 1) * 100
        let text = (share > 0 ? "+" : share < 0 ? "−" : "") + PlotUnit.significant(abs(share)) + " %"
        guard abs(share) >= 1, let isMoreBetter = first?.isMoreBetter else { return cell(text) }
        let isBetter = (share > 0) == isMoreBetter
        return cell(text + (isBetter ? " better" : " worse"), isBetter ? "better" : "worse")
    }
}

/// One of the large numbers of a report.
struct KeyFigure {
    var name: String
    var value: String
    var note = ""
    var number: Double?
    var isMoreBetter: Bool?
    var isBad = false
}

enum KeyFigures {
    static func of(_ run: PageFigures) -> [KeyFigure] {
        var result: [KeyFigure] = []
        if let noun = run.record.plan.completedNoun, run.record.measuredSeconds > 0 {
            result.append(
                KeyFigure(
                    name: "\(noun.capitalizedFirst) per second", value: Format.grouped(Int(run.rate.rounded())),
                    note: "over \(PlotUnit.significant(run.record.measuredSeconds)) s", number: run.rate,
                    isMoreBetter: true))
        }
        if run.distribution.totalCount > 0 {
            let title = run.choice.title.capitalizedFirst
            for (name, percentile) in [("p50", 50.0), ("p99", 99), ("p99.9", 99.9), ("max", 100)] {
                let value = run.distribution.valueAtPercentile(percentile)
                result.append(
                    KeyFigure(
                        name: "\(title) \(name)", value: ReportTables.duration(value), number: Double(value),
                        isMoreBetter: false))
            }
        }
        result.append(
            KeyFigure(
                name: "Connections", value: Format.grouped(run.openCountMax),
                note: "open at most, of \(Format.grouped(run.record.plan.clientCount)) clients",
                number: Double(run.openCountMax), isBad: run.openCountMax == 0))
        result.append(
            KeyFigure(
                name: "Errors", value: Format.grouped(run.errorCount),
                note: run.errorCount == 0
                    ? "" : run.faults.count == 1 ? "of one kind" : "of \(run.faults.count) kinds",
                number: Double(run.errorCount),
                isMoreBetter: false, isBad: run.errorCount > 0))
        return result + ofServer(run)
    }

    private static func ofServer(_ run: PageFigures) -> [KeyFigure] {
        var result: [KeyFigure] = []
        let lost = run.whole.reduce(0) { $0 + $1.counters.lost }
        if lost > 0 || [.fanout, .mixed].contains(run.record.plan.scenario) && run.record.plan.hasDeliveries {
            result.append(
                KeyFigure(
                    name: run.record.plan.scenario.completedNoun == "deliveries" ? "Deliveries lost" : "Messages lost",
                    value: Format.grouped(lost), number: Double(lost), isMoreBetter: false,
                    isBad: lost > 0))
        }
        if let seconds = run.server.cpuSeconds, let each = run.server.completedPerCPUSecond, each > 0 {
            result.append(
                KeyFigure(
                    name: "\(run.completedNoun.capitalizedFirst) per server CPU second",
                    value: Format.grouped(Int(each.rounded())), note: "\(PlotUnit.significant(seconds)) s of CPU time",
                    number: each, isMoreBetter: true))
        }
        if let bytes = run.serverByteCountMax {
            result.append(
                KeyFigure(
                    name: "Server memory", value: Format.bytes(bytes), note: "at most", number: Double(bytes),
                    isMoreBetter: false))
        }
        if let share = run.busiestShare {
            result.append(
                KeyFigure(
                    name: "Load tester CPU", value: Format.percent(share), note: "its busiest thread, at most",
                    number: share, isBad: share > 0.9))
        }
        return result
    }
}
