// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Logging
internal import RoostHTTP
internal import RoostIO
internal import RoostRuntime
internal import RoostWebSocket
internal import Synchronization

/// What a supervisor of connections is told.
enum SupervisorMessage: Sendable {
    case crashed(ConnectionHandover, pid: Pid, reason: ExitReason)
}

/// One socket that connections come from, or the place that clients' connections belong to: routes, limits and
/// counters.
///
/// Each scheduler has a process that accepts and one that supervises; a connection stays on the scheduler that it was
/// given to.
// `supervisors`, `acceptors` are written before the first connection; counters are atomic
final class Listener: @unchecked Sendable {
    let configuration: ListenerConfiguration
    let routes: RouteTable
    let httpLimits: HTTPLimits
    let role: FrameRole
    let logger: Logger
    let counters: ListenerCounters
    /// Bounds that hold until the route is known.
    let handshakeRoute: Route
    private let runtime: Runtime
    private let socket: Mutex<ListeningSocket?>
    private let tls: Mutex<TLSContext?>
    /// Whose word about clients is taken.
    let trusted: AddressRanges
    /// nil: the address of a client does not matter.
    let addresses: AddressTable?
    let descriptor: CInt
    let address: SocketAddress?
    private var supervisors: [Address<SupervisorMessage>?]
    private var acceptors: [ProcessRef] = []
    let perScheduler: [SchedulerConnections]
    private let isDrainingFlag = Atomic<Bool>(false)

    init(
        _ configuration: ListenerConfiguration, role: FrameRole, socket: consuming ListeningSocket?,
        tls: TLSContext? = nil, runtime: Runtime, logger: Logger
    ) {
        self.configuration = configuration
        self.role = role
        routes = RouteTable(configuration.routes)
        httpLimits = HTTPLimits(headByteCountMax: configuration.headByteCountMax)
        handshakeRoute = Route("/") { _ -> NoHandler in NoHandler() }
        self.runtime = runtime
        self.logger = logger
        counters = ListenerCounters()
        self.tls = Mutex(tls)
        do throws(AddressRangeError) {
            trusted = try AddressRanges(configuration.proxy.trusted)
        } catch {
            preconditionFailure("Listener: trusted-proxies was not checked: \(error)")
        }
        addresses = configuration.addressLimits.isLimited ? AddressTable(configuration.addressLimits) : nil
        descriptor = socket?.number ?? -1
        address = socket?.address
        self.socket = Mutex(socket)
        supervisors = Array(repeating: nil, count: runtime.schedulerCount)
        perScheduler = (0..<runtime.schedulerCount).map { _ in SchedulerConnections() }
    }

    var isDraining: Bool { isDrainingFlag.load(ordering: .relaxed) }

    /// The certificates that new connections are served with.
    var tlsContext: TLSContext? { withoutPreemption { tls.withLock { $0 } } }

    /// Reads the certificates again; connections that are there keep theirs. Throws, and changes nothing, if anything
    /// is wrong with the new ones.
    func reloadCertificates() throws(TLSError) {
        guard let configuration = configuration.tls else { return }
        let fresh = try TLSContext(configuration, keepingTicketsOf: tlsContext)
        tls.withLock { $0 = fresh }
    }

    /// Whether `peer` is a proxy whose word is taken.
    func trusts(_ peer: SocketAddress?) -> Bool {
        guard let peer else { return false }
        guard let address = peer.ipAddress else { return trusted.includesUnixPeers }
        return trusted.contains(address)
    }

    func supervisor(on scheduler: SchedulerRef) -> Address<SupervisorMessage>? { supervisors[scheduler.index] }

