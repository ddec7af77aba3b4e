// SPDX-License-Identifier: Apache-2.0

/// How the fast and the slow subscribers of a run fared.
package struct SlowFigures: Sendable, Equatable {
    package struct Subscribers: Sendable, Equatable {
        package var clientCount: Int
        /// Connections that the server ended, or that broke. A slow client may learn of it at the end only, when it
        /// reads what waits for it.
        package var endedCount: Int
        package var deliveredCount: Int
        package var lostCount: Int
        package var latency: Latency
    }

    package var fast: Subscribers
    package var slow: Subscribers
    /// Why connections of slow clients ended, with close code, and how often.
    package var slowEnds: [TestError]
    /// From before the first connection to the end of the measurement; nil: not known.
    package var serverGrowthByteCount: Int?

    /// Nil where the record is of another kind of run.
    package init?(_ record: RunRecord) {
        guard let fast = Self.subscribers("fast", record), let slow = Self.subscribers("slow", record) else {
            return nil
        }
        self.fast = fast
        self.slow = slow
        let slowEnds = record.errors.filter { $0.isExpected && $0.kind.hasPrefix("slow: ") }
        self.slowEnds = slowEnds
        self.slow.endedCount = slowEnds.reduce(0) { $0 + $1.count }
        let samples = record.intervals.filter { $0.phase != .ending }.compactMap(\.server?.anonymousByteCount)
        if let before = samples.first, let after = samples.last { serverGrowthByteCount = after - before }
    }

    private static func subscribers(_ name: String, _ record: RunRecord) -> Subscribers? {
        guard let index = record.plan.groups.firstIndex(where: { $0.name == name }) else { return nil }
        let measured = record.measured[index]
        // What the load tester itself closes, when the run ends, is not counted.
        let before = record.intervals.filter { $0.phase != .ending }
        return Subscribers(
            clientCount: record.plan.groups[index].clientCount,
            endedCount: before.reduce(0) { $0 + $1.groups[index].counters.ended },
            deliveredCount: measured.counters.completed, lostCount: record.whole[index].counters.lost,
            latency: Latency(measured.distributions.latency))
    }

    /// What a terminal is told.
    package var text: String {
        func row(_ subscribers: Subscribers) -> String {
            let latency = subscribers.latency
            let latencies = [("p50", latency.p50), ("p99", latency.p99), ("max", latency.max)]
                .map { ", \($0) \(Format.duration(nanoseconds: $1))" }.joined()
            return "\(Format.grouped(subscribers.clientCount)) clients, "
                + "\(Format.grouped(subscribers.deliveredCount)) deliveries\(latency.count > 0 ? latencies : ""); "
                + "\(Format.grouped(subscribers.lostCount)) lost, "
                + "\(Format.grouped(subscribers.endedCount)) connections ended"
        }
        var rows = [("fast", row(fast)), ("slow", row(slow))]
        rows += slowEnds.map { ("", "\(Format.grouped($0.count)) x \($0.kind)") }
        if let serverGrowthByteCount { rows.append(("server memory grew by", Format.bytes(serverGrowthByteCount))) }
        return "Slow consumers\n" + TextTable.pairs(rows)
    }
}
