// SPDX-License-Identifier: Apache-2.0

public import Logging
public import RoostIO
public import RoostRuntime
internal import RoostWebSocket
internal import Synchronization

/// Everything a server is told. Checked by `start`, before a socket opens.
public struct ServerConfiguration: Sendable {
    public var listeners: [ListenerConfiguration]
    public var runtime = RuntimeConfiguration()
    /// How long a drain waits for connections to close before it ends.
    public var drainTimeout = Duration.seconds(30)

    public init(listeners: [ListenerConfiguration]) { self.listeners = listeners }

    /// All that is wrong with the configuration, each with its key, value and range; empty when it is right.
    public func problems() -> [String] {
        var problems: [String] = []
        if listeners.isEmpty { problems.append("no listener is configured; give at least one address") }
        for listener in listeners { listener.validate(&problems) }
        do throws(RuntimeError) {
            try runtime.validate()
        } catch {
            if case .invalidConfiguration(let more) = error { problems += more } else { problems.append("\(error)") }
        }
        if drainTimeout < .zero || drainTimeout > .seconds(86_400) {
            problems.append("drain-timeout is \(drainTimeout); use 0 to 1 day")
        }
        return problems
    }
}

/// Why a server did not start.
public struct ServerError: Error, CustomStringConvertible {
    public let problems: [String]
    public var description: String { problems.joined(separator: "\n") }
}

/// A WebSocket server: listeners, the runtime that their connections run on, and the way it starts and ends.
public final class RoostServer: Sendable {
    public let runtime: Runtime
    public let configuration: ServerConfiguration
    private let listeners: [Listener]
    private let logger: Logger
    private let state = Mutex(DrainState())

    private struct DrainState {
        var isDraining = false
        var waiters: [CheckedContinuation<Void, Never>] = []
        var wantsDrain = false
    }

    /// Opens the sockets and serves. Every problem with the configuration is told at once, before a socket opens.
    public static func start(_ configuration: ServerConfiguration, logger: Logger) async throws -> RoostServer {
        let problems = configuration.problems()
        guard problems.isEmpty else { throw ServerError(problems: problems) }
        let server = try RoostServer(configuration, logger: logger)
        for listener in server.listeners { await listener.start() }
        return server
    }

    private init(_ configuration: ServerConfiguration, logger: Logger) throws {
        self.configuration = configuration
        self.logger = logger
        // Certificates before sockets: what is wrong with them is told before anybody can connect.
        let contexts = try configuration.listeners.map { try $0.tls.map { try TLSContext($0) } }
        for (listener, context) in zip(configuration.listeners, contexts) {
            for warning in context?.warnings ?? [] {
                logger.warning(
                    "certificate needs attention",
                    metadata: ["listener.address": "\(listener.address)", "tls.problem": "\(warning)"])
            }
        }
        var sockets: [SocketBox] = []
        for listener in configuration.listeners {
            sockets.append(SocketBox(try ListeningSocket(SocketAddress(listener.address))))
        }
        let relay = EventRelay(logger: logger)
        runtime = try Runtime(configuration.runtime) { relay.hear($0) }
        var listeners: [Listener] = []
        for (index, listener) in configuration.listeners.enumerated() {
            listeners.append(
                Listener(
                    listener, role: .server, socket: sockets[index].take(), tls: contexts[index], runtime: runtime,
                    logger: logger))
        }
        self.listeners = listeners
        relay.onLeakLimit { [weak self] in self?.requestDrain() }
    }

    /// Where each listener listens, with the ports that the kernel chose.
    public var addresses: [SocketAddress] { listeners.compactMap(\.address) }

    /// Sockets held.
    public var connectionCount: Int { listeners.reduce(0) { $0 + $1.counters.current.load(ordering: .relaxed) } }

    /// What happened since the start.
    public var statistics: ServerStatistics { ServerStatistics(listeners, runtime) }

