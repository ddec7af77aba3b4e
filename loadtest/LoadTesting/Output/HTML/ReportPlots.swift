// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// The plots of a report: of one run with all its lines, or of several with a line for each.
struct ReportPlots {
    private let runs: [PageFigures]
    private static let groupCountMax = 6

    init(_ runs: [PageFigures]) { self.runs = runs }

    var all: [Plot] {
        let plots = runs.count == 1 ? latencies(of: runs[0]) : comparedLatencies
        return (plots + [throughput, connections, percentiles, errors] + server + ownUsage).map { plot in
            var plot = plot
            if plot.axis == .elapsed { plot.shaded = runs.flatMap(\.unmeasured) }
            return plot
        }
    }

    private var isSingle: Bool { runs.count == 1 }
    private var title: String { runs.first?.choice.title.capitalizedFirst ?? "Latency" }

    // MARK: Latency

    private func latencies(of run: PageFigures) -> [Plot] {
        var plot = Plot(
            "latency", title: "\(title) over time", summary: "Percentiles of each interval.", unit: .nanoseconds,
            lines: PageFigures.percentiles.map { PlotLine($0.name, run.latency($0.value)) })
        plot.isLogarithmicAllowed = true
        guard run.groupNames.count > 1 else { return [plot] }
        var groups = Plot(
            "latency-groups", title: "\(title) p99 by group", summary: "The 99th percentile of each interval.",
            unit: .nanoseconds,
            lines: run.groupNames.prefix(Self.groupCountMax).enumerated().map { index, name in
                PlotLine(name, run.latency(99, group: index))
            }.filter(\.hasValues))
        groups.isLogarithmicAllowed = true
        return groups.lines.isEmpty ? [plot] : [plot, groups]
    }

    private var comparedLatencies: [Plot] {
        [("p50", 50.0), ("p99", 99), ("max", 100)].map { name, percentile in
            var plot = Plot(
                "latency-\(name)", title: "\(title) over time, \(name)", summary: "Of each interval.",
                unit: .nanoseconds, lines: runs.map { PlotLine($0.name, $0.latency(percentile)) })
            plot.isLogarithmicAllowed = true
            return plot
        }
    }

    private var percentiles: Plot {
        var lines: [PlotLine]
        if isSingle, runs[0].groupNames.count > 1 {
            lines = zip(runs[0].groupNames, runs[0].distributions).prefix(Self.groupCountMax).map {
                PlotLine($0, PageFigures.percentileCurve($1))
            }.filter(\.hasValues)
        } else {
            lines = runs.map { PlotLine(isSingle ? "all" : $0.name, PageFigures.percentileCurve($0.distribution)) }
        }
        if lines.isEmpty { lines = [PlotLine("all", [])] }
        var plot = Plot(
            "percentiles", title: "\(title) by percentile",
            summary: "How long the given share of all took at most; the line ends with the slowest.",
            unit: .nanoseconds, lines: lines)
        plot.axis = .percentile
        plot.isLogarithmicAllowed = true
        return plot
    }

    // MARK: Counts

    private var throughput: Plot {
        let lines: [PlotLine]
        if isSingle {
            let run = runs[0]
            let named: [(String, KeyPath<Counters, Int>)] = [
                ("completed", \.completed), ("sent", \.sent), ("received", \.received), ("due", \.due),
            ]
            lines = named.filter { name, path in
                name == "completed" || run.whole.contains { $0.counters[keyPath: path] > 0 }
            }.map { PlotLine($0, run.rate($1)) }
        } else {
            lines = runs.map { PlotLine($0.name, $0.rate(\.completed)) }
        }
        let noun = runs.first?.completedNoun ?? "completed"
        return Plot(
            "throughput", title: "Throughput over time",
            summary: isSingle ? "Messages and \(noun) in each second." : "\(noun.capitalizedFirst) in each second.",
            unit: .perSecond, lines: lines)
    }

