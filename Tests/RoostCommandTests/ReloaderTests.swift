// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Roost
import Synchronization
import Testing

@testable import RoostDaemon

/// What SIGHUP sets off.
@Suite struct ReloaderTests {
    /// Keeps log lines, and hands them out as they come.
    final class Lines: Sendable {
        private let stream = AsyncStream.makeStream(of: String.self)
        let logger: Logger

        init() {
            let continuation = stream.continuation
            logger = Logger(label: "test") { _ in LogfmtHandler { continuation.yield($0) } }
        }

        /// The next line, without its time.
        func next() async -> String {
            for await line in stream.stream { return line.split(separator: " ").dropFirst().joined(separator: " ") }
            return ""
        }
    }

    @Test("what was read is said, and what was not, with its problem") func tells() async {
        let lines = Lines()
        let reloader = Reloader(
            [
                .init(name: "certificates", count: 2) { ["a.pem cannot be read"] },
                .init(name: "pages", count: 3) { [] }, .init(name: "nothing", count: 0) { ["never asked"] },
            ], logger: lines.logger)
        reloader.request()
        #expect(
            await lines.next()
                == "level=error message=\"reload failed: the old certificates stay\" "
                + "reload.problem=\"a.pem cannot be read\"\n")
        #expect(await lines.next() == "level=notice message=\"pages reloaded\" reload.count=3\n")
    }

    @Test("nothing to read is said too") func tellsOfNothing() async {
        let lines = Lines()
        Reloader([], logger: lines.logger).request()
        #expect(
            await lines.next()
                == "level=notice message=\"nothing to reload: no listener has certificates, and no route is a page\"\n")
    }

    @Test("asked for while it reads, it reads once more, and not at the same time") func readsAgain() async {
        let lines = Lines()
        let running = Atomic<Int>(0)
        let first = DispatchSemaphore(value: 0)
        let counts = Mutex(0)
        let reloader = Reloader(
            [
                .init(name: "pages", count: 1) {
                    #expect(running.add(1, ordering: .relaxed).newValue == 1)
                    defer { running.subtract(1, ordering: .relaxed) }
                    let count = counts.withLock { count in
                        count += 1
                        return count
                    }
                    if count == 1 { first.wait() }
                    return []
                }
            ], logger: lines.logger)
        for _ in 0..<5 { reloader.request() }
        // The first reading has begun or will; whichever, the requests behind it come to one more at most.
        while counts.withLock({ $0 }) == 0 { await Task.yield() }
        reloader.request()
        first.signal()
        _ = await lines.next()
        _ = await lines.next()
        #expect(counts.withLock { $0 } == 2)
        reloader.request()
        _ = await lines.next()
        #expect(counts.withLock { $0 } == 3)
    }

    @Test("pages are read again; one that is gone stays as it was, with a problem") func reloadsPages() throws {
        let file = try TemporaryFile("one")
        let configuration = try read("routes: [{path: /, kind: page, file: \(file.path)}]")
        let pages = DaemonPages(configuration)
        #expect(pages.fileCount == 1)
        #expect(pages.load() == [])
        try FileManager.default.removeItem(atPath: file.path)
        #expect(
            pages.load().map(\.description) == [
                "test.yaml:1: file: \(file.path) cannot be opened: No such file or directory"
            ])
    }
}
