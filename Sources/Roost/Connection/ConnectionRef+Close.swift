// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import RoostIO
internal import RoostRuntime
internal import RoostWebSocket

// How a connection ends, and what time does to it.

extension ConnectionRef {
    var closeTimeoutNanoseconds: UInt64 { (MonotonicTime(nanoseconds: 0) + route.limits.closeTimeout).nanoseconds }

    /// Keeps the first reason: what comes after follows from it.
    func noteReason(_ reason: CloseReason) {
        let extras = extras
        if extras.closeReason == nil { extras.closeReason = reason }
    }

    // MARK: Closing handshake

    func beginClose(_ reason: CloseReason) {
        guard let process = SchedulerRef.currentProcess, let scheduler = SchedulerRef.current else { return }
        beginClose(reason, process, scheduler)
    }

    /// We want to close: sends the close frame, once, and waits for the client's.
    func beginClose(_ reason: CloseReason, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        guard state.phase == .open else { return }
        noteReason(reason)
        let payload = ClosePayload(code: reason.code ?? .normalClosure, reason: reason.message)
        perform(
            state.closing.close(with: payload, at: MonotonicTime.now().nanoseconds, timeout: closeTimeoutNanoseconds),
            process, scheduler)
    }

    /// The client broke a rule.
    func fail(_ error: FrameError, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        let cause: CloseReason.Cause =
            switch error.closeCode {
            case .messageTooBig: .messageTooBig
            case .invalidPayload: .invalidPayload
            default: .protocolError
            }
        noteReason(CloseReason(cause, code: error.closeCode, message: error.description))
        let payload = ClosePayload(code: error.closeCode, reason: error.description)
        perform(
            state.closing.fail(with: payload, at: MonotonicTime.now().nanoseconds, timeout: closeTimeoutNanoseconds),
            process, scheduler)
        // It may be sending still: closing the socket now would reset it, and the close frame might never be read.
        if state.phase == .open {
            state.phase = .lingering
            state.deadline = .now() + route.limits.closeTimeout
            stopReading(process, scheduler)
        }
    }

    func perform(_ action: CloseHandshake.Action, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        switch action {
        case .none: break
        case .closeTransport:
            // Both sides have said all; but ours may still be on its way to the kernel.
            flush(process, scheduler)
            if state.phase == .open { state.phase = state.outbound.isEmpty ? .closed : .lingering }
        case .send(let payload):
            state.deadline = MonotonicTime(nanoseconds: state.closing.deadline ?? MonotonicTime.now().nanoseconds)
            if state.flags.contains(.isThrottled) {
                // The client's own close frame is behind what it is held up for.
                state.flags.remove(.isThrottled)
                extras.throttledUntil = .distantFuture
                process.wakeSelf()
            }
            sendOwedPong(process, scheduler)  // nothing follows the close frame
            endRooms(process, scheduler)
            unsafe withUnsafeTemporaryAllocation(
                byteCount: FrameEncoder.controlPayloadByteCountMax, alignment: 8
            ) { buffer in
                let count = unsafe FrameEncoder.writeClosePayload(payload, to: buffer)
                unsafe queue(.close, UnsafeRawBufferPointer(rebasing: buffer[..<count]), process, scheduler)
            }
        }
    }

    func stopReading(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        state.readCursor = state.readEnd
        state.residue.release(process, scheduler)
        state.assembly.release(process, scheduler)
    }

    /// The client's close frame came while a callback waits. It is answered behind the answers to what came before it;
    /// over the head of a callback that takes longer than this.
    private static let closeAnswerDelay = Duration.milliseconds(100)

    func putByClose(_ close: ClosePayload, _ scheduler: SchedulerRef) {
        extras.pendingClose = close
        state.flags.insert(.hasPendingClose)
        state.deadline = scheduler.now + Self.closeAnswerDelay
    }

    func answerPendingClose(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        state.flags.remove(.hasPendingClose)
        guard let close = extras.pendingClose else { return }
        extras.pendingClose = nil
        perform(
            state.closing.receivedClose(
                close, as: role, at: scheduler.now.nanoseconds, timeout: closeTimeoutNanoseconds),
            process, scheduler)
    }

    // MARK: The socket's end

    /// The peer has ended its side; it may still read ours. What waits for it has the close timeout to leave.
    func awaitLastBytes(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        if state.closing.maySendMessages {
            sendOwedPong(process, scheduler)
            flush(process, scheduler)
        }
        endRooms(process, scheduler)
        _ = state.closing.transportEnded()
        state.phase = state.outbound.isEmpty ? .closed : .lingering
        state.deadline = .now() + route.limits.closeTimeout
    }

