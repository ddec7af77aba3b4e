// SPDX-License-Identifier: Apache-2.0

import Histogram
import LoadTesting
import Testing

private func text(
    _ scenario: Scenario, clientCount: Int = 100, change: (inout Interval, Int) -> Void = { _, _ in },
    record edit: (inout RunRecord) -> Void = { _ in }
) -> String {
    var record = SampleRecords.plain(scenario, clientCount: clientCount, change: change)
    edit(&record)
    return RunText.text(RunFigures(record))
}

@Suite struct RunTextTests {
    @Test("an echo run is told in rows and a table of its distributions, with what was wrong and what failed")
    func echo() throws {
        var record = SampleRecords.plain(.echo)
        record.errors = [TestError(kind: "connection ended: 1006", count: 2, firstSeconds: 1.25)]
        record.warnings = [
            "the load tester's threads were busy for more than 80 % of the time: more of them may find a server faster"
        ]
        let figures = RunFigures(record)
        let verdicts = try ["p99>5ms", "recovery.max>1s", "rate<20k"].map { try Threshold($0).verdict(figures) }
        let expected = """
            echo ws://127.0.0.1:9001/echo
              connections     100 of 100 opened, each with 1 in flight
              measured        10.00 s
              messages        64 B, binary
              round trips     100 000
              rate            10 000 round trips/s
              payload         0.6 MB/s sent, 0.6 MB/s received
              server CPU      5.00 s, 50 % of a core
                              20 000 round trips per CPU second
              server memory   976.6 KiB more, 10 000 B for each connection
                              resident 10 000 B for each
              load tester     50 % of a core (waited 2 %), 25 % of a core

                             mean      min      p50      p90      p99    p99.9   p99.99      max
              round trip  2.53 ms  50.0 us  2.50 ms  4.50 ms  4.95 ms  5.00 ms  5.00 ms  5.00 ms
              connect     1.50 ms  1.00 ms  1.49 ms  1.89 ms  1.98 ms  1.99 ms  1.99 ms  1.99 ms
              warning: the load tester's threads were busy for more than 80 % of the time: more of them may find
                a server faster
              error, 2 times, first after 1.3 s: connection ended: 1006
              passed, fails if p99>5ms: 4.95 ms
              FAILED, fails if recovery.max>1s: nothing was measured
              FAILED, fails if rate<20k: 10 000/s

            """
        #expect(RunText.text(figures, verdicts: verdicts) == expected)
    }

    @Test("a run with a schedule tells what was due, sent and unanswered, and how late it was sent")
    func rate() {
        let told = text(.rate) { interval, second in
            interval.groups[0].counters.due = 12_500
            if second == 9 { interval.groups[0].counters.completed = 9_990 }
            interval.groups[0].distributions.lag.record(20_000)
        }
        #expect(told.contains("\n  due             125 000, 12 500/s\n"))
        #expect(told.contains("\n  sent            100 000, 10 000/s, 80.00 % of what was due\n"))
        #expect(told.contains("\n  answered        99 990, 9 999/s; 10 unanswered at the end\n"))
        #expect(told.contains("\n  from when due  2.53 ms"))
        #expect(told.contains("\n  sent late by   20.0 us"))
    }

    @Test("what is completed has the same name in every figure")
    func nouns() {
        let churn = text(.churn, record: Self.churning)
        #expect(churn.contains("\n  round trips     100 000\n  rate            10 000 round trips/s\n"))
        #expect(churn.contains("\n                  20 000 round trips per CPU second\n"))
        #expect(churn.contains("\n  round trip  2.53 ms") && churn.contains("\n  connect     1.50 ms"))
        let slow = text(.slow)
        #expect(slow.contains("\n                  20 000 deliveries per CPU second\n"))
        #expect(slow.contains("\n  delivery  2.53 ms"))
        #expect(text(.ramp).contains("\n                  20 000 handshakes per CPU second\n"))
        let soak = text(.soak) { interval, _ in interval.groups[0].counters.due = 10_000 }
        #expect(soak.contains("\n  due             100 000, 10 000/s\n"))
        #expect(soak.contains("\n  from when due  2.53 ms"))
    }

    private static func churning(_ record: inout RunRecord) {
        record.plan.groups[0].behaviour = .churn(ChurnPlan(messageCount: 10, size: .fixed(64)))
    }

    @Test("a run without answers tells of none")
    func unanswered() {
        let told = text(
            .rate,
            record: { record in
                var plan = PacedPlan(ratePerSecond: 10_000, size: .fixed(64))
                plan.awaitsAnswers = false
                record.plan.groups[0].behaviour = .paced(plan)
            })
        #expect(told.contains("\n  messages        64 B, binary\n"))
        #expect(!told.contains("answered"))
    }