    private var connections: Plot {
        var lines = runs.map { PlotLine(isSingle ? "open" : $0.name, $0.open()) }
        if isSingle, runs[0].groupNames.count > 1 {
            lines = runs[0].groupNames.prefix(Self.groupCountMax).enumerated().map { index, name in
                PlotLine(name, runs[0].open(group: index))
            }
        }
        return Plot(
            "connections", title: "Connections over time", summary: "Open at the end of each interval.", unit: .count,
            lines: lines)
    }

    private var errors: Plot {
        if !isSingle {
            return Plot(
                "errors", title: "Connections that failed over time", summary: "Failed to open, in each interval.",
                unit: .count, lines: runs.map { PlotLine($0.name, $0.count(\.failed)) })
        }
        let run = runs[0]
        var lines = [PlotLine("failed", run.count(\.failed)), PlotLine("ended", run.count(\.ended))]
        let rare: [(String, KeyPath<Counters, Int>)] = [
            ("lost", \.lost), ("twice", \.duplicated), ("reordered", \.reordered),
        ]
        for (name, path) in rare where run.whole.contains(where: { $0.counters[keyPath: path] > 0 }) {
            lines.append(PlotLine(name, run.count(path)))
        }
        return Plot(
            "errors", title: "Errors over time",
            summary: "Connections that failed to open or ended before the test did, and messages that went astray, "
                + "in each interval.",
            unit: .count, lines: lines)
    }

    // MARK: Processes

    private var server: [Plot] {
        let cpu = Plot(
            "server-cpu", title: "Server CPU over time", summary: "100 % is one core.", unit: .share,
            lines: runs.map { PlotLine(isSingle ? "CPU" : $0.name, $0.serverCoreCounts) })
        let memoryLines =
            isSingle
            ? [
                PlotLine("anonymous", runs[0].server(\.anonymousByteCount)),
                PlotLine("resident", runs[0].server(\.residentByteCount)),
            ] : runs.map { PlotLine($0.name, $0.server(\.anonymousByteCount)) }
        let memory = Plot(
            "server-memory", title: "Server memory over time",
            summary: isSingle
                ? "Anonymous pages, and all pages, of the server's process in RAM."
                : "Anonymous pages of the server's process in RAM.", unit: .bytes,
            lines: memoryLines.filter { !isSingle || $0.hasValues })
        let kernel = Plot(
            "kernel-memory", title: "Kernel memory over time",
            summary: "Of the whole machine, not of the server alone.",
            unit: .bytes,
            lines: isSingle
                ? [
                    PlotLine("slabs", runs[0].server(\.slabByteCount)),
                    PlotLine("sockets", runs[0].server(\.socketByteCount)),
                ].filter(\.hasValues) : [])
        return [cpu, memory, kernel].filter { $0.lines.contains(where: \.hasValues) }
    }

    private var ownUsage: [Plot] {
        func busiest(_ run: PageFigures) -> [PlotPoint] { run.timeline { $0.usage.map(\.cpuShare).max() } }
        var lines = runs.map { PlotLine(isSingle ? "busiest" : $0.name, busiest($0)) }
        if isSingle {
            lines.append(
                PlotLine(
                    "mean",
                    runs[0].timeline { interval in
                        interval.usage.isEmpty
                            ? nil : interval.usage.reduce(0) { $0 + $1.cpuShare } / Double(interval.usage.count)
                    }))
            lines.append(PlotLine("waiting", runs[0].timeline { $0.usage.map(\.waitShare).max() }))
        }
        let plot = Plot(
            "own-cpu", title: "Load tester CPU over time",
            summary: isSingle
                ? "Of its scheduler threads: the busiest, their mean, and how long one waited for a core at most. "
                    + "Near 100 % the load tester sets the pace, and not the server."
                : "Of its busiest scheduler thread. Near 100 % the load tester sets the pace, and not the server.",
            unit: .share, lines: lines)
        return plot.lines.contains(where: \.hasValues) ? [plot] : []
    }
}

extension String {
    var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }
}
