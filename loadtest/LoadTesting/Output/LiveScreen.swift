// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// The lines of a terminal that show a running test. Pure.
package struct LiveScreen {
    private let state: LiveState
    private let now: Double
    private let width: Int
    private let glyphs: TerminalGlyphs
    /// Where values begin, behind the names.
    private static let nameWidth = 15
    private static let figureWidth = 11
    private static let errorKindCountMax = 3
    private static let groupCountMax = 6

    /// `now` is in seconds since the view began.
    package init(_ state: LiveState, at now: Double, width: Int, glyphs: TerminalGlyphs) {
        self.state = state
        self.now = now
        self.width = max(width, 1)
        self.glyphs = glyphs
    }

    /// None is longer than the width.
    package var lines: [TerminalLine] {
        var lines = [title, phaseLine, connections]
        if state.plan.scenario.isAboutConnecting { lines.append(connectedBar) }
        if state.last != nil {
            if state.plan.completedNoun != nil { lines.append(rate) }
            if let losses { lines.append(losses) }
            lines += distribution
            lines += usage
        }
        lines += errors
        return lines.map { line in
            (glyphs == .ascii ? line.inASCII : line).cut(to: width, ellipsis: glyphs.ellipsis)
        }
    }

    private var title: TerminalLine {
        var line = TerminalLine("loadtest \(state.plan.scenario.rawValue)", .bold)
        var urls: [String] = []
        for url in state.plan.groups.flatMap(\.target.urls) where !urls.contains(url) { urls.append(url) }
        guard let first = urls.first else { return line }
        line.append("  " + first)
        if urls.count > 1 { line.append(" and \(urls.count - 1) more", .dim) }
        return line
    }

    private func named(_ name: String) -> TerminalLine {
        var line = TerminalLine("  " + name, .dim)
        line.pad(to: Self.nameWidth)
        return line
    }

    // MARK: Phase

    private var phaseLine: TerminalLine {
        var line = TerminalLine("  \(state.phase.words)", .accent)
        line.pad(to: Self.nameWidth)
        let elapsed = max(now - state.phaseSince, 0)
        if state.phase == .connecting, state.clientCount > 0 {
            appendBar(Double(state.settledCount) / Double(state.clientCount), to: &line, " \(seconds(elapsed))")
        } else if let progress = state.progress(at: now), let all = state.phaseSeconds {
            let left = max((all - elapsed).rounded(.up), 0)
            let note = " \(seconds(min(elapsed, all))) of \(seconds(all)), \(seconds(left)) left"
            appendBar(progress, to: &line, note)
        } else {
            line.append("\(seconds(elapsed)), until Ctrl-C")
        }
        return line
    }

    private func seconds(_ value: Double) -> String { Format.elapsed(value) }

    private func appendBar(_ share: Double, to line: inout TerminalLine, _ note: String) {
        let bar = glyphs.bar(share, width: min(width - line.columnCount - note.count, 40))
        if bar.full.count + bar.empty.count >= 5 {
            line.append(bar.full, .accent)
            line.append(bar.empty, .dim)
            line.append(note)
        } else {
            line.append(String(note.dropFirst()))
        }
    }

    // MARK: Connections

    private var connections: TerminalLine {
        var line = named("connections")
        line.append("\(Format.grouped(state.openCount)) open of \(Format.grouped(state.clientCount))")
        let ended = state.total.reduce(0) { $0 + $1.counters.ended }
        let returned = state.total.reduce(0) { $0 + $1.counters.reconnected }
        if ended > 0 { line.append("\(glyphs.separator)\(Format.grouped(ended)) ended") }
        if returned > 0 { line.append("\(glyphs.separator)\(Format.grouped(returned)) came back") }
        if state.failedCount > 0 {
            line.append(glyphs.separator)
            line.append("\(Format.grouped(state.failedCount)) failed to open", .bad)
        }
        return line
    }

    private var connectedBar: TerminalLine {
        var line = named("connected")
        let share = state.clientCount > 0 ? Double(state.openCount) / Double(state.clientCount) : 0
        appendBar(share, to: &line, " \(Format.decimal(share * 100, digits: 1)) %")
        return line
    }

    // MARK: What is measured

    private var rate: TerminalLine {
        var line = named(state.plan.completedNoun ?? "completed")
        line.append("\(Format.grouped(Int((state.rates.last ?? 0).rounded())))/s", .bold)
        line.pad(to: Self.nameWidth + 14)
        let room = width - line.columnCount
        if room >= 8 { line.append(glyphs.sparkline(Array(state.rates.suffix(room))), .accent) }
        return line
    }

    private var losses: TerminalLine? {
        let counters = state.total.reduce(Counters()) { $0 + $1.counters }
        let isWatched = [.fanout, .mixed].contains(state.plan.scenario) && state.plan.hasDeliveries
        guard isWatched || counters.lost + counters.duplicated + counters.reordered > 0 else { return nil }
        var line = named("losses")
        for (count, word) in [(counters.lost, "lost"), (counters.duplicated, "twice"), (counters.reordered, "late")] {
            if word != "lost" { line.append(glyphs.separator) }
            line.append("\(Format.grouped(count)) \(word)", count > 0 ? .bad : .plain)
        }
        return line
    }

    private static let percentiles: [(name: String, value: Double)] = [
        ("p50", 50), ("p90", 90), ("p99", 99), ("p99.9", 99.9), ("max", 100),
    ]

    private var distribution: [TerminalLine] {
        let all = state.total.together.distributions
        let choice = DistributionChoice.main(of: state.plan.scenario, in: all)
        guard all[keyPath: choice.path].totalCount > 0 else { return [] }
        // As many columns as fit: the ends of the list are wanted most.
        var kept = Self.percentiles
        for name in ["p90", "p99.9", "p50"] where Self.nameWidth + kept.count * Self.figureWidth > width {
            kept.removeAll { $0.name == name }
        }
        var head = named(choice.title)
        for (name, _) in kept { head.append(String(repeating: " ", count: Self.figureWidth - name.count) + name, .dim) }
        var lines = [head]
        func row(_ name: String, _ histogram: NanosecondHistogram) {
            var line = named(name)
            for (_, percentile) in kept {
                let text = histogram.totalCount == 0 ? "-" : Format.duration(nanoseconds: value(percentile, histogram))
                line.append(String(repeating: " ", count: max(Self.figureWidth - text.count, 0)) + text)
            }
            lines.append(line)
        }
        if let last = state.last { row("  now", last.groups.together.distributions[keyPath: choice.path]) }
        row("  so far", all[keyPath: choice.path])
        if state.plan.groups.count > 1 {
            for (group, measure) in zip(state.plan.groups, state.total).prefix(Self.groupCountMax) {
                let name = TerminalText.prefix(of: group.name, columnCount: Self.nameWidth - 5)
                row("  " + name, measure.distributions[keyPath: choice.path])
            }
        }
        return lines
    }

    private func value(_ percentile: Double, _ histogram: NanosecondHistogram) -> UInt64 {
        histogram.valueAtPercentile(percentile)
    }

    // MARK: Load tester and server

    private var usage: [TerminalLine] {
        var lines: [TerminalLine] = []
        if let last = state.last, !last.usage.isEmpty {
            let busiest = last.usage.map(\.cpuShare).max() ?? 0
            let waited = last.usage.map(\.waitShare).max() ?? 0
            var line = named("load tester")
            line.append(
                Format.percent(last.usage.reduce(0) { $0 + $1.cpuShare }) + " CPU", busiest > 0.9 ? .bad : .plain)
            line.append("\(glyphs.separator)busiest of \(last.usage.count) threads \(Format.percent(busiest))")
            if waited >= 0.01 { line.append("\(glyphs.separator)waited \(Format.percent(waited))") }
            let lag = last.groups.together.distributions.lag
            if lag.totalCount > 0 {
                line.append("\(glyphs.separator)late by p99 \(Format.duration(nanoseconds: value(99, lag)))")
            }
            lines.append(line)
        }
        guard let server = state.last?.server else { return lines }
        var parts: [String] = []
        if let cores = state.serverCoreCount { parts.append(Format.percent(cores) + " CPU") }
        if let bytes = server.anonymousByteCount ?? server.residentByteCount {
            parts.append(Format.bytes(bytes) + " memory")
        }
        if let count = server.descriptorCount { parts.append("\(Format.grouped(count)) descriptors") }
        guard !parts.isEmpty else { return lines }
        var line = named("server")
        line.append(parts.joined(separator: glyphs.separator))
        return lines + [line]
    }

    // MARK: Errors

    private var errors: [TerminalLine] {
        var lines: [TerminalLine] = []
        for error in state.errors.prefix(Self.errorKindCountMax) {
            var line = named(lines.isEmpty ? "errors" : "")
            line.append("\(Format.grouped(error.count)) x \(error.kind)", .bad)
            lines.append(line)
        }
        let further = state.errors.count - lines.count
        if further > 0 {
            var line = named("")
            line.append("and \(further) more kinds of error", .bad)
            lines.append(line)
        }
        return lines
    }
}

extension Phase {
    var words: String {
        switch self {
        case .connecting: "connecting"
        case .warmup: "warming up"
        case .measuring: "measuring"
        case .ending: "ending"
        }
    }
}

extension Format {
    static func percent(_ share: Double) -> String { decimal(share * 100, digits: 0) + " %" }

    /// 12 s, 3:07 min, 1:02:03 h.
    static func elapsed(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 1e9 else { return "\(seconds) s" }
        let whole = Int(max(seconds, 0))
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return switch whole {
        case ..<120: "\(whole) s"
        case ..<7_200: "\(whole / 60):\(two(whole % 60)) min"
        case _: "\(whole / 3_600):\(two(whole / 60 % 60)):\(two(whole % 60)) h"
        }
    }
}
