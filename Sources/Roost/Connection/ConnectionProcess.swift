// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import RoostIO
internal import RoostRuntime
internal import RoostWebSocket

/// The process behind a connection: reading, decoding, the handler, encoding and writing happen in its turns.
///
/// Between turns it has no stack and no buffer. Within a turn it borrows the scheduler's.
///
/// **C1.** Whenever handler code runs, everything about the connection is in its state, not in a frame: a trap loses
/// the frames only. Test: `RestartTests.messagesAfterTheCrashAreHandled`.
/// **C2.** A process that stops in the middle of a turn takes the read buffer with it, and what it had gathered to
/// write has left it, before another process runs. Test: `HazardTests.lentBytesSurviveAWait`.
/// **C3.** A socket belongs to one connection state, and a state to one process at a time. Test: `RestartTests`.
enum ConnectionProcess {
    nonisolated(unsafe) static let operations: UnsafePointer<ProcessOperations> = unsafe ProcessOperations(
        run: { raw in
            let process = unsafe ProcessRef(raw: raw)
            let scheduler = SchedulerRef.running
            if ConnectionRef(process).state.phase != .open { ConnectionRef(process).beginTurn(process, scheduler) }
            // Opening may have moved the state: looked up again.
            if !process.isFinished { ConnectionRef(process).runTurn(process, scheduler) }
        },
        didStop: { raw in
            let process = unsafe ProcessRef(raw: raw)
            ConnectionRef(process).keepBorrowed(process, SchedulerRef.running)
        },
        willResume: { raw in
            let process = unsafe ProcessRef(raw: raw)
            ConnectionRef(process).serveWhileHandlerWaits(process, SchedulerRef.running)
        },
        didAbandon: { raw in
            let process = unsafe ProcessRef(raw: raw)
            ConnectionRef(process).salvage(process, SchedulerRef.running)
        },
        didEnd: { raw in
            let process = unsafe ProcessRef(raw: raw)
            ConnectionRef(process).processEnded(process, SchedulerRef.running)
        }
    ).immortal()

    /// Starts the process of an accepted socket. This scheduler's thread.
    static func start(
        _ descriptor: consuming OwnedDescriptor, _ peer: SocketAddress?, _ listener: Listener,
        _ scheduler: SchedulerRef,
        phase: ConnectionPhase = .handshake, flags: ConnectionFlags = []
    ) {
        let route = listener.handshakeRoute
        let byteCount = ConnectionRef.handlerOffset
        let process = unsafe scheduler.spawn(operations, object: nil, heapLimit: route.limits.heapByteCountMax)
        let block = unsafe scheduler.allocate(byteCount: byteCount, for: process)
        let connection = unsafe ConnectionRef(block.bindMemory(to: ConnectionState.self, capacity: 1))
        unsafe connection.pointer.initialize(
            to: ConnectionState(
                descriptor: descriptor.release(), phase: phase, role: listener.role, listener: listener, route: route,
                peer: peer,
                now: scheduler.now, blockByteCount: byteCount))
        connection.state.flags = flags
        unsafe process.setObject(UnsafeMutableRawPointer(connection.pointer))
        if listener.isDraining { scheduler.tellToExit(process, .shutdown) }
        connection.state.deadline = .now() + listener.configuration.handshakeTimeout
        connection.armTimer(process, scheduler)
        let code = scheduler.watch(connection.state.descriptor, for: process)
        guard code == 0 else {
            // Nothing would ever be heard of it again.
            connection.noteReason(CloseReason(.registrationFailed, message: "epoll_ctl: errno \(code)"))
            connection.state.phase = .closed
            return
        }
        connection.state.flags.insert(.isWatched)
        connection.enter()
    }
}

extension ConnectionRef {
    /// The part of a turn that leads to an open connection.
    func beginTurn(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        note(process.takeWakeFlags())
        do {
            try begin(process, scheduler)
        } catch {
            ConnectionRef(process).handlerThrew(error, process, scheduler)
        }
    }

    /// One turn, from the top of the stack.
    func runTurn(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        // What has come since `beginTurn` looked is left where it is, for another turn: nothing here would see to it.
        if state.phase != .handshake, state.phase != .connecting { note(process.takeWakeFlags()) }
        do {
            try work(process, scheduler)
        } catch {
            handlerThrew(error, process, scheduler)
            return
        }
        finishTurn(process, scheduler)
    }

    @inline(__always)
    func note(_ wake: WakeFlags) {
        if wake.contains(.readable) { state.flags.insert(.readable) }
        if wake.contains(.hangup) { state.flags.insert(.hasHangup) }
        if wake.contains(.writable) { noteWritable() }
    }

    func noteWritable() {
        state.flags.remove(.isBlocked)
        guard state.flags.contains(.readsWhenWritable) else { return }
        state.flags.remove(.readsWhenWritable)
        state.flags.insert(.readable)
    }

