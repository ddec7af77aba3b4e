// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// The tables below the rows, and what follows them.
extension RunText {
    private static let shown = ["p50", "p90", "p99", "p99.9", "p99.99"]

    /// A row for each distribution that has values.
    static func distributionTable(_ figures: RunFigures) -> String {
        var rows: [[String]] = []
        for (name, path) in Distributions.all {
            let source = name == "connect" ? figures.wholeTotal : figures.measuredTotal
            let histogram = source.distributions[keyPath: path]
            guard histogram.totalCount > 0 else { continue }
            let summary = DistributionSummary(histogram)
            let values = [UInt64(summary.mean), summary.min] + shown.map(summary.value) + [summary.max]
            rows.append([title(name, figures.scenario)] + values.map { Format.duration(nanoseconds: $0) })
        }
        guard !rows.isEmpty else { return "" }
        return "\n" + TextTable.columns([["", "mean", "min"] + shown + ["max"]] + rows)
    }

    private static func title(_ distribution: String, _ scenario: Scenario) -> String {
        switch (distribution, scenario) {
        case ("latency", .fanout): "delivery"
        case ("latency", .ramp), ("latency", .churn): "handshake"
        case ("latency", .rate): "from when due"
        case ("latency", .echo), ("latency", .soak): "round trip"
        case ("recovery", _): "until back"
        case ("lag", _): "sent late by"
        default: distribution
        }
    }

    /// Only where there is more than one group.
    static func groupTable(_ figures: RunFigures) -> String {
        let groups = figures.record.plan.groups
        guard groups.count > 1 else { return "" }
        let rows = groups.indices.map { index in
            let (measured, whole) = (figures.measured[index], figures.whole[index])
            let latency = DistributionSummary(measured.distributions.latency)
            let values = ["p50", "p99", "p99.9"].map(latency.value) + [latency.max]
            return [
                groups[index].name, Format.grouped(groups[index].clientCount),
                Format.grouped(figures.connectedCount(ofGroup: index)), Format.grouped(whole.counters.failed),
                Format.wholeNumber(figures.perSecond(measured.counters.completed)),
            ] + values.map { latency.count > 0 ? Format.duration(nanoseconds: $0) : "-" }
                + [Format.grouped(whole.counters.lost)]
        }
        let head = ["group", "clients", "opened", "failed", "rate/s", "p50", "p99", "p99.9", "max", "lost"]
        return "\n" + TextTable.columns([head] + rows)
    }

    static func trends(_ figures: RunFigures) -> String {
        guard figures.scenario == .soak else { return "" }
        var rows: [(String, String)] = []
        if let trend = Trend.latency99(figures.record) {
            rows.append(("p99 of each interval", trend.text { Format.duration(nanoseconds: UInt64(min($0, 1e18))) }))
        }
        if let trend = Trend.serverMemory(figures.record) {
            rows.append(("server memory", trend.text(bytes)))
        }
        return rows.isEmpty ? "" : "\n  trend\n" + TextTable.pairs(rows.map { ("  \($0.0)", $0.1) })
    }

    private static func bytes(_ value: Double) -> String {
        value < 1_048_576 ? Format.bytes(Int(value)) : Format.decimal(value / 1_048_576, digits: 1) + " MiB"
    }

    static func warnings(_ record: RunRecord) -> String {
        record.warnings.map { TextTable.wrapped("  warning: ", $0, continued: "    ") }.joined()
    }

    static func errors(_ record: RunRecord) -> String {
        record.errors.map { error in
            let first = Format.decimal(error.firstSeconds, digits: 1)
            return TextTable.wrapped(
                "  error, \(times(error.count)), first after \(first) s: ", error.kind, continued: "    ")
        }.joined()
    }

    static func verdictLines(_ verdicts: [ThresholdVerdict]) -> String {
        verdicts.map { verdict in
            TextTable.wrapped(
                "  \(verdict.passed ? "passed" : "FAILED"), fails if ", "\(verdict.expression): \(verdict.found)",
                continued: "    ")
        }.joined()
    }
}
