// SPDX-License-Identifier: Apache-2.0

import Histogram
import LoadTesting

/// Records made up for tests.
enum SampleRecords {
    /// Nothing in it is left at its default.
    static func random(_ random: inout SeededGenerator) -> RunRecord {
        let groupCount = Int.random(in: 1...3, using: &random)
        var plan = LoadPlan(
            Scenario.allCases.randomElement(using: &random)!,
            groups: (0..<groupCount).map { group("group \($0) \u{1F600}", Int.random(in: 1...5_000, using: &random)) })
        plan.durationSeconds = Double.random(in: 0...100, using: &random)
        var record = RunRecord(plan: plan, startedAt: Double.random(in: 0...2e9, using: &random))
        record.workerCount = Int.random(in: 1...64, using: &random)
        record.wasInterrupted = Bool.random(using: &random)
        record.warnings = ["a \"quoted\"\nwarning"]
        record.errors = [TestError(kind: "connection ended: é", count: 3, firstSeconds: 0.1 + 0.2)]
        if Bool.random(using: &random) { record.ownByteCounts = (1 << 20, 1 << 30) }
        for index in 0..<Int.random(in: 0...6, using: &random) {
            record.intervals.append(interval(index, groupCount, &random))
        }
        return record
    }

    private static func interval(_ index: Int, _ groupCount: Int, _ random: inout SeededGenerator) -> Interval {
        var server: ServerSample?
        if Bool.random(using: &random) {
            server = ServerSample(cpuSeconds: Double.random(in: 0...1e6, using: &random))
            server?.anonymousByteCount = Int.random(in: 0...(1 << 40), using: &random)
            server?.residentByteCount = Bool.random(using: &random) ? 1 : nil
            server?.proportionalByteCount = Bool.random(using: &random) ? 2 : nil
            server?.slabByteCount = Bool.random(using: &random) ? 3 : nil
            server?.socketByteCount = Bool.random(using: &random) ? 4 : nil
            server?.descriptorCount = Bool.random(using: &random) ? 5 : nil
        }
        return Interval(
            phase: Phase.allCases.randomElement(using: &random)!, startSeconds: Double(index) * 1.1,
            seconds: Double.random(in: 0...2, using: &random), groups: (0..<groupCount).map { _ in measure(&random) },
            open: (0..<groupCount).map { _ in Int.random(in: 0...1_000_000, using: &random) },
            usage: (0..<2).map { _ in
                SchedulerUsage(
                    cpuShare: Double.random(in: 0...1, using: &random),
                    waitShare: Double.random(in: 0...1, using: &random))
            }, server: server)
    }

    private static func measure(_ random: inout SeededGenerator) -> GroupMeasure {
        var measure = GroupMeasure()
        for (_, path) in Counters.all {
            measure.counters[keyPath: path] = Int.random(in: 0...(1 << 50), using: &random)
        }
        for (_, path) in Distributions.all where Bool.random(using: &random) {
            for _ in 0..<Int.random(in: 1...20, using: &random) {
                measure.distributions[keyPath: path].record(random.value(), count: random.next() % 1_000 + 1)
            }
        }
        return measure
    }

    static func group(_ name: String, _ clientCount: Int) -> ClientGroup {
        var target = Target(["ws://127.0.0.1:9001/echo"])
        target.headers = ["Name: value"]
        var group = ClientGroup(
            name, clientCount, target,
            .echo(EchoPlan(size: .lognormal(median: 0.1, sigma: 1, max: 9), inFlight: 2, isText: true)))
        group.backoff = .phoenix
        group.arrivalsPerSecond = 1.0 / 3
        return group
    }

    /// A run of one group in which every figure is round: a second of connecting, then `seconds` of measuring.
    static func plain(
        _ scenario: Scenario, clientCount: Int = 100, seconds: Int = 10, name: String = "echo",
        change: (inout Interval, Int) -> Void = { _, _ in }
    ) -> RunRecord {
        var plan = LoadPlan(scenario, groups: [group(name, clientCount)])
        plan.groups[0].behaviour = .echo(EchoPlan(size: .fixed(64), inFlight: 1, isText: false))
        var record = RunRecord(plan: plan, startedAt: 1_700_000_000)
        record.intervals.append(idleInterval(.connecting, 0, open: 0, cpuSeconds: 0.5, byteCount: 10 << 20))
        var connecting = idleInterval(.connecting, 1, open: clientCount, cpuSeconds: 1, byteCount: 12 << 20)
        connecting.groups[0].counters.started = clientCount
        connecting.groups[0].counters.opened = clientCount
        connecting.groups[0].counters.connected = clientCount
        for index in 0..<clientCount {
            connecting.groups[0].distributions.connect.record(1_000_000 + UInt64(index) * 10_000)
        }
        record.intervals.append(connecting)
        for second in 0..<seconds {
            var interval = idleInterval(
                .measuring, second + 2, open: clientCount, cpuSeconds: 1 + 0.5 * Double(second + 1),
                byteCount: 10 << 20 + clientCount * 10_000)
            interval.groups[0].counters.sent = 10_000
            interval.groups[0].counters.received = 10_000
            interval.groups[0].counters.completed = 10_000
            interval.groups[0].counters.sentByteCount = 640_000
            interval.groups[0].counters.receivedByteCount = 640_000
            for step in 1...100 { interval.groups[0].distributions.latency.record(UInt64(step) * 50_000, count: 100) }
            change(&interval, second)
            record.intervals.append(interval)
        }
        record.ownByteCounts = (20 << 20, 20 << 20 + clientCount * 5_000)
        return record
    }

    static func idleInterval(_ phase: Phase, _ start: Int, open: Int, cpuSeconds: Double, byteCount: Int) -> Interval {
        var sample = ServerSample(cpuSeconds: cpuSeconds)
        sample.anonymousByteCount = byteCount
        sample.residentByteCount = byteCount + 4_096
        return Interval(
            phase: phase, startSeconds: Double(start), seconds: start == 0 ? 0 : 1, groups: [GroupMeasure()],
            open: [open],
            usage: [SchedulerUsage(cpuShare: 0.5, waitShare: 0.02), SchedulerUsage(cpuShare: 0.25, waitShare: 0)],
            server: sample)
    }
}
