// SPDX-License-Identifier: Apache-2.0

import Histogram
import LoadTesting
import Roost
import Testing

extension TrafficTests {
    @Suite struct TimelineTests {
        private func measure(_ random: inout SeededGenerator) -> GroupMeasure {
            var measure = GroupMeasure()
            for (_, path) in Counters.all {
                measure.counters[keyPath: path] = Int.random(in: 0...1_000, using: &random)
            }
            // Small histograms: the test makes thousands.
            for (_, path) in Distributions.all {
                measure.distributions[keyPath: path] = NanosecondHistogram(
                    highestTrackableValue: 1 << 13, numberOfSignificantValueDigits: .three)
                for _ in 0..<Int.random(in: 0...3, using: &random) {
                    measure.distributions[keyPath: path].record(UInt64.random(in: 0...(1 << 13), using: &random))
                }
            }
            return measure
        }

        private struct Totals: Equatable {
            var counters: Counters
            var values: [[UInt64]]

            init(_ measure: GroupMeasure) {
                counters = measure.counters
                values = Distributions.all.map { _, path in
                    measure.distributions[keyPath: path].recordedValues().flatMap { [$0.value, $0.count] }
                }
            }
        }

        @Test(
            "however long the run, the timeline is bounded and its totals are exact", arguments: [1, 2, 3] as [UInt64])
        func coarsening(seed: UInt64) {
            var random = SeededGenerator(seed: seed)
            var record = RunRecord(
                plan: .short(.soak, .of("ws://h/", 1, .idle), .of("ws://h/", 1, .idle)), startedAt: 0)
            var expected = [Phase: [GroupMeasure]]()
            var seconds = 0.0
            // Steps are as long as the timeline says at the time.
            while seconds < 2_500 {
                let phase: Phase =
                    seconds < 3 ? .connecting : seconds < 40 ? .warmup : seconds < 2_490 ? .measuring : .ending
                let groups = [measure(&random), measure(&random)]
                for (index, group) in groups.enumerated() {
                    expected[phase, default: [GroupMeasure(), GroupMeasure()]][index].add(group)
                }
                let length = record.plan.intervalSeconds
                let end = seconds + length
                record.append(
                    Interval(
                        phase: phase, startSeconds: seconds, seconds: length, groups: groups,
                        open: [Int(end), 2 * Int(end)],
                        usage: [SchedulerUsage(cpuShare: 0.25, waitShare: 0.5)], server: ServerSample(cpuSeconds: end)))
                seconds = end
                #expect(record.intervals.count < RunRecord.intervalCountMax)
            }
            #expect(record.intervals.count > RunRecord.intervalCountMax / 4, "seed \(seed)")
            #expect(record.plan.intervalSeconds == 8)
            for phase in Phase.allCases {
                var sum = [GroupMeasure(), GroupMeasure()]
                for interval in record.intervals where interval.phase == phase {
                    for (index, group) in interval.groups.enumerated() { sum[index].add(group) }
                }
                #expect(sum.map(Totals.init) == (expected[phase] ?? sum).map(Totals.init), "seed \(seed), \(phase)")
            }
            #expect(record.measuredSeconds >= 2_440 && record.measuredSeconds <= 2_460)
            checkOrder(record, until: seconds)
        }

        /// Intervals follow each other without a gap, in the order of their phases, and end with what was last.
        private func checkOrder(_ record: RunRecord, until end: Double) {
            var time = 0.0
            for interval in record.intervals {
                #expect(interval.startSeconds == time)
                time += interval.seconds
                #expect(interval.open == [Int(time), 2 * Int(time)])
                #expect(interval.server?.cpuSeconds == time)
                #expect(interval.usage == [SchedulerUsage(cpuShare: 0.25, waitShare: 0.5)])
            }
            #expect(time == end)
            let phases = record.intervals.map { Phase.allCases.firstIndex(of: $0.phase)! }
            #expect(phases == phases.sorted())
        }

        @Test("neighbours of different phases stay apart, whatever they are")
        func phasesStayApart() {
            var record = RunRecord(plan: .short(.soak, .of("ws://h/", 1, .idle)), startedAt: 0)
            for step in 0..<(2 * RunRecord.intervalCountMax) {
                record.append(
                    Interval(
                        phase: step % 2 == 0 ? .warmup : .measuring, startSeconds: Double(step), seconds: 1,
                        groups: [GroupMeasure()], open: [0], usage: [], server: nil))
            }
            #expect(record.intervals.count == 2 * RunRecord.intervalCountMax)
        }

        @Test("the most attempts of a client survive that steps become longer")
        func attempts() {
            var record = RunRecord(plan: .short(.storm, .of("ws://h/", 1, .idle)), startedAt: 0)
            for step in 0..<RunRecord.intervalCountMax {
                var measure = GroupMeasure()
                measure.attemptCountMax = step == 301 ? 9 : 1
                record.append(
                    Interval(
                        phase: .measuring, startSeconds: Double(step), seconds: 1, groups: [measure], open: [0],
                        usage: [], server: nil))
            }
            #expect(record.intervals.count == RunRecord.intervalCountMax / 2)
            #expect(record.whole[0].attemptCountMax == 9)
        }

        @Test("a histogram of a stored interval takes larger values too")
        func compactedHistogramGrows() {
            var record = RunRecord(plan: .short(.soak, .of("ws://h/", 1, .idle)), startedAt: 0)
            var measure = GroupMeasure()
            measure.distributions.latency.record(1_000)
            record.append(
                Interval(
                    phase: .measuring, startSeconds: 0, seconds: 1, groups: [measure], open: [0], usage: [], server: nil
                ))
            var stored = record.intervals[0].groups[0].distributions.latency
            var larger = Distributions.empty()
            larger.record(3_000_000_000_000)
            stored.add(larger)
            #expect(stored.totalCount == 2)
            #expect(record.intervals[0].groups[0].distributions.lag.totalCount == 0)
        }
    }
}

/// Counts what a run tells it.
private final class CheckpointObserver: RunObserver {
    var checkpoints: [RunRecord] = []

    func phaseChanged(_ phase: Phase) {}
    func connecting(settled: Int, of count: Int, failed: Int) {}
    func interval(_ interval: Interval, errors: [TestError]) {}
    func checkpoint(_ record: RunRecord) { checkpoints.append(record) }
    func tick() {}
    func finish() {}
}

extension TrafficTests.TimelineTests {
    @Test("a run hands out what it has found so far, so that a run that is killed leaves something")
    func checkpoints() async throws {
        let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
        var plan = LoadPlan.echo(server.url("/echo"))
        plan.intervalSeconds = 0.02
        let observer = CheckpointObserver()
        let run = LoadRun(
            plan, [try await LocalWorker(plan, WorkerPlace(index: 0, count: 1))], server: nil, observer: observer)
        run.checkpointSeconds = 0
        let record = await run.run()
        await server.stop()
        #expect(observer.checkpoints.count == record.intervals.count)
        #expect(observer.checkpoints.count >= 3)
        for (index, checkpoint) in observer.checkpoints.enumerated() {
            #expect(checkpoint.intervals.count == index + 1)
            #expect(checkpoint.workerCount == 1 && checkpoint.plan == plan)
        }
        #expect(observer.checkpoints.last?.whole[0].counters == record.whole[0].counters)
    }
}
