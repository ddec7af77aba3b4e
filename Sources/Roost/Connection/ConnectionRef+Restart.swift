// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import RoostIO
internal import RoostRuntime
internal import RoostWebSocket
internal import Synchronization

// A crash of the handler ends its process. The socket, and all that is not the handler's, goes to the next one.

extension ConnectionRef {
    /// A callback threw. Its frames have unwound and the handler is whole: it is destroyed before the process ends.
    func handlerThrew(_ error: any Error, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        if let exit = error as? ProcessExit, exit.reason.isNormal {
            process.ignoreExit()
            if state.extras?.deliveringOffset == nil { state.delivering.release(process, scheduler) }
            stopInflating(process, scheduler)
            beginClose(CloseReason(.draining, code: .goingAway, message: "shutting down"), process, scheduler)
            finishTurn(process, scheduler)
            // What was read, and what the socket has, is still to be looked at: the client's close frame for one.
            if !process.isFinished { process.wakeSelf() }
            return
        }
        crashed(process, scheduler, destroysHandler: true)
        process.finish((error as? ProcessExit)?.reason ?? .error(error))
    }

    /// Puts the connection's affairs in order for the next process.
    func crashed(_ process: ProcessRef, _ scheduler: SchedulerRef, destroysHandler: Bool) {
        state.flags.remove(.isInCallback)
        keepUndecoded(process, scheduler)
        if state.extras?.deliveringOffset == nil { state.delivering.release(process, scheduler) }
        stopInflating(process, scheduler)
        flush(process, scheduler)
        if destroysHandler { destroyHandler() } else { state.flags.remove(.hasHandler) }
    }

    /// The frames are gone, wherever they were. Scheduler context. What the handler held is lost: it may be half
    /// changed (C1).
    func salvage(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        crashed(process, scheduler, destroysHandler: false)
    }

    /// What was read and not decoded is kept, and the buffer it lies in given back. The message that crashed is not
    /// tried again.
    func keepUndecoded(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        if unsafe state.readBuffer != nil {
            if state.readCursor < state.readEnd {
                // Bytes that were put behind while the callback waited come after these.
                let later = unsafe Array(UnsafeRawBufferPointer(state.residue.bytes))
                state.residue.release(process, scheduler)
                let rest = unsafe UnsafeRawBufferPointer(
                    start: state.readBuffer! + Int(state.readCursor), count: Int(state.readEnd - state.readCursor))
                unsafe state.residue.append(rest, process, scheduler)
                unsafe later.withUnsafeBytes { unsafe state.residue.append($0, process, scheduler) }
                state.flags.insert(.hasBacklog)
            }
            doneWithReadBuffer(scheduler)
        }
    }

    /// The process has ended. Scheduler context. A connection that is over is freed; any other goes to the supervisor.
    func processEnded(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        leaveRooms(scheduler)
        if state.timer != .none { scheduler.cancelTimer(state.timer) }
        state.timer = .none
        state.timerDeadline = .distantFuture
        if state.phase == .closed { return free(process, scheduler) }
        if process.exitReason.isNormal {
            // Told to end while it span, it could not say so itself. The next process sees to it that this arrives.
            let reason = CloseReason(.draining, code: .goingAway, message: "shutting down")
            noteReason(reason)
            beginClose(reason, process, scheduler)
            flush(process, scheduler)
        } else {
            listener.counters.crashes.add(1, ordering: .relaxed)
        }
        unsafe process.setObject(nil)
        listener.supervisor(on: scheduler)?.send(
            .crashed(ConnectionHandover(connection: self), pid: process.pid, reason: process.exitReason))
    }

    /// Closes the socket and frees everything. The last thing that happens to a connection.
    func free(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        let listener = listener
        if state.outbound.count > 0 { SystemCalls.setResetOnClose(state.descriptor) }
        if state.flags.contains(.isSecure), state.outbound.isEmpty { state.tls?.closeNotify() }
        state.tls?.free()
        leave()
        SystemCalls.closeDescriptor(state.descriptor)
        doneWithReadBuffer(scheduler)
        state.residue.release(process, scheduler)
        state.assembly.release(process, scheduler)
        state.delivering.release(process, scheduler)
        state.inflated.release(process, scheduler)
        state.outbound.release(process, scheduler)
        state.extras?.waiting.release(process, scheduler)
        freeRooms(process, scheduler)
        let reason = state.extras?.closeReason ?? CloseReason(.connectionLost)
        listener.connectionEnded(reason, peer: state.peer, scheduler)
        if role == .client { unsafe Unmanaged.passUnretained(route).release() }
        let byteCount = Int(state.blockByteCount)
        unsafe _ = pointer.deinitialize(count: 1)
        unsafe scheduler.free(UnsafeMutableRawPointer(pointer), byteCount: byteCount, for: process)
        unsafe process.setObject(nil)
    }

    // MARK: Supervision

    /// Gives the connection a fresh process. The supervisor's scheduler is the connection's.
    func restart(_ scheduler: SchedulerRef, isAllowed: Bool) {
        let process = unsafe scheduler.spawn(
            ConnectionProcess.operations, object: UnsafeMutableRawPointer(pointer),
            heapLimit: route.limits.heapByteCountMax)
        process.setMailboxLimit(route.limits.mailboxCountMax, route.limits.mailboxOverflow.policy)
        let blocks = [
            state.residue, state.assembly, state.delivering, state.inflated, state.outbound,
            state.extras?.waiting ?? ByteBlock(),
        ]
        process.charge(
            byteCount: Int(state.blockByteCount) + compressorByteCount + roomsByteCount
                + blocks.reduce(0) { $0 + Int($1.capacity) })
        state.flags.insert(isAllowed && state.phase == .open ? .mustRestartHandler : .mustReportCrash)
        state.flags.insert(.readable)
        if state.flags.contains(.isHeldByRoom) { holdAgain(process) }
        if listener.isDraining { scheduler.tellToExit(process, .shutdown) }
        let code = scheduler.rewatch(state.descriptor, for: process)
        if code != 0 {
            // Nothing would ever be heard of it again.
            noteReason(CloseReason(.registrationFailed, message: "epoll_ctl: errno \(code)"))
            state.phase = .closed
        }
        armTimer(process, scheduler)
    }

    /// Counts a crash; false when there have been more than the route allows within its period. (OTP: supervisor,
    /// restart intensity.)
    func mayRestart(at now: MonotonicTime) -> Bool {
        guard state.phase == .open, state.closing.maySendMessages, !state.flags.contains(.hasLostContext) else {
            return false
        }
        guard case .restart(let intensity, let period) = route.restart else { return false }
        let extras = extras
        if now >= extras.restartWindowStart + period {
            extras.restartWindowStart = now
            extras.restartCount = 0
        }
        extras.restartCount += 1
        return extras.restartCount <= intensity
    }
}

/// A connection on its way from a process that has ended to the next.
struct ConnectionHandover: Sendable {
    let connection: ConnectionRef
}
