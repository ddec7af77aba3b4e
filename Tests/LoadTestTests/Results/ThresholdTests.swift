// SPDX-License-Identifier: Apache-2.0

import Histogram
import LoadTesting
import Testing

/// Round figures: see `SampleRecords.plain`. Latencies are from 0.05 to 5 ms, connections took 1 to 1.99 ms.
private let sample = SampleRecords.plain(.rate) { interval, _ in
    interval.groups[0].counters.due = 12_500
    interval.groups[0].counters.lost = 3
    interval.groups[0].counters.duplicated = 2
    interval.groups[0].counters.reordered = 1
    interval.groups[0].distributions.lag.record(20_000, count: 10)
}

private let figures: RunFigures = {
    var record = sample
    record.errors = [
        TestError(kind: "refused", count: 200, firstSeconds: 0), TestError(kind: "closed", count: 50, firstSeconds: 1),
    ]
    return RunFigures(record)
}()

@Suite struct ThresholdTests {
    @Test(
        "a run fails where the condition holds, and passes where it does not",
        arguments: [
            ("p99>5ms", true), ("p99>4ms", false), ("p99 > 4 ms", false), ("p99>4000us", false),
            ("p99>4000000ns", false),
            ("p99>0.004s", false), ("p50>2.6ms", true), ("p50<2.4ms", true), ("p50<2.6ms", false), ("p75>4ms", true),
            ("p90>4ms", false), ("p95>4.7ms", false), ("p99.9>5.01ms", true), ("p99.99>4.99ms", false),
            ("max==5ms", false), ("max!=5ms", true), ("max>=5ms", false), ("max<=4.999ms", true), ("min<50us", true),
            ("min<=50us", false), ("mean>2.6ms", true), ("mean>2.4ms", false), ("latency.p99>4ms", false),
            ("p33.3>2ms", true), ("connect.p99>2ms", true), ("connect.max>1ms", false), ("connect.min<1ms", true),
            ("lag.p99>19us", false), ("lag.p99>21us", true), ("echo:p99>5ms", true), ("echo:connect.p50>1ms", false),
            (" echo : p99 >= 4ms ", false), ("echo:rate<11k", false), ("echo:lost>30", true), ("echo:lost>29", false),
            ("errors>0", false), ("errors>=250", false), ("errors>250", true), ("error_rate>0.2%", true),
            ("error_rate>0.19%", false), ("error_rate>0.2", true), ("failed>0", true), ("lost>=30", false),
            ("duplicated>20", true), ("duplicated==20", false), ("reordered>9", false), ("rate<10k", true),
            ("rate<10001", false), ("sent_rate<9.9k", true), ("received_rate<=10k", false), ("connected<100", true),
            ("connected!=100", true), ("server_cpu>50%", true), ("server_cpu>49%", false), ("rate_per_cpu<20k", true),
            ("rate_per_cpu<20001", false), ("memory_per_connection>10KB", true), ("memory_per_connection>9KiB", false),
            ("memory_per_connection>9999B", false), ("memory_per_connection>0.01MB", true),
            ("memory_per_connection>0.009MiB", false), ("max>0", false),
        ])
    func verdicts(expression: String, passes: Bool) throws {
        let threshold = try Threshold(expression)
        #expect(threshold.expression == expression)
        let verdict = threshold.verdict(figures)
        #expect(verdict.passed == passes)
        #expect(verdict.value != nil && verdict.expression == expression)
    }

    @Test(
        "the value that was found is told in its unit",
        arguments: [
            ("max>1s", "5.00 ms"), ("lag.max>1s", "20.0 us"), ("errors>0", "250"), ("error_rate>1%", "0.200 %"),
            ("rate<1", "10 000/s"), ("memory_per_connection>1MiB", "10 000 B"), ("connected<1", "100"),
        ])
    func found(expression: String, found: String) throws {
        #expect(try Threshold(expression).verdict(figures).found == found)
    }

    @Test(
        "a metric without data fails, whatever is asked of it",
        arguments: [
            "recovery.max>1h", "p99>1s", "p99<1s", "rate<1", "rate>1", "lost>0", "error_rate>0", "failed>0",
            "connected>1",
            "server_cpu>1", "rate_per_cpu>1", "memory_per_connection>1", "memory_trend>0", "p99_trend>0",
            "nobody:p99>1s",
        ].map { $0.replacing("1h", with: "3600s") })
    func missing(expression: String) throws {
        let verdict = try Threshold(expression).verdict(
            RunFigures(RunRecord(plan: LoadPlan(.echo, groups: []), startedAt: 0)))
        #expect(!verdict.passed && verdict.value == nil)
        let reasons = [
            "nothing was measured", "nothing was measured of the server: give --server-pid",
            "the run has no group of this name",
        ]
        #expect(reasons.contains(verdict.found))
    }

