// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A line on standard error that says how far the test is: written over on a terminal, one below the other elsewhere.
package final class Progress {
    private let isTerminal: Bool
    private var next = ContinuousClock.now + .seconds(1)
    private var width = 0

    package init() { isTerminal = isatty(STDERR_FILENO) == 1 }

    /// Writes a line if the last is a second old.
    func update(_ line: () -> String) {
        guard ContinuousClock.now >= next else { return }
        next += .seconds(1)
        let text = line()
        guard isTerminal else { return write(text + "\n") }
        let padding = String(repeating: " ", count: max(0, width - text.count))
        width = text.count
        write("\r" + text + padding)
    }

    /// Leaves the terminal's line free for what comes.
    func finish() {
        if isTerminal, width > 0 { write("\r" + String(repeating: " ", count: width) + "\r") }
        width = 0
    }

    private func write(_ text: String) {
        var text = text
        // Safe: the string's own bytes, with their count.
        text.withUTF8 { unsafe _ = Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
