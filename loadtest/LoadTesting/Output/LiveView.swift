// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Synchronization

/// Shows on standard error how a test goes: some lines drawn over and over on a terminal, plain lines elsewhere.
///
/// Any thread may call; each call is short, and writes at most one frame.
package final class LiveView: Sendable {
    private let output: Output
    private let start = ContinuousClock.now
    private let drawing: Mutex<Drawing>

    private struct Drawing {
        var state: LiveState?
        var log = LiveLog()
        var frame = TerminalFrame()
        var lastDrawn: ContinuousClock.Instant?
        var isFinished = false
    }

    /// Where it is shown, and how.
    package enum Output: Sendable, Equatable {
        case nothing
        case lines
        case terminal(isColored: Bool, isUnicode: Bool)

        /// Standard error's. `environment` is what a variable is set to, if it is.
        package static func ofStandardError(
            isQuiet: Bool, isTerminal: Bool = isatty(STDERR_FILENO) == 1,
            environment: (String) -> String? = Output.variable
        ) -> Output {
            if isQuiet { return .nothing }
            guard isTerminal, let kind = environment("TERM"), !kind.isEmpty, kind != "dumb" else { return .lines }
            // The first that is set and not empty decides (locale(7)).
            let locale = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap(environment).first { !$0.isEmpty } ?? ""
            let encoding = locale.uppercased()
            return .terminal(
                // https://no-color.org: set and not empty.
                isColored: (environment("NO_COLOR") ?? "").isEmpty,
                isUnicode: encoding.contains("UTF-8") || encoding.contains("UTF8"))
        }

        package static func variable(_ name: String) -> String? {
            // Safe: nothing in this program changes the environment; the text is copied at once.
            unsafe getenv(name).map { unsafe String(cString: $0) }
        }
    }

    package init(_ output: Output) {
        self.output = output
        drawing = Mutex(Drawing())
    }

    package convenience init(isQuiet: Bool) { self.init(.ofStandardError(isQuiet: isQuiet)) }

    // MARK: What the run tells

    package func started(_ plan: LoadPlan) { change { $0.state = LiveState(plan: plan) } }

    package func phaseChanged(_ phase: Phase) {
        change { [now = seconds] in $0.state?.phaseChanged(phase, at: now) }
    }

    package func connecting(settled: Int, of all: Int, failed: Int) {
        change { $0.state?.connecting(settled: settled, of: all, failed: failed) }
    }

    package func interval(_ interval: Interval, errors: [TestError]) {
        change { $0.state?.interval(interval, errors: errors) }
    }

    /// To be called at every step of the run, a few times in a second or more: draws when it is time to.
    package func redraw() { change { _ in } }

    /// What is drawn is taken away; the terminal is free for the report.
    package func finish() {
        drawing.withLock { drawing in
            guard !drawing.isFinished else { return }
            drawing.isFinished = true
            write(drawing.frame.erased())
        }
    }

    // MARK: Drawing

    private var seconds: Double { (ContinuousClock.now - start).seconds }
    private static let frameInterval = Duration.milliseconds(200)

    private func change(_ body: (inout Drawing) -> Void) {
        guard output != .nothing else { return }
        drawing.withLock { drawing in
            guard !drawing.isFinished else { return }
            body(&drawing)
            guard let state = drawing.state else { return }
            switch output {
            case .nothing: break
            case .lines: if let line = drawing.log.line(state, at: seconds) { write(line + "\n") }
            case .terminal(let isColored, let isUnicode):
                let now = ContinuousClock.now
                if let last = drawing.lastDrawn, now - last < Self.frameInterval { return }
                drawing.lastDrawn = now
                let size = TerminalSize.ofStandardError
                let screen = LiveScreen(
                    state, at: seconds, width: size.columnCount, glyphs: isUnicode ? .unicode : .ascii)
                write(drawing.frame.drawn(screen.lines, size, isColored: isColored))
            }
        }
    }

    private func write(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            // Safe: the array's own bytes, with their count.
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            // A terminal that is gone, or that takes no more now, is no reason to stop a test.
            if count <= 0 { return }
            bytes = bytes.dropFirst(count)
        }
    }
}

package struct TerminalSize: Sendable, Equatable {
    package var columnCount: Int
    package var rowCount: Int

    package init(columnCount: Int, rowCount: Int) {
        self.columnCount = columnCount
        self.rowCount = rowCount
    }

    /// Asked each time: the window may have changed. 80 by 24 where the terminal does not know.
    static var ofStandardError: TerminalSize {
        of(STDERR_FILENO) ?? TerminalSize(columnCount: 80, rowCount: 24)
    }

    /// Nil where the terminal does not know, or it is none.
    static func of(_ descriptor: CInt) -> TerminalSize? {
        var size = winsize()
        // Safe: the request fills the structure that it is given (ioctl_tty(2)).
        guard unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return nil
        }
        return TerminalSize(columnCount: Int(size.ws_col), rowCount: Int(size.ws_row))
    }
}

/// What is drawn on a terminal, and how it is drawn over. Pure.
///
/// The cursor waits below the lines and is hidden only within a frame, so that a program that is killed leaves a
/// terminal as it should be.
package struct TerminalFrame: Sendable {
    /// Columns that each line of the last frame took.
    private var columnCounts: [Int] = []

    package init() {}

    /// Draws over the last frame. Lines beyond the terminal's height are left out: nothing could draw over them.
    package mutating func drawn(_ lines: [TerminalLine], _ size: TerminalSize, isColored: Bool) -> String {
        let lines = lines.prefix(max(size.rowCount - 1, 1))
        var text = "\u{1b}[?25l" + toTop(columnCount: size.columnCount)
        for line in lines { text += "\u{1b}[2K" + line.rendered(isColored: isColored) + "\r\n" }
        columnCounts = lines.map(\.columnCount)
        return text + "\u{1b}[J\u{1b}[?25h"
    }

    /// Takes the last frame away.
    package mutating func erased() -> String {
        guard !columnCounts.isEmpty else { return "" }
        defer { columnCounts = [] }
        return toTop(columnCount: TerminalSize.ofStandardError.columnCount) + "\u{1b}[J"
    }

    /// From below the last frame to its first line, whose lines are wrapped if the window has become narrower.
    private func toTop(columnCount: Int) -> String {
        let rows = columnCounts.reduce(0) { $0 + max(($1 + columnCount - 1) / columnCount, 1) }
        return rows > 0 ? "\r\u{1b}[\(rows)A" : "\r"
    }
}