    @Test("what a run is about is told, and is no error")
    func expected() {
        var record = SampleRecords.plain(.storm)
        record.errors = [
            TestError(kind: "clients: refused", count: 50, firstSeconds: 1.25, isExpected: true),
            TestError(kind: "a fault", count: 2, firstSeconds: 1.25),
        ]
        let figures = RunFigures(record)
        #expect(figures.errorCount == 2)
        let told = RunText.text(figures)
        #expect(told.contains("\n  expected, 50 times, first after 1.3 s: clients: refused\n"))
        #expect(told.contains("\n  error, 2 times, first after 1.3 s: a fault\n"))
    }

    @Test("an idle run tells what a connection costs on both sides")
    func idle() {
        let told = text(.idle)
        #expect(told.contains("\n  connecting      100 in 1.00 s, 100 connections/s\n"))
        #expect(told.contains("\n  held            100 open at the end\n"))
        #expect(told.contains("\n  server memory   976.6 KiB more, 10 000 B for each connection\n"))
        #expect(told.contains("\n                  488.3 KiB more, 5 000 B for each connection\n"))
    }

    @Test("a run with subscribers tells what was lost, came twice or out of order")
    func fanout() {
        let told = text(.fanout) { interval, second in
            guard second == 0 else { return }
            interval.groups[0].counters.lost = 100
            interval.groups[0].counters.duplicated = 7
            interval.groups[0].counters.reordered = 8
        }
        #expect(told.contains("\n  deliveries      100 000, 10 000/s\n  lost            100, 0.0999 %\n"))
        #expect(told.contains("\n  twice           7\n  out of order    8\n"))
        #expect(told.contains("\n  delivery  2.53 ms"))
    }

