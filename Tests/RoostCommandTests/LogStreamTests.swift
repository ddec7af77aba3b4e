// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@testable import RoostDaemon

@Suite struct LogStreamTests {
    /// A pipe that nobody reads but the test.
    struct TestPipe {
        let reader: CInt
        let writer: CInt

        init() throws {
            var ends: [CInt] = [0, 0]
            try #require(unsafe pipe(&ends) == 0)
            (reader, writer) = (ends[0], ends[1])
            _ = fcntl(reader, F_SETFL, O_NONBLOCK)
        }

        func readAll() -> String {
            var all: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while case let count = unsafe read(reader, &chunk, chunk.count), count > 0 { all += chunk[..<count] }
            return String(decoding: all, as: UTF8.self)
        }

        func close() {
            for end in [reader, writer] { _ = Glibc.close(end) }
        }
    }

    @Test("lines arrive whole and in order, long ones too") func writesLines() throws {
        let pipe = try TestPipe()
        let stream = LogStream(pipe.writer)
        let long = String(repeating: "x", count: 10_000) + "\n"
        stream.write("a\n")
        stream.write(long)
        stream.write("b\n")
        #expect(pipe.readAll() == "a\n" + long + "b\n")
        pipe.close()
    }

    @Test("a reader that has stopped stops nobody; it is told how many lines it missed") func dropsLines() throws {
        let pipe = try TestPipe()
        let stream = LogStream(pipe.writer)
        let line = String(repeating: "y", count: 999) + "\n"
        for _ in 0..<1_000 { stream.write(line) }  // far more than a pipe holds
        let kept = pipe.readAll().split(separator: "\n").count
        #expect(kept < 1_000)
        stream.write("last\n")
        let rest = pipe.readAll().split(separator: "\n")
        #expect(rest.count == 2)
        #expect(rest.first?.hasSuffix("log.dropped=\(1_000 - kept)") == true)
        #expect(rest.last == "last")
        pipe.close()
    }

    @Test("a long line that is cut short is ended before the next") func endsTornLines() throws {
        let pipe = try TestPipe()
        let stream = LogStream(pipe.writer)
        stream.write(String(repeating: "z", count: 1 << 20) + "\n")
        let torn = pipe.readAll()
        #expect(!torn.isEmpty && torn.utf8.count < 1 << 20)
        stream.write("next\n")
        #expect(pipe.readAll() == "\nnext\n")
        pipe.close()
    }
}
