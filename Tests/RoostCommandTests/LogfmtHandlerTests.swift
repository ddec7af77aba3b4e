// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization
import Testing

@testable import RoostDaemon

@Suite struct LogfmtHandlerTests {
    /// The line that `body` logs, less its time.
    static func line(_ body: (inout Logger) -> Void) -> String {
        let lines = Lines()
        var logger = Logger(label: "test") { _ in LogfmtHandler { line in lines.add(line) } }
        body(&logger)
        return lines.all.map { $0.split(separator: " ", maxSplits: 1)[1] }.joined()
    }

    @Test("an event is one line of keys and values, keys in order") func writesLogfmt() {
        let line = Self.line { logger in
            logger[metadataKey: "server"] = "a"
            logger.notice(
                "two words", metadata: ["b.count": "3", "a": .stringConvertible(4), "list": .array(["x", "y z"])])
        }
        #expect(line == "level=notice message=\"two words\" a=4 b.count=3 list=\"x, y z\" server=a\n")
    }

    @Test("sections of metadata become keys") func flattens() {
        let line = Self.line { $0.error("m", metadata: ["a": .dictionary(["c": "2", "b": "1"])]) }
        #expect(line == "level=error message=m a.b=1 a.c=2\n")
    }

    @Test(
        "values that would break the line, or steer a terminal, are escaped",
        arguments: [
            ("plain", "plain"), ("", "\"\""), ("a b", "\"a b\""), ("a=b", "\"a=b\""), ("\"", "\"\\\"\""),
            ("\\", "\"\\\\\""),
            ("a\nlevel=error", "\"a\\nlevel=error\""), ("\u{1B}[2J", "\"\\x1b[2J\""),
            ("\u{7F}\u{9B}\u{0}", "\"\\x7f\\x9b\\x00\""),
            ("grüße", "\"grüße\""),
        ])
    func quotes(text: String, quoted: String) { #expect(LogfmtHandler.quoted(text) == quoted) }

    @Test("events below the level are not written") func keepsTheLevel() {
        let line = Self.line { logger in
            logger.debug("no")
            logger.logLevel = .debug
            logger.debug("yes")
        }
        #expect(line == "level=debug message=yes\n")
    }

    @Test("times are RFC 3339 in UTC") func writesTimes() {
        #expect(Timestamp.text(seconds: 0, milliseconds: 7) == "1970-01-01T00:00:00.007Z")
        #expect(Timestamp.text(seconds: 951_782_399, milliseconds: 999) == "2000-02-28T23:59:59.999Z")
        #expect(Timestamp.now.count == 24)
    }
}

/// What was written.
private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    func add(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
}