    private func work(_ process: ProcessRef, _ scheduler: SchedulerRef) throws {
        if !state.outbound.isEmpty { flushOutbound(process, scheduler) }
        if !state.flags.isDisjoint(with: .mindRooms) { serveRooms(process, scheduler) }
        while state.phase == .open {
            if !state.flags.isDisjoint(with: .needsHandler) { try startHandler(process, scheduler) }
            if process.isExiting {
                exit(process, scheduler)
                if process.isFinished { return }
            }
            if state.extras != nil { try deliverWaiting(process, scheduler) }
            if process.hasMessages { try receiveMessages(process, scheduler) }
            if state.timerDeadline <= scheduler.now { try timePassed(process, scheduler) }
            // Put by meanwhile, while a callback waited or others had their turn: it comes before what is undecoded.
            if state.flags.contains(.hasWaiting), !state.flags.contains(.isHeldByRoom) { continue }
            if state.flags.isDisjoint(with: .isSlowed) {
                if unsafe state.readBuffer != nil {
                    try decode(process, scheduler)
                } else if state.flags.contains(.hasBacklog) {
                    try decodeBacklog(process, scheduler)
                }
                // What came earlier is handled before the socket is read again.
                if unsafe state.readBuffer != nil || !state.flags.isDisjoint(with: [.hasWaiting, .hasBacklog]),
                    state.flags.isDisjoint(with: .isSlowed)
                {
                    continue
                }
            }
            if state.flags.contains(.hasPendingClose) { answerPendingClose(process, scheduler) }
            guard state.flags.contains(.readable), state.flags.isDisjoint(with: .isSlowed) else {
                if process.hasMessages { continue }
                break
            }
            guard state.phase == .open else { break }
            try read(process, scheduler)
            if isTurnOver { suspendTurn(process) }
        }
        if state.phase == .lingering, !state.flags.contains(.hasPeerEnded) { linger(process, scheduler) }
    }

    /// The reductions are used up.
    var isTurnOver: Bool { @inline(__always) get { unsafe roost_thread_current().pointee.reductions < 0 } }

    /// Lets everyone else run; goes on in the next turn. What was borrowed is kept by `keepBorrowed`.
    func suspendTurn(_ process: ProcessRef) { process.yieldTurn() }

    func finishTurn(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        flush(process, scheduler)
        if state.phase == .open, state.flags.contains(.hasPeerEnded) { awaitLastBytes(process, scheduler) }
        if state.phase == .open, state.outbound.isEmpty, state.closing.flushed(as: role) == .closeTransport {
            state.phase = .closed
        }
        if state.phase == .lingering, state.outbound.isEmpty { beginLingering(process, scheduler) }
        if state.phase == .closed {
            terminateHandler(process)
            destroyInitialHandler()
            process.finish(.normal)
            return
        }
        if state.flags.contains(.hasRoomFrames) { resumeRoomFrames(process) }
        armTimer(process, scheduler)
    }

    // MARK: Handler's beginning

    private func startHandler(_ process: ProcessRef, _ scheduler: SchedulerRef) throws {
        if state.flags.contains(.mustReportCrash) {
            state.flags.remove(.mustReportCrash)
            return beginClose(CloseReason(.handlerCrashed, code: .internalError, message: "handler crashed"))
        }
        if state.flags.contains(.mustRestartHandler) {
            roost_handler_begin()
            route.handlerType.restart(handler, from: initialHandler)
            roost_handler_end()
            state.flags.insert([.hasHandler, .mustOpenHandler])
            state.flags.remove(.mustRestartHandler)
        }
        state.flags.remove(.mustOpenHandler)
        try call { type, handler in try type.opened(handler) }
    }

    /// Calls the handler: as handler code, with everything in the state (C1).
    @inline(__always)
    func call(_ body: (HandlerType, HandlerStorage) throws -> Void) throws {
        guard state.flags.contains(.hasHandler) else { return }
        state.flags.insert(.isInCallback)
        roost_handler_begin()
        do {
            try unsafe state.handlerType._withUnsafeGuaranteedRef { type throws in try body(type, handler) }
        } catch {
            roost_handler_end()
            state.flags.remove(.isInCallback)
            throw error
        }
        roost_handler_end()
        state.flags.remove(.isInCallback)
    }

    // MARK: Messages and time

    /// Messages of other processes that are handled before the socket is looked at again: senders that never pause must
    /// not make a connection deaf.
    private static let messagesInARow = 64

    private func receiveMessages(_ process: ProcessRef, _ scheduler: SchedulerRef) throws {
        var count = 0
        while state.phase == .open, count < Self.messagesInARow, let node = process.takeNode(scheduler) {
            count += 1
            roost_charge(4)
            defer { process.free(node, scheduler) }
            switch node.kind {
            case .message: try call { type, handler in try type.receive(handler, node) }
            case .down:
                let down = node.takePayload(as: Down.self)
                process.forgetMonitor(down.reference)
                try call { type, handler in try type.down(handler, down) }
            case .exit, .reply, .request, .undeliverable, .signal:
                roost_handler_begin()
                node.destroyPayload()
                roost_handler_end()
            }
            if isTurnOver { suspendTurn(process) }
        }
    }

    /// Told to end from outside, or over a limit: an orderly end closes the connection, any other counts as a crash.
    private func exit(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        let reason = process.exitReason
        guard !reason.isNormal else {
            process.ignoreExit()
            return beginClose(CloseReason(.draining, code: .goingAway, message: "shutting down"))
        }
        crashed(process, scheduler, destroysHandler: true)
        process.finish(reason)
    }
}

extension ConnectionFlags {
    static let needsHandler: Self = [.mustOpenHandler, .mustRestartHandler, .mustReportCrash]
}
