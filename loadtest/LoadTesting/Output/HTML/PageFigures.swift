// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// A run as a report shows it.
package struct ReportRun: Sendable {
    /// Tells it from the others: a file's name.
    package var name: String
    package var record: RunRecord
    package var verdicts: [ThresholdVerdict]

    package init(name: String, record: RunRecord, verdicts: [ThresholdVerdict] = []) {
        self.name = name
        self.record = record
        self.verdicts = verdicts
    }
}

/// What is drawn and told of one run, worked out once.
struct PageFigures {
    let name: String
    let record: RunRecord
    let verdicts: [ThresholdVerdict]
    /// By group, while it was measured and in all.
    let measured: [GroupMeasure]
    let whole: [GroupMeasure]
    let total: GroupMeasure
    /// Of the server while it was measured.
    let server: ServerFigures
    /// The distribution that the run is about, and by group what it held.
    let choice: DistributionChoice
    let distributions: [NanosecondHistogram]
    let distribution: NanosecondHistogram

    static let percentiles: [(name: String, value: Double)] = [
        ("p50", 50), ("p90", 90), ("p99", 99), ("p99.9", 99.9), ("max", 100),
    ]

    init(_ run: ReportRun) {
        name = run.name
        record = run.record
        verdicts = run.verdicts
        measured = record.measured
        whole = record.whole
        total = measured.together
        server = ServerFigures(record.intervals)
        let all = whole.together
        let choice = DistributionChoice.main(of: record.plan.scenario, in: all.distributions)
        self.choice = choice
        // Clients connect before the measurement begins, as a rule.
        let isMeasured = total.distributions[keyPath: choice.path].totalCount > 0
        distributions = (isMeasured ? measured : whole).map { $0.distributions[keyPath: choice.path] }
        distribution = (isMeasured ? total : all).distributions[keyPath: choice.path]
    }

    var urls: [String] {
        var urls: [String] = []
        for url in record.plan.groups.flatMap(\.target.urls) where !urls.contains(url) { urls.append(url) }
        return urls
    }

    var groupNames: [String] { record.plan.groups.map(\.name) }
    /// Without what the run is about.
    var faults: [TestError] { record.errors.filter { !$0.isExpected } }
    var errorCount: Int { faults.reduce(0) { $0 + $1.count } }
    var completedNoun: String { record.plan.completedNoun ?? "completed" }

    /// Completed in each second of the measurement.
    var rate: Double {
        record.measuredSeconds > 0 ? Double(total.counters.completed) / record.measuredSeconds : 0
    }

    var openedCount: Int { whole.reduce(0) { $0 + $1.counters.opened } }
    /// A phase ends with a step that may be as short as it likes: too few things happened in it for a figure. Where all
    /// that was measured is as short, as a storm may be, it is what there is.
    private var drawn: [Interval] {
        let isLong = { (interval: Interval) in interval.seconds >= record.plan.intervalSeconds / 3 }
        let hasLong = record.intervals.contains { $0.phase == .measuring && isLong($0) }
        return record.intervals.filter { isLong($0) || !hasLong && $0.phase == .measuring && $0.seconds > 0 }
    }

    var openCountMax: Int { record.intervals.map { $0.open.reduce(0, +) }.max() ?? 0 }

    // MARK: Over time

    /// An interval's values stand at its end.
    func timeline(_ value: (Interval) -> Double?) -> [PlotPoint] { timeline(drawn, value) }

    private func timeline(_ intervals: [Interval], _ value: (Interval) -> Double?) -> [PlotPoint] {
        Thinning.thinned(intervals.map { PlotPoint($0.startSeconds + $0.seconds, value($0)) })
    }

    func latency(_ percentile: Double, group: Int? = nil) -> [PlotPoint] {
        timeline { interval in
            let measures = group.map { $0 < interval.groups.count ? [interval.groups[$0]] : [] } ?? interval.groups
            let filled = measures.map { $0.distributions[keyPath: choice.path] }.filter { $0.totalCount > 0 }
            guard var histogram = filled.first else { return nil }
            for other in filled.dropFirst() { histogram.add(other) }
            return Double(histogram.valueAtPercentile(percentile))
        }
    }

    func rate(_ path: KeyPath<Counters, Int>) -> [PlotPoint] { timeline { $0.seconds > 0 ? $0.rate(path) : nil } }

    /// Of every step, however short: no failure is left out.
    func count(_ path: KeyPath<Counters, Int>) -> [PlotPoint] {
        timeline(record.intervals) { interval in
            // At the end every connection is meant to end.
            if interval.phase == .ending { return nil }
            return Double(interval.groups.reduce(0) { $0 + $1.counters[keyPath: path] })
        }
    }

    func open(group: Int? = nil) -> [PlotPoint] {
        timeline { interval in
            group.map { $0 < interval.open.count ? Double(interval.open[$0]) : nil }
                ?? Double(interval.open.reduce(0, +))
        }
    }

    /// Cores that the server used, from one sample to the next.
    var serverCoreCounts: [PlotPoint] {
        var last: (cpu: Double, end: Double)?
        return timeline { interval in
            guard let sample = interval.server else { return nil }
            let end = interval.startSeconds + interval.seconds
            defer { last = (sample.cpuSeconds, end) }
            guard let last, end > last.end else { return nil }
            return max(sample.cpuSeconds - last.cpu, 0) / (end - last.end)
        }
    }

    func server(_ path: KeyPath<ServerSample, Int?>) -> [PlotPoint] {
        timeline { $0.server?[keyPath: path].map(Double.init) }
    }

    var serverByteCountMax: Int? {
        record.intervals.compactMap { $0.server?.anonymousByteCount ?? $0.server?.residentByteCount }.max()
    }

    /// Of the busiest scheduler while it was measured.
    var busiestShare: Double? {
        record.intervals.filter { $0.phase == .measuring }.compactMap { $0.usage.map(\.cpuShare).max() }.max()
    }

    /// Parts of the time that are not measured.
    var unmeasured: [ClosedRange<Double>] {
        var result: [ClosedRange<Double>] = []
        for interval in record.intervals where interval.phase != .measuring && interval.seconds > 0 {
            let end = interval.startSeconds + interval.seconds
            if let last = result.last, interval.startSeconds - last.upperBound < interval.seconds / 2 {
                result[result.count - 1] = last.lowerBound...max(end, last.upperBound)
            } else {
                result.append(interval.startSeconds...end)
            }
        }
        return result
    }

    // MARK: Distribution

    private static let ticksPerHalving = 8

    /// The value that each share of the values stays below; x is 1 / (1 - share), which gives every nine as much room.
    static func percentileCurve(_ histogram: NanosecondHistogram) -> [PlotPoint] {
        let count = histogram.totalCount
        guard count > 0 else { return [] }
        // A share that no single value stands for says nothing: the greatest value is at 1 - 1/count.
        let end = Double(max(count, 2))
        var points: [PlotPoint] = []
        var x = 1.0, step = 0
        while x < end {
            points.append(PlotPoint(x, Double(histogram.valueAtPercentile((1 - 1 / x) * 100))))
            step += 1
            let base = Double(UInt64(1) << UInt64(step / ticksPerHalving))
            x = base * (1 + Double(step % ticksPerHalving) / Double(ticksPerHalving))
        }
        points.append(PlotPoint(end, Double(histogram.maxRecorded)))
        return points
    }
}