    @Test("a storm tells who came back, after how long, and who was refused")
    func storm() {
        let told = text(.storm) { interval, second in
            guard second == 0 else { return }
            interval.groups[0].counters.ended = 100
            interval.groups[0].counters.started = 140
            interval.groups[0].counters.opened = 90
            interval.groups[0].counters.reconnected = 90
            interval.groups[0].counters.failed = 50
            interval.groups[0].distributions.recovery.record(1_500_000_000, count: 90)
        }
        #expect(told.contains("connections     100 of 100 opened, each with 1 in flight, 50 attempts failed\n"))
        #expect(
            told.contains(
                "\n  ended           100\n  came back       90 of 100\n  refused         50 of 240 attempts\n"))
        #expect(told.contains("\n  until back   1.50 s   1.50 s"))
    }

    @Test("a long run tells what grew with its error, and what did not")
    func soak() {
        let told = text(.soak) { interval, second in
            interval.server?.anonymousByteCount = (100 << 20) + second * 1_000 + second % 2
            interval.groups[0].distributions.latency = Distributions.empty()
            interval.groups[0].distributions.latency.record(second % 2 == 0 ? 1_000_000 : 1_100_000)
        }
        #expect(told.contains("\n  trend\n    p99 of each interval   none to be told: +"))
        #expect(told.contains("\n    server memory          +3.4 MiB/h, more than chance (standard error"))
    }

    @Test("a mixed run has a row for each group")
    func mixed() {
        let told = text(
            .mixed,
            record: { record in
                record.plan.groups.append(SampleRecords.group("those that have a long name and say nothing", 5))
                for index in record.intervals.indices {
                    record.intervals[index].groups.append(GroupMeasure())
                    record.intervals[index].open.append(0)
                }
            })
        #expect(told.contains("clients  opened  failed  rate/s      p50      p99    p99.9      max  lost\n"))
        #expect(told.contains("      100     100       0  10 000  2.50 ms  4.95 ms  5.00 ms  5.00 ms     0\n"))
        #expect(told.contains("        5       0       0       0        -        -        -        -     0\n"))
    }

    @Test("no line is longer than 100 columns, whatever it tells", arguments: Scenario.allCases)
    func width(scenario: Scenario) throws {
        for count in [1, 1_000] {
            let told = text(scenario, clientCount: count) { interval, _ in
                interval.groups[0].distributions.recovery.record(3_600_000_000_000)
                interval.groups[0].distributions.lag.record(3_600_000_000_000)
                interval.groups[0].distributions.latency.record(3_600_000_000_000, count: 1_000_000)
                interval.groups[0].counters.ended = 1_000_000_000
                interval.server?.slabByteCount = 1 << 40
                interval.server?.socketByteCount = 1 << 40
                interval.usage = Array(repeating: SchedulerUsage(cpuShare: 0.5, waitShare: 0.2), count: 64)
            } record: { record in
                record.plan.groups[0].target.urls = ["ws://" + String(repeating: "host", count: 60) + "/path"]
                record.errors = [TestError(kind: String(repeating: "x", count: 500) + " y", count: 1, firstSeconds: 0)]
                record.warnings = [String(repeating: "word ", count: 100)]
                record.intervals[0].server?.slabByteCount = 0
                record.intervals[0].server?.socketByteCount = 0
            }
            for line in told.split(separator: "\n") { #expect(line.count <= 100, "\(line)") }
            #expect(!told.contains(" \n"))
        }
    }

    @Test("no line is longer than a narrow terminal", arguments: Scenario.allCases, [50, 80])
    func narrow(scenario: Scenario, columnCount: Int) {
        var record = SampleRecords.plain(scenario)
        record.errors = [TestError(kind: String(repeating: "word ", count: 50), count: 1, firstSeconds: 0)]
        let told = RunText.fitting(columnCount) { RunText.text(RunFigures(record)) }
        for line in told.split(separator: "\n") { #expect(line.count <= columnCount, "\(line)") }
        #expect(told.contains(" p99 ") && told.contains(" max\n"))
    }

    @Test("connections that end when the run does are not among those that a storm's clients lost")
    func stormEnd() {
        var record = SampleRecords.plain(.storm)
        record.intervals[2].groups[0].counters.ended = 10
        record.intervals[2].groups[0].counters.reconnected = 10
        var end = record.intervals[2]
        end.phase = .ending
        end.groups[0].counters = Counters()
        end.groups[0].counters.ended = 100
        record.intervals.append(end)
        let told = RunText.text(RunFigures(record))
        #expect(told.contains("\n  ended           10\n  came back       10 of 10\n"))
    }

    @Test("a run that never began is told without a figure that is made up", arguments: Scenario.allCases)
    func nothing(scenario: Scenario) {
        var record = SampleRecords.plain(scenario)
        record.intervals = []
        let told = RunText.text(RunFigures(record))
        #expect(told.contains("0 of 100 opened"))
        #expect(!told.contains(" nan") && !told.contains(" inf"))
        #expect(!told.contains("p99"))
    }
}

@Suite struct RunComparisonTests {
    @Test("figures of two runs are told side by side, with what changed for the better or the worse")
    func two() {
        let a = RunFigures(SampleRecords.plain(.echo))
        let b = RunFigures(
            SampleRecords.plain(.echo) { interval, _ in
                interval.groups[0].counters.completed = 12_345
                interval.groups[0].counters.lost = 2
                interval.groups[0].distributions.latency.record(9_000_000, count: 50)
            })
        let expected = """
              A  a.json: echo ws://127.0.0.1:9001/echo
              B  b.json: echo ws://127.0.0.1:9001/echo

                                        A         B          change
              connected               100       100     0.0 %
              completed/s          10 000    12 345  +23.4 % better
              sent/s               10 000    10 000     0.0 %
              received/s           10 000    10 000     0.0 %
              latency mean        2.53 ms   2.56 ms   +1.3 % worse
              latency p50         2.50 ms   2.55 ms   +2.0 % worse
              latency p90         4.50 ms   4.55 ms   +1.1 % worse
              latency p99         4.95 ms   5.00 ms   +1.0 %
              latency p99.9       5.00 ms   9.00 ms  +80.0 % worse
              latency max         5.00 ms   9.00 ms  +80.0 % worse
              connect p50         1.49 ms   1.49 ms     0.0 %
              connect p99         1.98 ms   1.98 ms     0.0 %
              errors                    0         0     0.0 %
              lost                      0        20     new  worse
              server CPU           5.00 s    5.00 s     0.0 %
              completed/CPU s      20 000    24 690  +23.4 % better
              memory/connection  10 000 B  10 000 B     0.0 %

              Changes are from A; from 1 % on they are marked. One run of each does not tell them from chance:
              `loadtest compare` does.

            """
        #expect(RunComparison.text([("a.json", a), ("b.json", b)]) == expected)
    }

    @Test("any number of runs fits the page, each beside the first", arguments: [1, 2, 3, 4, 28])
    func many(count: Int) {
        let figures = RunFigures(SampleRecords.plain(.echo, seconds: 1))
        let told = RunComparison.text((0..<count).map { ("run \($0)", figures) })
        for line in told.split(separator: "\n") { #expect(line.count <= 100) }
        let heads = told.split(separator: "\n").filter {
            $0.hasPrefix("     ") && $0.contains(" A ") || $0.hasSuffix(" A")
        }
        #expect(heads.count == max((count - 1 + 1) / 2, 1))
        #expect(RunComparison.text([]).isEmpty)
    }
}
