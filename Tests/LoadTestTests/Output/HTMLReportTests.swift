// SPDX-License-Identifier: Apache-2.0

import Glibc
import LoadTesting
import Testing

@Suite struct HTMLReportTests {
    private func report(_ record: RunRecord, verdicts: [ThresholdVerdict] = []) -> HTMLReport {
        HTMLReport([ReportRun(name: "run", record: record, verdicts: verdicts)])
    }

    private var injectedRun: ReportRun {
        var plan = SampleRun.plan(.mixed, groups: [SampleRun.injected, "</script>"])
        plan.groups[0].target.urls = ["ws://h/?" + SampleRun.injected]
        var record = SampleRun.record(plan, intervalCount: 12)
        record.errors = [TestError(kind: SampleRun.injected, count: 3, firstSeconds: 1.5)]
        record.warnings = [SampleRun.injected]
        record.commandLine = ["loadtest", SampleRun.injected]
        record.machine = MachineDescription(
            processor: SampleRun.injected, coreCount: 2, kernel: SampleRun.injected, memoryByteCount: 1 << 30)
        let verdict = ThresholdVerdict(
            expression: SampleRun.injected, value: nil, found: SampleRun.injected, passed: false)
        return ReportRun(name: SampleRun.injected, record: record, verdicts: [verdict])
    }