    /// Returns when the runtime asks for a drain, because of what contained traps have lost, or `drain` was called.
    public func drainRequested() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isWanted = state.withLock { state in
                if !state.wantsDrain { state.waiters.append(continuation) }
                return state.wantsDrain
            }
            if isWanted { continuation.resume() }
        }
    }

    /// Asks for a drain: `drainRequested` returns.
    public func requestDrain() {
        let waiters = state.withLock { state in
            state.wantsDrain = true
            let waiters = state.waiters
            state.waiters = []
            return waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Stops accepting, closes every connection with 1001 and waits until all are gone or `drainTimeout` is over.
    /// Returns how many were cut off.
    @discardableResult
    public func drain() async -> Int {
        requestDrain()
        let isFirst = state.withLock { state in
            defer { state.isDraining = true }
            return !state.isDraining
        }
        if isFirst {
            for listener in listeners { listener.drain() }
        }
        let deadline = MonotonicTime.now() + configuration.drainTimeout
        while connectionCount > 0, MonotonicTime.now() < deadline {
            try? await Task.sleep(for: .milliseconds(20))
        }
        return connectionCount
    }

    /// Reads the certificates of every listener again. New connections are served with them; those that are there keep
    /// theirs, and sessions can still be resumed. A listener whose new files are wrong goes on with the old ones.
    ///
    /// Blocks the calling thread while the files are read. Returns what is wrong, each with its file and remedy.
    public func reloadCertificates() -> [String] {
        listeners.flatMap { listener -> [String] in
            do throws(TLSError) {
                try listener.reloadCertificates()
                return []
            } catch {
                return error.problems
            }
        }
    }

    /// Ends the schedulers. What is still open is cut off.
    public func stop() { runtime.stop() }
}

/// Carries a socket, which cannot be copied, through an array.
private final class SocketBox {
    private var socket: ListeningSocket?
    init(_ socket: consuming ListeningSocket) { self.socket = consume socket }
    func take() -> ListeningSocket? {
        let taken = socket.take()
        return taken
    }
}

/// Passes what the runtime notices on to the log and the server.
private final class EventRelay: Sendable {
    private let logger: Logger
    private let leakLimitReached = Mutex<(@Sendable () -> Void)?>(nil)

    init(logger: Logger) { self.logger = logger }

    func onLeakLimit(_ body: @escaping @Sendable () -> Void) { leakLimitReached.withLock { $0 = body } }

    func hear(_ event: RuntimeEvent) {
        switch event {
        case .trapped: break  // the supervisor of the connection says more about it
        case .abandoned(let byteCount):
            logger.warning("process abandoned: it would not end", metadata: ["process.leaked-bytes": "\(byteCount)"])
        case .leakLimitReached(let byteCount):
            logger.error(
                "contained crashes have lost too much memory: draining, restart the program",
                metadata: ["runtime.leaked-bytes": "\(byteCount)"])
            leakLimitReached.withLock { $0 }?()
        case .messagesDropped(let process, let policy, let limit):
            logger.warning(
                "messages dropped: mailbox full",
                metadata: [
                    "process.pid": "\(process.pid)", "process.label": "\(process.label ?? "")",
                    "mailbox.policy": "\(policy)", "mailbox.limit": "\(limit)",
                ])
        case .longMailbox(let process, let count):
            logger.warning(
                "long mailbox",
                metadata: [
                    "process.pid": "\(process.pid)", "process.label": "\(process.label ?? "")",
                    "process.messages": "\(count)",
                ])
        case .longSchedule(let report):
            logger.warning(
                report.isHandedOver
                    ? "handler stuck in native code: the others go on without it; use dirty(.io) or dirty(.cpu) there"
                    : "handler held its scheduler up: use dirty(.io) or dirty(.cpu) for native code that takes long",
                metadata: [
                    "process.pid": "\(report.process.pid)", "process.label": "\(report.process.label ?? "")",
                    "route": "\(ConnectionRef.of(report.process.pid)?.route.path ?? "")",
                    "function": "\(report.function ?? "unknown")",
                    "milliseconds": "\(Int(report.duration / .milliseconds(1)))",
                ])
        case .rejoined(let pid, let duration):
            logger.info(
                "handler came back from native code",
                metadata: ["process.pid": "\(pid)", "milliseconds": "\(Int(duration / .milliseconds(1)))"])
        case .noSpareThread(let count):
            logger.error(
                "no spare thread is left for a stuck scheduler: its connections wait; raise max-spare-threads",
                metadata: ["max-spare-threads": "\(count)"])
        }
    }
}
