// SPDX-License-Identifier: Apache-2.0

import LoadTesting

/// Runs that never were, the same each time.
enum SampleRun {
    static let injected = "<img src=x onerror=alert(1)><script>document.title='owned'</script>&\"'"

    static func plan(_ scenario: Scenario = .echo, groups: [String] = ["echo"]) -> LoadPlan {
        let behaviour = Behaviour.echo(EchoPlan(size: .fixed(64), inFlight: 2, isText: false))
        var plan = LoadPlan(
            scenario, groups: groups.map { ClientGroup($0, 100, Target(["ws://127.0.0.1:9001/echo"]), behaviour) })
        plan.durationSeconds = 10
        return plan
    }

    /// Two seconds of warm-up, then what is measured. The slowest round trip takes `slowest` nanoseconds.
    static func record(_ plan: LoadPlan, intervalCount: Int, slowest: UInt64 = 9_000_000) -> RunRecord {
        var record = RunRecord(plan: plan, startedAt: 1_790_000_000)
        for index in 0..<intervalCount {
            var measure = GroupMeasure()
            measure.counters.completed = 1_000 + index % 7
            measure.counters.sent = measure.counters.completed
            if index == 0 { measure.counters.opened = 100 }
            for value in 1...20 { measure.distributions.record(UInt64(value) * 100_000, in: \.latency) }
            if index == intervalCount / 2 { measure.distributions.record(slowest, in: \.latency) }
            var sample = ServerSample(cpuSeconds: Double(index) * 0.5)
            sample.anonymousByteCount = (100 + index) << 20
            record.intervals.append(
                Interval(
                    phase: index < 2 ? .warmup : .measuring, startSeconds: Double(index), seconds: 1,
                    groups: plan.groups.map { _ in measure }, open: plan.groups.map { _ in 100 },
                    usage: [SchedulerUsage(cpuShare: 0.5, waitShare: 0.01)], server: sample))
        }
        return record
    }
}