    /// Everything is said: ends our side and throws away what the peer still sends, until it ends its side or the
    /// deadline comes.
    func beginLingering(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        guard !state.flags.contains(.hasPeerEnded) else {
            state.phase = .closed
            return
        }
        guard !state.flags.contains(.isHalfClosed) else { return }
        guard endWriting() else { return }
        state.flags.insert([.isHalfClosed, .readable])
        linger(process, scheduler)
    }

    func linger(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        let buffer = unsafe UnsafeMutableRawBufferPointer(
            start: IOBuffers.of(scheduler).pointee.read, count: IOBuffers.readByteCount)
        guard unsafe state.readBuffer == nil || state.flags.contains(.ownsReadBuffer) else { return }
        // A close frame may be among what was gathered: it goes before anything ends.
        flush(process, scheduler)
        var rounds = 0
        while state.flags.contains(.readable), rounds < 8 {
            rounds += 1
            roost_charge(200)
            switch unsafe SystemCalls.receive(state.descriptor, into: buffer) {
            case .bytes: continue
            case .wouldBlock: state.flags.remove(.readable)
            case .endOfStream:
                state.flags.remove(.readable)
                state.flags.insert(.hasPeerEnded)
                // It may still read what waits for it.
                if state.outbound.isEmpty { state.phase = .closed }
            case .failed:
                state.flags.remove(.readable)
                state.flags.insert(.hasPeerEnded)
                state.phase = .closed
            }
        }
        if state.flags.contains(.readable), state.phase == .lingering { process.wakeSelf() }
    }

    /// The connection is over: the handler hears of it, unless it crashed.
    func terminateHandler(_ process: ProcessRef) {
        guard state.flags.contains(.hasHandler), !state.flags.contains(.hasTerminated) else { return }
        state.flags.insert(.hasTerminated)
        let reason = extras.closeReason ?? CloseReason(.connectionLost, code: .abnormalClosure)
        try? call { type, handler in type.terminated(handler, reason) }
        destroyHandler()
    }

    func destroyHandler() {
        guard state.flags.contains(.hasHandler) else { return }
        state.flags.remove(.hasHandler)
        roost_handler_begin()
        route.handlerType.destroy(handler)
        roost_handler_end()
    }

    /// Nothing restarts any more: the copy that restarts begin with goes.
    func destroyInitialHandler() {
        guard state.flags.contains(.hasInitialHandler) else { return }
        state.flags.remove(.hasInitialHandler)
        roost_handler_begin()
        route.handlerType.destroy(initialHandler)
        roost_handler_end()
    }

    // MARK: Time

    /// Asks for a wake-up at the next deadline. An earlier one that is armed already is left: it looks again.
    func armTimer(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        var wanted = state.deadline
        if let timers = state.extras?.timers {
            for timer in timers where timer.deadline < wanted { wanted = timer.deadline }
        }
        if state.flags.contains(.isThrottled) { wanted = min(wanted, extras.throttledUntil) }
        guard wanted < state.timerDeadline, wanted < .distantFuture else { return }
        if state.timer != .none { scheduler.cancelTimer(state.timer) }
        state.timer = scheduler.armWake(process, at: wanted)
        state.timerDeadline = wanted
    }

    func armTimer() {
        guard let process = SchedulerRef.currentProcess, let scheduler = SchedulerRef.current else { return }
        armTimer(process, scheduler)
    }

    /// A deadline has come, or a timer of the handler's.
    func timePassed(_ process: ProcessRef, _ scheduler: SchedulerRef) throws {
        let now = MonotonicTime.now()
        state.timer = .none
        state.timerDeadline = .distantFuture
        endThrottle(at: now)
        if now >= state.deadline { deadlinePassed(at: now, process, scheduler) }
        guard let extras = state.extras else { return }
        while state.phase == .open,
            let index = extras.timers.indices.min(by: { extras.timers[$0].deadline < extras.timers[$1].deadline }),
            extras.timers[index].deadline <= now
        {
            let id = extras.timers.remove(at: index).id
            try call { type, handler in try type.timer(handler, id) }
        }
    }

    func deadlinePassed(at now: MonotonicTime, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        switch state.phase {
        case .closed: break
        case .connecting:
            noteReason(CloseReason(.connectFailed, message: ConnectFailure.describeTimeout(state.peer)))
            state.phase = .closed
        case .handshake: handshakeTimedOut(process, scheduler)
        case .lingering: cut()
        case .open:
            if state.closing.deadline != nil {
                if state.closing.deadlinePassed(at: now.nanoseconds) == .closeTransport { cut() }
            } else if state.flags.contains(.hasPeerEnded) {
                cut()
            } else {
                keepAlive(at: now, process, scheduler)
            }
        }
    }

