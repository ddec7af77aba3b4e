// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Histogram

/// A run's figures for people: at most 100 columns, no colour.
package enum RunText {
    /// What `body` makes is for standard output: no line is longer than the terminal, if it is one.
    package static func fittingTerminal<Result>(_ body: () throws -> Result) rethrows -> Result {
        guard isatty(STDOUT_FILENO) == 1, let size = TerminalSize.of(STDOUT_FILENO) else { return try body() }
        return try fitting(size.columnCount, body)
    }

    package static func fitting<Result>(_ columnCount: Int, _ body: () throws -> Result) rethrows -> Result {
        try TextTable.$columnCountMax.withValue(min(max(columnCount, 50), 100)) { try body() }
    }

    package static func text(_ figures: RunFigures, verdicts: [ThresholdVerdict] = []) -> String {
        TextTable.wrapped(figures.scenario.rawValue + " ", figures.url, continued: TextTable.indent)
            + TextTable.pairs(rows(figures)) + groupTable(figures) + distributionTable(figures)
            + trends(figures) + findings(figures.record) + warnings(figures.record) + errors(figures.record)
            + verdictLines(verdicts)
    }

    // MARK: What was done

    private static func rows(_ figures: RunFigures) -> [(String, String)] {
        var rows = [("connections", connections(figures))]
        if figures.seconds > 0 { rows.append(("measured", measured(figures))) }
        switch figures.scenario {
        case .echo: rows += messages(figures) + roundTrips(figures)
        case .rate, .soak: rows += messages(figures) + schedule(figures)
        case .idle: rows += connecting(figures)
        case .ramp: rows += connecting(figures) + ends(figures)
        case .churn: rows += connecting(figures) + ends(figures) + messages(figures) + roundTrips(figures)
        case .fanout: rows += deliveries(figures, figures.measuredTotal.counters, figures.wholeTotal.counters)
        case .storm: rows += returns(figures)
        case .slow: rows += traffic(figures) + ends(figures)
        case .mixed: rows += mixed(figures)
        }
        return rows + server(figures) + memory(figures) + generator(figures)
    }

    private static func connections(_ figures: RunFigures) -> String {
        let counters = figures.wholeTotal.counters
        var text =
            "\(Format.grouped(figures.connectedCount)) of \(Format.grouped(figures.record.plan.clientCount)) opened"
        if case .echo(let plan)? = figures.record.plan.groups.first?.behaviour, figures.record.plan.groups.count == 1 {
            text += ", each with \(plan.inFlight) in flight"
        }
        if counters.failed > 0 { text += ", \(Format.grouped(counters.failed)) attempts failed" }
        return text
    }

    private static func measured(_ figures: RunFigures) -> String {
        let workers = figures.record.workerCount
        return Format.decimal(figures.seconds, digits: 2) + " s"
            + (workers > 1 ? " with \(workers) workers" : "")
            + (figures.record.wasInterrupted ? ", until it was interrupted" : "")
    }

    private static func messages(_ figures: RunFigures) -> [(String, String)] {
        let (messageSize, isText): (SizeDistribution, Bool)
        switch figures.record.plan.groups.first?.behaviour {
        case .echo(let plan): (messageSize, isText) = (plan.size, plan.isText)
        case .paced(let plan): (messageSize, isText) = (plan.size, plan.isText)
        case .churn(let plan) where plan.messageCount > 0: (messageSize, isText) = (plan.size, plan.isText)
        case .heartbeat(let plan): (messageSize, isText) = (plan.size, plan.isText)
        case .churn, .idle, .publish, .subscribe, .script, nil: return []
        }
        return [("messages", "\(size(messageSize)), \(isText ? "text" : "binary")")]
    }

    private static func size(_ size: SizeDistribution) -> String {
        switch size {
        case .fixed(let byteCount): "\(Format.grouped(byteCount)) B"
        case .uniform(let least, let most): "\(Format.grouped(least)) to \(Format.grouped(most)) B"
        case .exponential(let mean, let most):
            "\(Format.wholeNumber(mean)) B on average (exponential), at most \(Format.grouped(most)) B"
        case .lognormal(let median, _, let most):
            "\(Format.wholeNumber(median)) B in the middle (lognormal), at most \(Format.grouped(most)) B"
        case .choice(let sizes): sizes.map { Format.grouped($0.byteCount) }.joined(separator: ", ") + " B"
        }
    }

    private static func roundTrips(_ figures: RunFigures) -> [(String, String)] {
        guard figures.measuredTotal.counters.completed > 0 else { return [] }
        return [
            ("round trips", Format.grouped(figures.measuredTotal.counters.completed)),
            ("rate", Format.wholeNumber(figures.rate) + " round trips/s"), payload(figures),
        ]
    }

    private static func payload(_ figures: RunFigures) -> (String, String) {
        let (sent, received) = (figures.perSecond(\.sentByteCount), figures.perSecond(\.receivedByteCount))
        return ("payload", "\(throughput(sent)) sent, \(throughput(received)) received")
    }

    private static func throughput(_ byteCount: Double) -> String {
        byteCount > 0 && byteCount < 1e5
            ? Format.decimal(byteCount / 1e3, digits: 1) + " kB/s"
            : Format.decimal(byteCount / 1e6, digits: 1) + " MB/s"
    }

    private static func schedule(_ figures: RunFigures) -> [(String, String)] {
        let counters = figures.measuredTotal.counters
        let share = counters.due > 0 ? Double(counters.sent) / Double(counters.due) * 100 : 0
        let answered = (
            "answered",
            "\(Format.grouped(counters.completed)), \(Format.perSecond(figures.rate)); "
                + "\(Format.grouped(figures.unansweredCount)) unanswered at the end"
        )
        return [
            ("due", "\(Format.grouped(counters.due)), \(Format.perSecond(figures.perSecond(\.due)))"),
            (
                "sent",
                "\(Format.grouped(counters.sent)), \(Format.perSecond(figures.perSecond(\.sent)))"
                    + (counters.due > 0 ? ", \(Format.decimal(share, digits: 2)) % of what was due" : "")
            ),
        ] + (figures.record.plan.awaitsAnswers ? [answered] : []) + [payload(figures)]
    }

    private static func connecting(_ figures: RunFigures) -> [(String, String)] {
        let intervals = figures.record.intervals.filter { interval in
            interval.groups.contains { $0.counters.opened > 0 }
        }
        let seconds = intervals.reduce(0) { $0 + $1.seconds }
        let opened = figures.wholeTotal.counters.opened
        var rows: [(String, String)] = []
        if seconds > 0 {
            let rate = Format.wholeNumber(Double(opened) / seconds)
            rows.append(
                (
                    "connecting",
                    "\(Format.grouped(opened)) in \(Format.decimal(seconds, digits: 2)) s, \(rate) connections/s"
                ))
        }
        if figures.scenario == .idle, let last = figures.record.intervals.last(where: { $0.phase == .measuring }) {
            rows.append(("held", "\(Format.grouped(last.open.reduce(0, +))) open at the end"))
        }
        return rows
    }

    private static func ends(_ figures: RunFigures) -> [(String, String)] {
        let counters = figures.measuredTotal.counters
        guard counters.ended > 0 else { return [] }
        let rate = Format.wholeNumber(figures.perSecond(\.ended))
        return [("ended", "\(Format.grouped(counters.ended)) while it was measured, \(rate)/s")]
    }

    /// `counters` while it was measured, `whole` from the first connection to the end.
    private static func deliveries(_ figures: RunFigures, _ counters: Counters, _ whole: Counters) -> [(String, String)]
    {
        [
            ("published", "\(Format.grouped(counters.sent)), \(Format.perSecond(figures.perSecond(counters.sent)))"),
            (
                "deliveries",
                "\(Format.grouped(counters.completed)), \(Format.perSecond(figures.perSecond(counters.completed)))"
            ),
            ("lost", share(whole.lost, whole.completed + whole.lost)), ("twice", Format.grouped(whole.duplicated)),
            ("out of order", Format.grouped(whole.reordered)), payload(figures),
        ]
    }

    /// Round trips and deliveries apart; how many connections came and went, where that is the work of some.
    private static func mixed(_ figures: RunFigures) -> [(String, String)] {
        let groups = figures.record.plan.groups
        var rows: [(String, String)] = []
        if figures.record.plan.hasDeliveries {
            let rooms = groups.indices.filter { groups[$0].behaviour.fanOut != nil }
            let counters = rooms.reduce(Counters()) { $0 + figures.measured[$1].counters }
            let whole = rooms.reduce(Counters()) { $0 + figures.whole[$1].counters }
            let others = figures.measuredTotal.counters.completed - counters.completed
            if others > 0 {
                rows.append(
                    ("round trips", "\(Format.grouped(others)), \(Format.perSecond(figures.perSecond(others)))"))
            }
            rows += deliveries(figures, counters, whole)
        } else {
            rows += roundTrips(figures)
        }
        return groups.contains { $0.backoff != nil } ? rows + ends(figures) : rows
    }

    private static func share(_ count: Int, _ base: Int) -> String {
        guard count > 0, base > 0 else { return Format.grouped(count) }
        return "\(Format.grouped(count)), \(Format.decimal(Double(count) / Double(base) * 100, digits: 4)) %"
    }

    private static func returns(_ figures: RunFigures) -> [(String, String)] {
        // At the end all are closed, which is no loss.
        let counters = figures.record.intervals.filter { $0.phase != .ending }.flatMap(\.groups).together.counters
        return [
            ("ended", Format.grouped(counters.ended)),
            ("came back", "\(Format.grouped(counters.reconnected)) of \(Format.grouped(counters.ended))"),
            ("refused", "\(Format.grouped(counters.failed)) of \(Format.grouped(counters.started)) attempts"),
        ] + roundTrips(figures)
    }

    private static func traffic(_ figures: RunFigures) -> [(String, String)] {
        let counters = figures.measuredTotal.counters
        return [
            ("sent", "\(Format.grouped(counters.sent)), \(Format.perSecond(figures.perSecond(\.sent)))"),
            ("received", "\(Format.grouped(counters.received)), \(Format.perSecond(figures.perSecond(\.received)))"),
            payload(figures),
        ]
    }

    // MARK: What it took

    private static func server(_ figures: RunFigures) -> [(String, String)] {
        guard let seconds = figures.server.cpuSeconds else { return [] }
        let share = figures.server.cpuShare.map { ", \(Format.decimal($0 * 100, digits: 0)) % of a core" } ?? ""
        var rows = [("server CPU", Format.decimal(seconds, digits: 2) + " s" + share)]
        if let each = figures.completedPerCPUSecond, each > 0, let noun = figures.record.plan.completedNoun {
            rows.append(("", "\(Format.wholeNumber(each)) \(noun) per CPU second"))
        }
        return rows
    }

    private static func memory(_ figures: RunFigures) -> [(String, String)] {
        let server = figures.server
        var rows: [(String, String)] = []
        if let (byteCount, _) = server.anonymousGrowth, let each = server.bytesPerConnection["anonymous"] {
            let each = Format.wholeNumber(each.rounded())
            rows.append(("server memory", "\(Format.bytes(byteCount)) more, \(each) B for each connection"))
        }
        let others = ["resident", "proportional"].compactMap { kind in
            server.bytesPerConnection[kind].map { "\(kind) \(Format.wholeNumber($0.rounded())) B" }
        }
        if !others.isEmpty { rows.append(("", "\(others.joined(separator: ", ")) for each")) }
        let kernel = [("slab", "slabs"), ("socket", "socket buffers")].compactMap { kind, name in
            server.bytesPerConnection[kind].map { "\(name) \(Format.wholeNumber($0.rounded())) B" }
        }
        if !kernel.isEmpty {
            rows.append(("kernel memory", "\(kernel.joined(separator: ", ")) for each, both ends where both are here"))
        }
        return rows
    }

    private static func generator(_ figures: RunFigures) -> [(String, String)] {
        var rows: [(String, String)] = []
        let usage = figures.usage
        if usage.count <= 4, !usage.isEmpty {
            rows.append(("load tester", ReportParts.usage(usage.map(\.cpuShare), usage.map(\.waitShare))))
        } else if let least = usage.map(\.cpuShare).min(), let most = usage.map(\.cpuShare).max() {
            let wait = usage.map(\.waitShare).max() ?? 0
            rows.append(
                (
                    "load tester",
                    "\(usage.count) threads, \(percent(least)) to \(percent(most)) % of a core"
                        + (wait >= 0.01 ? " (waited up to \(percent(wait)) %)" : "")
                ))
        }
        if figures.scenario == .idle, let counts = figures.record.ownByteCounts,
            let each = figures.generatorBytesPerConnection
        {
            let growth = Format.bytes(counts.after - counts.before)
            let name = rows.isEmpty ? "load tester" : ""
            rows.append((name, "\(growth) more, \(Format.wholeNumber(each.rounded())) B for each connection"))
        }
        return rows
    }

    private static func percent(_ share: Double) -> String { Format.decimal(share * 100, digits: 0) }
    static func times(_ count: Int) -> String { count == 1 ? "once" : "\(Format.grouped(count)) times" }
}
