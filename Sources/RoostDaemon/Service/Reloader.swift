// SPDX-License-Identifier: Apache-2.0

internal import Logging
internal import Roost
internal import Synchronization

/// Reads certificates and pages again while the server serves. Settings stay: they are read at the start alone.
///
/// On a task of its own, since files may be slow and the thread that waits for signals must not be; one at a time.
final class Reloader: Sendable {
    /// What there is to read, and what is wrong with it; nothing is changed by what is wrong.
    struct Source: Sendable {
        let name: String
        let count: Int
        let read: @Sendable () -> [String]
    }

    private struct State {
        var isRunning = false
        /// Asked for again while it ran: what was read may be older than that.
        var isWanted = false
    }
    private let sources: [Source]
    private let logger: Logger
    private let state = Mutex(State())

    init(_ sources: [Source], logger: Logger) {
        self.sources = sources.filter { $0.count > 0 }
        self.logger = logger
    }

    convenience init(_ server: RoostServer, _ pages: DaemonPages, logger: Logger) {
        let listenerCount = server.configuration.listeners.count { $0.tls != nil }
        self.init(
            [
                Source(name: "certificates", count: listenerCount) { server.reloadCertificates() },
                Source(name: "pages", count: pages.fileCount) { pages.load().map(\.description) },
            ], logger: logger)
    }

    /// Reads everything, soon. Any thread, any number of times.
    func request() {
        let isFirst = state.withLock { state in
            state.isWanted = true
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if isFirst { Task.detached { self.run() } }
    }

    private func run() {
        while true {
            let isWanted = state.withLock { state in
                defer { state.isWanted = false }
                state.isRunning = state.isWanted
                return state.isWanted
            }
            guard isWanted else { return }
            reload()
        }
    }

    private func reload() {
        if sources.isEmpty {
            logger.notice("nothing to reload: no listener has certificates, and no route is a page")
        }
        for source in sources {
            let problems = source.read()
            if problems.isEmpty {
                logger.notice("\(source.name) reloaded", metadata: ["reload.count": "\(source.count)"])
            }
            for problem in problems {
                logger.error("reload failed: the old \(source.name) stay", metadata: ["reload.problem": "\(problem)"])
            }
        }
    }
}