    /// Starts the processes of this listener. Before any connection; returns when they exist.
    func start() async {
        for scheduler in runtime.all {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                scheduler.run {
                    self.startProcesses(on: scheduler)
                    continuation.resume()
                }
            }
        }
    }

    private func startProcesses(on scheduler: SchedulerRef) {
        var options = ProcessOptions(heapByteCountMax: 0)
        options.isPinned = true  // its connections' blocks, sockets and timers are this scheduler's
        supervisors[scheduler.index] = runtime.spawn(receiving: SupervisorMessage.self, options: options) { [self] me in
            while true {
                let message = try me.receive()
                withoutPreemption { supervise(message, scheduler) }
            }
        }
        guard descriptor >= 0 else { return }
        let box = unsafe Unmanaged.passRetained(self).toOpaque()
        let process = unsafe scheduler.spawn(Acceptor.operations, object: box, heapLimit: .max)
        acceptors.append(process)
        guard scheduler.watchListener(descriptor, for: process) != 0 else { return }
        perScheduler[scheduler.index].isPaused.store(true, ordering: .relaxed)
        _ = scheduler.armWake(process, at: .now() + Acceptor.exhaustedPause)
    }

    private func supervise(_ message: SupervisorMessage, _ scheduler: SchedulerRef) {
        switch message {
        case .crashed(let handover, let pid, let reason):
            let connection = handover.connection
            let isAllowed = connection.mayRestart(at: .now())
            connection.restart(scheduler, isAllowed: isAllowed)
            let action =
                connection.state.phase == .handshake
                ? "answered with 500" : isAllowed ? "restarted" : "closed with 1011"
            if !reason.isNormal { logCrash(connection, pid, reason, action) }
        }
    }

    /// A line for each crash, up to ten a second; what is left out is counted in the next line.
    private func logCrash(_ connection: ConnectionRef, _ pid: Pid, _ reason: ExitReason, _ action: String) {
        guard let suppressed = counters.mayLogCrash(at: .now()) else { return }
        var metadata: Logger.Metadata = [
            "process.pid": "\(pid)", "process.reason": "\(reason.label)", "route.path": "\(connection.route.path)",
            "crash.detail": "\(reason)", "crash.action": "\(action)",
            "connection.restarts": "\(connection.state.extras?.restartCount ?? 0)",
        ]
        if let peer = connection.state.peer { metadata["connection.peer"] = "\(peer)" }
        if suppressed > 0 { metadata["crash.suppressed"] = "\(suppressed)" }
        if case .trapped(let trap) = reason {
            metadata["crash.backtrace"] = .array(trap.backtrace.prefix(12).map { "\($0)" })
        }
        logger.warning("handler crashed", metadata: metadata)
    }

    /// The scheduler that a new connection goes to: this one, unless another has far fewer.
    func place(from scheduler: SchedulerRef) -> SchedulerRef {
        var best = scheduler.index
        var fewest = perScheduler[best].count.load(ordering: .relaxed)
        let slack = max(8, fewest / 8)
        for index in perScheduler.indices {
            let count = perScheduler[index].count.load(ordering: .relaxed)
            if count + slack < fewest {
                best = index
                fewest = count
            }
        }
        return runtime.all[best]
    }

    func connectionEnded(_ reason: CloseReason, peer: SocketAddress?, _ scheduler: SchedulerRef) {
        perScheduler[scheduler.index].count.subtract(1, ordering: .relaxed)
        counters.close(reason.cause)
        counters.current.subtract(1, ordering: .relaxed)
        for (index, acceptor) in acceptors.enumerated() where perScheduler[index].isPaused.load(ordering: .relaxed) {
            Runtime.notify(acceptor, .poke)
        }
        if logger.logLevel <= .debug {
            logger.debug(
                "connection ended",
                metadata: [
                    "connection.cause": "\(reason.cause.rawValue)", "connection.peer": "\(peer?.description ?? "-")",
                    "connection.code": "\(reason.code?.rawValue ?? 0)", "connection.detail": "\(reason.message)",
                ])
        }
    }

    /// Stops accepting and tells every connection to close with 1001.
    func drain() {
        isDrainingFlag.store(true, ordering: .sequentiallyConsistent)
        if descriptor >= 0 { SystemCalls.stopListening(descriptor) }
        // A runtime may have several listeners and clients. Whose a connection is, its own scheduler's thread may look
        // at.
        let remaining = Countdown(runtime.schedulerCount)
        for scheduler in runtime.all {
            scheduler.run { [self] in
                if descriptor >= 0 { scheduler.unwatch(descriptor) }
                // Not before nobody accepts or watches any more: its number will be another socket's.
                if remaining.isLast() { socket.withLock { $0 = nil } }
                unsafe runtime.forEachProcess(ConnectionProcess.operations) { process in
                    guard process.home == scheduler, unsafe process.object != nil,
                        ConnectionRef(process).listener === self
                    else {
                        return
                    }
                    runtime.exit(process.pid, .shutdown)
                }
            }
        }
    }
}

/// Tells the last of several threads that it is the last.
private final class Countdown: Sendable {
    private let count: Atomic<Int>
    init(_ count: Int) { self.count = Atomic(count) }
    func isLast() -> Bool { count.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 }
}

/// Connections of one listener on one scheduler.
final class SchedulerConnections: Sendable {
    let count = Atomic<Int>(0)
    /// Its acceptor waits for descriptors, memory or room.
    let isPaused = Atomic<Bool>(false)
}

/// The handler of a connection whose route is not known yet.
struct NoHandler: ConnectionHandler {}