    @Test("text has no meaning as markup, in elements and in attributes")
    func escaping() {
        let element = HTML.element("p", ["title": "\"><b>'"], .text("<b>&amp;\u{0}\u{202E}\n"))
        #expect(
            element.markup
                == "<p title=\"&quot;&gt;&lt;b&gt;&#39;\">&lt;b&gt;&amp;amp;\u{FFFD}\u{FFFD}\n</p>")
        #expect(HTML.element("meta", ["charset": "utf-8"]).markup == "<meta charset=\"utf-8\">")
    }

    @Test("nothing that a user or a peer wrote becomes markup, in one run or in several", arguments: [1, 2])
    func injection(runCount: Int) {
        let text = HTMLReport(Array(repeating: injectedRun, count: runCount)).text
        for markup in ["<img", "onerror=alert(1)><", "<script>document"] { #expect(!text.contains(markup)) }
        // The data and the script.
        #expect(text.split(separator: "<script").count == 3)
        #expect(text.split(separator: "</script").count == 3)
    }

    @Test("what a flow measures under a name is no group of clients in the plan's words")
    func measures() {
        var plan = SampleRun.plan(.mixed, groups: ["players", "players/join"])
        plan.groups[1].clientCount = 0
        let text = report(SampleRun.record(plan, intervalCount: 5)).text
        #expect(text.contains("clients \u{201c}players\u{201d}"))
        #expect(!text.contains("clients \u{201c}players/join\u{201d}"))
    }

    @Test("a page may load nothing, and run its own script alone")
    func policy() {
        let text = report(SampleRun.record(SampleRun.plan(), intervalCount: 5)).text
        #expect(text.contains("default-src &#39;none&#39;"))
        #expect(text.contains("script-src &#39;sha256-"))
        for name in ["src=", "href=", "@import", "url("] { #expect(!text.contains(name)) }
    }

    @Test("a page's figures of the server are those of the other reports, also where it was started again")
    func restarted() throws {
        var record = SampleRecords.plain(.echo, seconds: 3)
        record.intervals[3].server?.cpuSeconds = 0.25
        record.intervals[4].server?.cpuSeconds = 0.5
        // 30,000 in 0.5 + 0.25 + 0.25 seconds.
        #expect(RunFigures(record).completedPerCPUSecond == 30_000)
        let text = report(record).text
        #expect(text.contains("Round trips per server CPU second</div><div class=\"value\">30 000</div>"))
    }

    @Test("a measurement shorter than a step is drawn, where there is no longer one")
    func short() {
        var record = SampleRun.record(SampleRun.plan(), intervalCount: 3)
        record.intervals[2].seconds = 0.05
        let plots = report(record).plots
        #expect(plots[0].lines[0].points.map(\.x) == [1, 2, 2.05])
        record.intervals.append(record.intervals[2])
        record.intervals[3].seconds = 1
        #expect(report(record).plots[0].lines[0].points.map(\.x) == [1, 2, 3])
    }

    @Test("what a run is about is listed, and counts as no error")
    func expected() {
        var record = SampleRecords.plain(.storm)
        record.errors = [TestError(kind: "clients: refused", count: 50, firstSeconds: 1, isExpected: true)]
        let text = report(record).text
        #expect(text.contains("Errors</div><div class=\"value\">0</div>"))
        #expect(text.contains("expected: clients: refused"))
        #expect(!text.contains("card is-bad"))
    }

    @Test("a run has all of its plots, each line with a point for each interval that has a value")
    func plots() {
        let plots = report(SampleRun.record(SampleRun.plan(), intervalCount: 20)).plots
        #expect(
            plots.map(\.name) == [
                "latency", "throughput", "connections", "percentiles", "errors", "server-cpu", "server-memory",
                "own-cpu",
            ])
        #expect(plots[0].lines.map(\.name) == ["p50", "p90", "p99", "p99.9", "max"])
        #expect(plots[0].lines.allSatisfy { $0.points.compactMap(\.y).count == 20 })
        #expect(plots[0].lines[4].points[10].y == 9_000_000)
        #expect(plots[0].shaded == [0...2])
        // Between two samples lies one figure less.
        #expect(plots[5].lines[0].points.compactMap(\.y) == Array(repeating: 0.5, count: 19))
    }

    @Test("a line of a percentile curve ends with the greatest value, and the nines have equal room")
    func percentileCurve() throws {
        let record = SampleRun.record(SampleRun.plan(), intervalCount: 20)
        let points = try #require(report(record).plots.first { $0.name == "percentiles" }).lines[0].points
        #expect(points.first?.x == 1 && points.first?.y == 100_000)
        // 18 measured intervals of 20 values, and the slowest.
        #expect(points.last == PlotPoint(361, 9_000_000))
        #expect(points.map(\.x) == points.map(\.x).sorted())
        #expect(points.compactMap(\.y) == points.compactMap(\.y).sorted())
        #expect(points.first { $0.x == 2 }?.y.map { abs($0 - 1_100_000) < 2_000 } == true)
    }

    @Test("several runs have a line each in every plot, and their figures side by side")
    func comparison() {
        let first = SampleRun.record(SampleRun.plan(), intervalCount: 12)
        let second = SampleRun.record(SampleRun.plan(), intervalCount: 9, slowest: 18_000_000)
        let report = HTMLReport([ReportRun(name: "a.json", record: first), ReportRun(name: "b.json", record: second)])
        #expect(report.plots.map(\.name).prefix(3) == ["latency-p50", "latency-p99", "latency-max"])
        #expect(report.plots.allSatisfy { $0.lines.map(\.name) == ["a.json", "b.json"] })
        #expect(report.text.contains("Side by side"))
        #expect(report.text.contains("+100 % worse"))
    }

    @Test("a test of hours becomes a page that can be sent: 600 points a line, the greatest among them")
    func longRun() {
        let report = report(SampleRun.record(SampleRun.plan(.soak), intervalCount: 700))
        #expect(report.plots.allSatisfy { $0.lines.allSatisfy { $0.points.count <= 600 } })
        #expect(report.plots[0].lines[4].points.contains { $0.y == 9_000_000 })
        #expect(report.text.utf8.count < 1_000_000)
    }

    @Test("a run in which nothing happened has a page too", arguments: [0, 1])
    func emptyRun(intervalCount: Int) {
        let text = report(SampleRun.record(SampleRun.plan(), intervalCount: intervalCount)).text
        #expect(text.hasSuffix("</html>\n"))
        #expect(intervalCount > 0 || text.contains("no values"))
        for part in text.split(separator: " d=\"").dropFirst() {
            let path = part.prefix { $0 != "\"" }
            #expect(path.allSatisfy { "MLhl-. 0123456789".contains($0) }, "\(path)")
        }
    }

    @Test("verdicts and warnings are told in words, the date in UTC")
    func words() {
        var record = SampleRun.record(SampleRun.plan(), intervalCount: 5)
        record.warnings = ["the load tester was busy"]
        record.wasInterrupted = true
        let text = report(
            record, verdicts: [ThresholdVerdict(expression: "p99>5ms", value: 2e6, found: "2 ms", passed: true)]
        ).text
        #expect(text.contains("✓ passed </b>p99&gt;5ms (2 ms)"))
        #expect(text.contains("the load tester was busy"))
        #expect(text.contains("2026-09-21 14:13:20 UTC, interrupted"))
    }

    @Test("a command line is a shell's, without what proves who someone is")
    func commandLine() {
        #expect(
            ShellWords.joined(["loadtest", "ws://h/?a=b", "it's", "", "--header", "Authorization: Bearer x"])
                == "loadtest 'ws://h/?a=b' 'it'\\''s' '' --header 'Authorization: ...'")
        #expect(ShellWords.joined(["--header=cookie: a=b"]) == "'--header=cookie: ...'")
        #expect(ShellWords.joined(["--header", "X-Key: a"]) == "--header 'X-Key: ...'")
        #expect(ShellWords.joined(["--header", "a", "b: c"]) == "--header ... 'b: c'")
    }

    @Test("a machine is described from proc(5)")
    func machine() {
        let info = "processor\t: 0\nmodel name\t: Some  CPU @ 2 GHz\nprocessor\t: 1\nmodel name\t: Other\n"
        #expect(MachineDescription.processor(inCPUInfo: info) == "Some CPU @ 2 GHz")
        #expect(MachineDescription.processor(inCPUInfo: "processor\t: 0\n") == nil)
        #expect(MachineDescription.memoryByteCount(inMemInfo: "MemTotal:       16384 kB\n") == 16_384 << 10)
        #expect(MachineDescription.usableCoreCount(inStatus: "Cpus_allowed:\t3,0000000f\n") == 6)
        let machine = MachineDescription.ofThisMachine()
        #expect(machine.coreCount > 0 && machine.kernel.hasPrefix("Linux"))
    }

    /// Pages for the check in a browser, Tests/LoadTester/browser.py: where LOADTEST_PAGES names a directory for them.
    @Test(
        "pages of every kind are written for the browser",
        .enabled(if: LiveView.Output.variable("LOADTEST_PAGES") != nil))
    func pages() throws {
        let directory = try #require(LiveView.Output.variable("LOADTEST_PAGES"))
        func write(_ name: String, _ runs: [ReportRun], _ expectation: String) throws {
            for (suffix, text) in [("", HTMLReport(runs).text), (".expect", expectation)] {
                // Safe: the file is used where it could be opened alone.
                guard let file = unsafe fopen("\(directory)/\(name).html\(suffix)", "w") else {
                    Issue.record("\(directory)/\(name).html\(suffix) cannot be written")
                    return
                }
                // Safe: the file is open until it is closed here, once.
                let isWritten = unsafe fputs(text, file) >= 0 && fclose(file) == 0
                #expect(isWritten)
            }
        }
        func run(_ count: Int, slowest: UInt64 = 9_000_000) -> ReportRun {
            ReportRun(
                name: "\(count).json",
                record: SampleRun.record(SampleRun.plan(), intervalCount: count, slowest: slowest))
        }
        func points(_ plot: String, _ line: String, _ count: Int) -> String {
            #"{"points": {"\#(plot)": {"\#(line)": \#(count)}}}"#
        }
        try write("one", [run(30)], points("latency", "p99.9", 30))
        try write("two", [run(30), run(20)], points("throughput", "20.json", 20))
        try write("empty", [run(0)], points("latency", "p50", 0))
        try write("interval", [run(1)], points("connections", "open", 1))
        try write("outlier", [run(30, slowest: 3_000_000_000_000)], points("latency", "max", 30))
        try write("long", [run(700)], #"{"points": {}, "texts": ["Echo load test"]}"#)
        let wanted = SampleRun.injected.map { $0 == "\"" ? "\\\"" : String($0) }.joined()
        try write("injected", [injectedRun], #"{"points": {}, "texts": ["\#(wanted)"]}"#)
    }
}
