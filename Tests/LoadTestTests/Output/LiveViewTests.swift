// SPDX-License-Identifier: Apache-2.0

import LoadTesting
import Testing

@Suite struct LiveViewTests {
    private func running(_ scenario: Scenario = .echo, groups: [String] = ["echo"]) -> LiveState {
        let plan = SampleRun.plan(scenario, groups: groups)
        var state = LiveState(plan: plan)
        state.connecting(settled: 100, of: 100, failed: 3)
        state.phaseChanged(.measuring, at: 2)
        for interval in SampleRun.record(plan, intervalCount: 6).intervals {
            state.interval(
                interval, errors: [TestError(kind: "refused \u{1b}[2J日本語", count: 1_234, firstSeconds: 1)])
        }
        return state
    }

    private func text(_ state: LiveState, width: Int, _ glyphs: TerminalGlyphs = .unicode) -> [String] {
        LiveScreen(state, at: 7, width: width, glyphs: glyphs).lines.map { $0.rendered(isColored: false) }
    }

    @Test("the screen of a test that measures shows phase, connections, rate, latency, processes and errors")
    func screen() {
        #expect(
            text(running(), width: 80, .ascii) == [
                "loadtest echo  ws://127.0.0.1:9001/echo",
                "  measuring    ####################-------------------- 5 s of 10 s, 5 s left",
                "  connections  100 open of 100, 3 failed to open",
                "  round trips  1 005/s       ######",
                "  latency              p50        p90        p99      p99.9        max",
                "    now            1.00 ms    1.80 ms    2.00 ms    2.00 ms    2.00 ms",
                "    so far         1.10 ms    1.90 ms    9.00 ms    9.00 ms    9.00 ms",
                "  load tester  50 % CPU, busiest of 1 threads 50 %, waited 1 %",
                "  server       50 % CPU, 105.0 MiB memory",
                "  errors       1 234 x refused ?[2J???",
            ])
    }

    @Test(
        "no line is longer than the terminal, and none has a control character",
        arguments: [1, 2, 10, 20, 40, 80, 200], Scenario.allCases)
    func fits(width: Int, scenario: Scenario) {
        for glyphs in [TerminalGlyphs.unicode, .ascii] {
            for line in LiveScreen(running(scenario, groups: ["a", "b"]), at: 7, width: width, glyphs: glyphs).lines {
                #expect(line.columnCount <= width)
                #expect(TerminalText.columnCount(line.rendered(isColored: false)) == line.columnCount)
                #expect(!line.rendered(isColored: false).unicodeScalars.contains { $0.value < 32 })
            }
        }
    }

    @Test("a terminal that is not set to UTF-8 gets ASCII alone")
    func ascii() {
        #expect(text(running(.ramp), width: 80, .ascii).allSatisfy { $0.utf8.allSatisfy { $0 < 128 } })
    }

    @Test("ramp and storm show how many of all are connected", arguments: [Scenario.ramp, .storm])
    func connectedBar(scenario: Scenario) {
        #expect(
            text(running(scenario), width: 80).contains { $0.hasPrefix("  connected ") && $0.hasSuffix("█ 100.0 %") })
    }

    @Test("what was counted before the measurement is not part of what is shown so far")
    func measuredAlone() {
        let state = running()
        #expect(state.total[0].counters.completed == 1_002 + 1_003 + 1_004 + 1_005)
    }

    @Test("a step that is cut short by a phase's end is counted, and neither drawn nor shown as what is now")
    func shortStep() {
        var state = running()
        let before = state
        var short = SampleRun.record(state.plan, intervalCount: 1).intervals[0]
        (short.phase, short.seconds, short.open) = (.measuring, 0.001, [90])
        state.interval(short, errors: [])
        #expect(state.rates == before.rates)
        #expect(state.last?.groups[0].counters == before.last?.groups[0].counters)
        #expect(state.openCount == 90)
        #expect(state.total[0].counters.completed == before.total[0].counters.completed + 1_000)
    }

    @Test("without a duration, the time that has passed and how to end are shown")
    func untilInterrupted() {
        var state = LiveState(plan: LoadPlan(.idle, groups: []))
        state.phaseChanged(.measuring, at: 0)
        #expect(text(state, width: 80)[1] == "  measuring    7 s, until Ctrl-C")
    }

    @Test("columns are counted as terminals do: combining marks take none, East Asian characters and emoji two")
    func columns() {
        #expect(
            ["", "abc", "é", "e\u{301}", "日本", "🙂", "Ａ", "a\u{200B}b"].map(TerminalText.columnCount) == [
                0, 3, 1, 1, 4, 2, 2, 2,
            ])
        #expect(TerminalLine("日本語").cut(to: 4, ellipsis: "…").rendered(isColored: false) == "日…")
        #expect(TerminalLine("日本").cut(to: 4, ellipsis: "…").rendered(isColored: false) == "日本")
    }

    @Test("a bar is full only when all is done, and a sparkline reaches from 0 to the greatest")
    func drawings() {
        #expect(TerminalGlyphs.ascii.bar(0.999, width: 10) == ("#########", "-"))
        #expect(TerminalGlyphs.ascii.bar(1, width: 3) == ("###", ""))
        #expect(TerminalGlyphs.ascii.bar(.nan, width: 2) == ("", "--"))
        #expect(TerminalGlyphs.unicode.sparkline([0, 50, 100]) == "▁▅█")
        #expect(TerminalGlyphs.unicode.sparkline([0, 0]) == "▁▁")
    }

    @Test("a frame is drawn over the last one, row for row, also where the window has become narrower")
    func frames() {
        var frame = TerminalFrame()
        let size = TerminalSize(columnCount: 10, rowCount: 3)
        let first = frame.drawn(
            [TerminalLine("12345678"), TerminalLine("b", .bad), TerminalLine("c")], size, isColored: true)
        // The third line would not fit: the cursor needs the last row.
        #expect(first == "\u{1b}[?25l\r\u{1b}[2K12345678\r\n\u{1b}[2K\u{1b}[31mb\u{1b}[0m\r\n\u{1b}[J\u{1b}[?25h")
        let second = frame.drawn([TerminalLine("a")], TerminalSize(columnCount: 4, rowCount: 9), isColored: false)
        #expect(second == "\u{1b}[?25l\r\u{1b}[3A\u{1b}[2Ka\r\n\u{1b}[J\u{1b}[?25h")
        #expect(frame.erased() == "\r\u{1b}[1A\u{1b}[J")
        #expect(frame.erased() == "")
    }

    @Test("what standard error is decides how a test is shown")
    func outputs() {
        func output(_ variables: [String: String], isQuiet: Bool = false, isTerminal: Bool = true) -> LiveView.Output {
            .ofStandardError(isQuiet: isQuiet, isTerminal: isTerminal) { variables[$0] }
        }
        let utf8 = ["TERM": "xterm", "LANG": "en_US.UTF-8"]
        #expect(output(utf8) == .terminal(isColored: true, isUnicode: true))
        #expect(output(utf8.merging(["LC_ALL": "C"]) { $1 }) == .terminal(isColored: true, isUnicode: false))
        #expect(output(utf8.merging(["LC_ALL": ""]) { $1 }) == .terminal(isColored: true, isUnicode: true))
        #expect(
            output(["TERM": "xterm", "LC_CTYPE": "C.utf8", "NO_COLOR": "1"])
                == .terminal(isColored: false, isUnicode: true))
        #expect(output(["TERM": "xterm", "NO_COLOR": ""]) == .terminal(isColored: true, isUnicode: false))
        #expect(output(["TERM": "dumb"]) == .lines)
        #expect(output([:]) == .lines)
        #expect(output(utf8, isTerminal: false) == .lines)
        #expect(output(utf8, isQuiet: true) == .nothing)
    }

    @Test("elsewhere than on a terminal there is a line each second for ten seconds, then each ten")
    func logPace() {
        var log = LiveLog()
        let state = running()
        let times = stride(from: 0.0, through: 60, by: 0.25).filter { log.line(state, at: $0) != nil }
        #expect(times == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 40, 50, 60])
    }

    @Test("a line says all by itself, without escape codes")
    func logLine() {
        var log = LiveLog()
        #expect(
            log.line(running(), at: 7)
                == "measuring: 5 s of 10 s, 100 of 100 connections, 1 005 round trips/s, "
                + "latency p50 1.00 ms p99 2.00 ms max 2.00 ms, 1 234 errors, most often: refused ?[2J日本語")
    }
}