    /// As `timePassed`, while a callback is stopped on the process's stack: the handler's own timers wait until it
    /// returns. What the connection is over for, the callback had the close timeout to finish; now its waiting calls
    /// throw. Scheduler context.
    func timePassedWhileHandlerWaits(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        if state.timer != .none { scheduler.cancelTimer(state.timer) }
        state.timer = .none
        state.timerDeadline = .distantFuture
        let now = MonotonicTime.now()
        if endThrottle(at: now) { process.wakeSelf() }
        guard now >= state.deadline else { return }
        if state.flags.contains(.hasPendingClose) { return answerPendingClose(process, scheduler) }
        let isOver = state.phase != .open || !state.closing.maySendMessages || state.flags.contains(.hasPeerEnded)
        if isOver { scheduler.tellToExit(process, .shutdown) } else { keepAlive(at: now, process, scheduler) }
    }

    /// The client is within its rate again, if it is time. True: its socket may be read.
    @discardableResult
    private func endThrottle(at now: MonotonicTime) -> Bool {
        guard state.flags.contains(.isThrottled), now >= extras.throttledUntil else { return false }
        // What it has sent meanwhile, an awaited pong perhaps, is yet to be read: until then it is not silent.
        state.flags.subtract([.isThrottled, .awaitsPong])
        state.lastReceived = now
        extras.throttledUntil = .distantFuture
        return true
    }

    /// Asks for a wake-up at the connection's own next deadline. One that has passed is seen to when the callback
    /// returns.
    func armDeadline(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        var wanted = state.deadline > scheduler.now ? state.deadline : .distantFuture
        if state.flags.contains(.isThrottled) { wanted = min(wanted, extras.throttledUntil) }
        guard wanted < state.timerDeadline, wanted < .distantFuture else { return }
        if state.timer != .none { scheduler.cancelTimer(state.timer) }
        state.timer = scheduler.armWake(process, at: wanted)
        state.timerDeadline = wanted
    }

    /// Ends the connection although the peer has not taken everything: unsent bytes are dropped.
    func cut() {
        if !state.outbound.isEmpty { SystemCalls.setResetOnClose(state.descriptor) }
        state.phase = .closed
    }

    /// Pings a silent client; gives one up that does not answer, or that has sent no message for too long.
    private func keepAlive(at now: MonotonicTime, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        let limits = route.limits
        // Who is not read says nothing, whatever it sends.
        if !state.flags.isDisjoint(with: .isSlowed) { state.lastReceived = now }
        if limits.idleTimeout != .zero, now >= state.lastMessage + limits.idleTimeout {
            return beginClose(
                CloseReason(.idleTimeout, code: .goingAway, message: "no message for \(limits.idleTimeout)"), process,
                scheduler)
        }
        if state.flags.contains(.awaitsPong), state.flags.isDisjoint(with: .isSlowed) {
            return beginClose(
                CloseReason(.pongTimeout, code: .goingAway, message: "no pong for \(limits.pongTimeout)"), process,
                scheduler)
        }
        if limits.pingInterval != .zero, now >= state.lastReceived + limits.pingInterval {
            state.flags.insert(.awaitsPong)
            sendPing(process, scheduler)
            state.deadline = now + limits.pongTimeout
            if limits.idleTimeout != .zero {
                state.deadline = min(state.deadline, state.lastMessage + limits.idleTimeout)
            }
        } else {
            setKeepAliveDeadline()
        }
    }

    /// The peer is there: bytes came from it, or it took some.
    @inline(__always)
    func heardOfPeer(_ scheduler: SchedulerRef) {
        state.lastReceived = scheduler.now
        guard state.flags.contains(.awaitsPong) else { return }
        state.flags.remove(.awaitsPong)
        if state.closing.maySendMessages, state.flags.isDisjoint(with: [.hasPendingClose, .hasPeerEnded]) {
            setKeepAliveDeadline()
        }
    }

    /// The next time the open connection is to be looked at.
    func setKeepAliveDeadline() {
        let limits = route.limits
        var deadline = MonotonicTime.distantFuture
        if limits.pingInterval != .zero { deadline = state.lastReceived + limits.pingInterval }
        if limits.idleTimeout != .zero { deadline = min(deadline, state.lastMessage + limits.idleTimeout) }
        state.deadline = deadline
    }
}