    @Test(
        "what is wrong is quoted and marked, with what is known",
        arguments: [
            ("", "there is no metric before the comparison; use min, mean, p50", "^"),
            (">5ms", "there is no metric before the comparison", "^"),
            ("p99", "there is no comparison; use >= <= == != > <", "   ^"),
            ("p99=5ms", "'=' is no comparison", "   ^"), ("p99=>5ms", "'=>' is no comparison", "   ^^"),
            ("p99>", "there is no number behind the comparison", "    ^"),
            ("p99>fast", "'fast' does not begin with a number", "    ^^^^"),
            ("p99>-5ms", "'-5ms' does not begin with a number", "    ^^^^"),
            ("p99>1.2.3ms", "does not begin with a number", "    ^^^^^^^"),
            ("p99>.5ms", "does not begin with a number", "    ^^^^"),
            ("p99>5", "'5' needs a unit: ns, us, ms, s", "    ^"),
            ("p99>5parsec", "'parsec' is no unit of this metric; use ns, us, ms, s", "     ^^^^^^"),
            ("p99>5ms5", "'ms5' is no unit", "     ^^^"),
            ("errors>5ms", "'ms' is no unit of this metric; use k", "        ^^"),
            ("rate<5%", "'%' is no unit", "      ^"), ("error_rate>5k", "use %", "            ^"),
            ("memory_per_connection>5kb", "'kb' is no unit of this metric; use B, KB, KiB, MB, MiB", nil),
            ("p100>5ms", "'p100' is no metric", "^^^^"), ("p>5ms", "'p' is no metric", "^"),
            ("p9x>5ms", "'p9x' is no metric", "^^^"), ("connect>5ms", "'connect' is no metric", "^^^^^^^"),
            ("connect.p>5ms", "'connect.p' is no metric", "^^^^^^^^^"), ("Errors>0", "'Errors' is no metric", "^^^^^^"),
            ("chat:errors>0", "errors is known for the whole run only", "^^^^"),
            (":p99>5ms", "there is no group before ':'", "^"),
            ("chat:>5ms", "'' is no metric", "     ^"),
        ] as [(String, String, String?)])
    func refusals(expression: String, reason: String, marks: String?) {
        let error = #expect(throws: ThresholdError.self) { try Threshold(expression) }
        let lines = (error?.description ?? "").split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.first?.hasPrefix("'\(expression)': ") == true)
        #expect(lines.first?.contains(reason) == true, "\(error?.description ?? "")")
        if let marks { #expect(lines.last == "  \(marks)") }
    }

    @Test(
        "a trend is judged in amounts an hour, and what may be chance is none",
        arguments: [
            ("memory_trend>3MB/h", false), ("memory_trend>4MB/h", true), ("memory_trend>3MiB/h", false),
            ("memory_trend>0", false), ("p99_trend>0", true), ("p99_trend>1us/h", true), ("p99_trend==0", false),
        ])
    func trends(expression: String, passes: Bool) throws {
        // By 1,000 bytes a second; p99 goes up and down.
        let record = SampleRecords.plain(.soak) { interval, second in
            interval.server?.anonymousByteCount = (100 << 20) + second * 1_000 + second % 2
            interval.groups[0].distributions.latency = Distributions.empty()
            interval.groups[0].distributions.latency.record(second % 2 == 0 ? 1_000_000 : 1_100_000)
        }
        let verdict = try Threshold(expression).verdict(RunFigures(record))
        #expect(verdict.passed == passes)
        #expect(verdict.found == (expression.hasPrefix("memory") ? "+3515.7 KiB/h" : "+0 ns/h"))
    }

    @Test("a trend needs a unit of its own", arguments: ["memory_trend>1MB", "memory_trend>1", "p99_trend>1ms"])
    func trendUnits(expression: String) {
        let error = #expect(throws: ThresholdError.self) { try Threshold(expression) }
        #expect(error?.description.contains("/h") == true)
    }

    @Test("a group that the plan does not have is refused before the run, with those it has")
    func groups() throws {
        #expect(throws: Never.self) { try Threshold("echo:p99>5ms").check(sample.plan) }
        #expect(throws: Never.self) { try Threshold("p99>5ms").check(sample.plan) }
        let error = #expect(throws: ThresholdError.self) { try Threshold("chat:p99>5ms").check(sample.plan) }
        #expect(
            error?.description
                == "'chat:p99>5ms': the run has no group of this name; it has 'echo'\n  chat:p99>5ms\n  ^^^^")
    }

    @Test("what a run of the plan cannot tell is refused before it")
    func untold() throws {
        let url = "ws://127.0.0.1:9001/"
        var oneWay = PacedPlan(ratePerSecond: 1, size: .fixed(1))
        oneWay.awaitsAnswers = false
        let silent = [
            Behaviour.idle, .paced(oneWay), .churn(ChurnPlan(messageCount: 0, size: .fixed(1))),
        ].map { LoadPlan(.idle, groups: [ClientGroup("clients", 1, Target([url]), $0)]) }
        for plan in silent {
            let error = #expect(throws: ThresholdError.self) { try Threshold("p99.9>5ms").check(plan) }
            #expect(error?.description.contains("; connections have connect.p99.9") == true)
            #expect(throws: Never.self) { try Threshold("connect.p99>5ms").check(plan) }
        }
        for metric in ["server_cpu>50", "rate_per_cpu<1k", "memory_per_connection>20KB"] {
            let error = #expect(throws: ThresholdError.self) {
                try Threshold(metric).check(sample.plan, hasServer: false)
            }
            #expect(error?.description.contains("give --server-pid") == true)
            #expect(throws: Never.self) { try Threshold(metric).check(sample.plan) }
        }
        #expect(throws: Never.self) { try Threshold("errors>0").check(sample.plan, hasServer: false) }
    }

    @Test("of two groups each is judged by its own figures")
    func twoGroups() throws {
        var record = SampleRecords.plain(.mixed, seconds: 1)
        record.plan.groups.append(SampleRecords.group("slow: readers", 1))
        for index in record.intervals.indices {
            record.intervals[index].groups.append(GroupMeasure())
            record.intervals[index].open.append(0)
        }
        record.intervals[2].groups[1].distributions.latency.record(1_000_000_000)
        let figures = RunFigures(record)
        #expect(try Threshold("echo:max>6ms").verdict(figures).passed)
        #expect(try !Threshold("slow: readers:max>6ms").verdict(figures).passed)
        #expect(try !Threshold("max>6ms").verdict(figures).passed)
    }
}
