// SPDX-License-Identifier: Apache-2.0

/// What a record comes to: computed once, so that a figure is the same in every report.
package struct RunFigures: Sendable {
    package let record: RunRecord
    /// Of each group, in the plan's order: while it was measured, and from the first connection to the end.
    package let measured: [GroupMeasure]
    package let whole: [GroupMeasure]
    /// Of all groups together.
    package let measuredTotal: GroupMeasure
    package let wholeTotal: GroupMeasure
    /// How long was measured.
    package let seconds: Double
    package let errorCount: Int
    package let server: ServerFigures
    /// Of each scheduler, on average over the time that was measured.
    package let usage: [SchedulerUsage]

    package init(_ record: RunRecord) {
        self.record = record
        measured = record.measured
        whole = record.whole
        measuredTotal = Self.sum(measured)
        wholeTotal = Self.sum(whole)
        seconds = record.measuredSeconds
        errorCount = record.errors.reduce(0) { $0 + $1.count }
        server = ServerFigures(record.intervals)
        usage = Self.usage(record.intervals.filter { $0.phase == .measuring })
    }

    private static func sum(_ groups: [GroupMeasure]) -> GroupMeasure {
        guard var result = groups.first else { return GroupMeasure() }
        for group in groups.dropFirst() { result.add(group) }
        return result
    }

    private static func usage(_ intervals: [Interval]) -> [SchedulerUsage] {
        let count = intervals.map(\.usage.count).max() ?? 0
        return (0..<count).map { index in
            var (cpu, wait, seconds) = (0.0, 0.0, 0.0)
            for interval in intervals where index < interval.usage.count {
                cpu += interval.usage[index].cpuShare * interval.seconds
                wait += interval.usage[index].waitShare * interval.seconds
                seconds += interval.seconds
            }
            return seconds > 0
                ? SchedulerUsage(cpuShare: cpu / seconds, waitShare: wait / seconds)
                : SchedulerUsage(cpuShare: 0, waitShare: 0)
        }
    }

    package var scenario: Scenario { record.plan.scenario }
    /// Where the first group connects to.
    package var url: String { record.plan.groups.first?.target.urls.first ?? "" }
    /// Clients whose connection opened. One that comes back later is not counted again.
    package var connectedCount: Int { whole.indices.reduce(0) { $0 + connectedCount(ofGroup: $1) } }

    /// Where clients come back because that is their work, there are more connections than clients, and none is a
    /// reconnection.
    package func connectedCount(ofGroup index: Int) -> Int {
        let counters = whole[index].counters
        return min(max(counters.opened - counters.reconnected, 0), record.plan.groups[index].clientCount)
    }

    package func perSecond(_ path: KeyPath<Counters, Int>) -> Double {
        perSecond(measuredTotal.counters[keyPath: path])
    }
    package func perSecond(_ count: Int) -> Double { seconds > 0 ? Double(count) / seconds : 0 }

    /// Of what is completed: round trips, deliveries, handshakes.
    package var rate: Double { perSecond(\.completed) }
    package var completedPerCPUSecond: Double? { server.completedPerCPUSecond }

    /// Messages that were sent and have not been answered by the end.
    package var unansweredCount: Int { max(wholeTotal.counters.sent - wholeTotal.counters.completed, 0) }

    /// Errors for each hundred messages that were due (or sent, where there is no schedule); of connections begun,
    /// where there are no messages.
    package var errorPercent: Double? {
        let counters = wholeTotal.counters
        let base = counters.due > 0 ? counters.due : counters.sent > 0 ? counters.sent : counters.started
        return base > 0 ? Double(errorCount) / Double(base) * 100 : nil
    }

    /// What the load tester's memory grew by for each connection.
    package var generatorBytesPerConnection: Double? {
        guard let counts = record.ownByteCounts, connectedCount > 0 else { return nil }
        return (Double(counts.after) - Double(counts.before)) / Double(connectedCount)
    }
}

/// What the samples of the server's process come to.
package struct ServerFigures: Sendable {
    /// CPU time of the server while it was measured, and what it completed in that time.
    package private(set) var cpuSeconds: Double?
    package private(set) var completedCount = 0
    /// From the sample before the first measured interval, or the first sample there is, to the last.
    package private(set) var sampledSeconds = 0.0
    /// Bytes for each open connection, by kind.
    package private(set) var bytesPerConnection: [String: Double] = [:]
    /// What the kind "anonymous" grew by, and for how many connections.
    package private(set) var anonymousGrowth: (byteCount: Int, connectionCount: Int)?

    package static let memoryKinds: [(name: String, path: any KeyPath<ServerSample, Int?> & Sendable)] = [
        ("anonymous", \.anonymousByteCount), ("resident", \.residentByteCount),
        ("proportional", \.proportionalByteCount), ("slab", \.slabByteCount), ("socket", \.socketByteCount),
    ]

    package init(_ intervals: [Interval]) {
        setCPU(intervals)
        setMemory(intervals)
    }

    /// Samples are of intervals' ends.
    private mutating func setCPU(_ intervals: [Interval]) {
        guard let first = intervals.firstIndex(where: { $0.phase == .measuring }) else { return }
        var last = intervals[..<first].last { $0.server != nil }?.server
        for interval in intervals[first...] where interval.phase == .measuring {
            guard let sample = interval.server else { continue }
            if let last {
                // A server that was started again counts from zero.
                let difference = sample.cpuSeconds - last.cpuSeconds
                cpuSeconds = (cpuSeconds ?? 0) + (difference >= 0 ? difference : sample.cpuSeconds)
                completedCount += interval.groups.reduce(0) { $0 + $1.counters.completed }
                sampledSeconds += interval.seconds
            }
            last = sample
        }
    }

    package var completedPerCPUSecond: Double? {
        cpuSeconds.flatMap { $0 > 0 ? Double(completedCount) / $0 : nil }
    }

    /// In cores.
    package var cpuShare: Double? { cpuSeconds.flatMap { sampledSeconds > 0 ? $0 / sampledSeconds : nil } }

    /// From the first sample, best taken before the first connection, to the last measured one with as many open
    /// connections as there were.
    private mutating func setMemory(_ intervals: [Interval]) {
        let sampled = intervals.filter { $0.server != nil }
        let measured = sampled.filter { $0.phase == .measuring }
        let openCountMax = measured.map(Self.openCount).max()
        guard let first = sampled.first, let last = measured.last(where: { Self.openCount($0) == openCountMax }),
            let before = first.server, let after = last.server
        else { return }
        let connectionCount = Self.openCount(last) - Self.openCount(first)
        guard connectionCount > 0 else { return }
        for (name, path) in Self.memoryKinds {
            guard let old = before[keyPath: path], let new = after[keyPath: path] else { continue }
            bytesPerConnection[name] = (Double(new) - Double(old)) / Double(connectionCount)
            if name == "anonymous" { anonymousGrowth = (new - old, connectionCount) }
        }
    }

    private static func openCount(_ interval: Interval) -> Int { interval.open.reduce(0, +) }
}
