// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
internal import Synchronization

// What happens around a turn: taking messages and signals in, keeping a stack, landing a trap, ending.

extension SchedulerRef {
    /// Turns that a process gets, after it was told to end, to reach a waiting call and unwind. Past it its frames are
    /// abandoned.
    static let exitTurnsMax: UInt8 = 100

    // MARK: Inbox

    /// Takes what was sent into the process's own queue and acts on its signals.
    @inline(__always)
    func collectInbox(of process: ProcessRef) {
        if let newest = unsafe Mailbox.take(process) { unsafe collect(newest, for: process) }
    }

    private func collect(_ newest: UnsafeMutablePointer<NodeHeader>, for process: ProcessRef) {
        var newest: UnsafeMutablePointer<NodeHeader>? = unsafe newest
        var oldest: UnsafeMutablePointer<NodeHeader>?
        if Canary.sings(.newestFirst) { unsafe swap(&newest, &oldest) }
        while let node = unsafe newest {
            unsafe newest = unsafe node.pointee.next
            unsafe node.pointee.next = unsafe oldest
            unsafe oldest = unsafe node
        }
        let word = process.pid.word
        while let header = unsafe oldest {
            unsafe oldest = unsafe header.pointee.next
            let node = unsafe Node(header)
            let target = unsafe header.pointee.target
            if target != word, node.kind == .signal {
                // Sent to the process that had this slot before: whoever waits for an answer gets it.
                let signal = node.takePayload(as: Signal.self)
                free(node)
                StraightLine.answer(signal, for: Pid(word: target), self)
                continue
            } else if target != word, !Canary.sings(.receivesOthersNodes) {
                refuseCall(node)
                unsafe header.pointee.kind = .undeliverable
            } else if node.kind == .signal {
                let signal = node.takePayload(as: Signal.self)
                free(node)
                act(on: signal, for: process)
                continue
            } else if node.kind == .reply, takeReply(node, for: process) {
                continue
            } else if node.kind == .down, isLate(node, for: process) {
                discard(node)
                continue
            }
            if process.block.flags.contains(.isTraced) { Tracing.noteReceived(node, by: process) }
            append(node, to: process)
        }
        checkMailbox(of: process)
    }

    /// Whether the monitor that `node` is of has been ended: the process that it was on took a while to say so.
    private func isLate(_ node: Node, for process: ProcessRef) -> Bool {
        // Safe: the kind says what the payload is; it is only looked at.
        let reference = unsafe node.payload.assumingMemoryBound(to: Down.self).pointee.reference
        return process.block.extras?.monitors.contains(reference) != true
    }

    /// Ends a straight-line process that was told to end before it ever ran. Between turns: nothing of it is on a
    /// stack.
    func endIfNeverStarted(_ process: ProcessRef) -> Bool {
        guard process.block.flags.contains(.isExiting), !process.block.flags.contains(.hasStack),
            unsafe process.block.operations == StraightLine.operations
        else { return false }
        end(process)
        return true
    }

    func append(_ node: Node, to process: ProcessRef) {
        unsafe node.header.pointee.next = nil
        if let tail = unsafe process.block.queueTail {
            unsafe tail.pointee.next = unsafe node.header
        } else {
            unsafe process.block.queueHead = unsafe node.header
        }
        unsafe process.block.queueTail = unsafe node.header
        process.block.queueCount &+= 1
        process.charge(byteCount: node.byteCount)
    }

    private func checkMailbox(of process: ProcessRef) {
        if process.block.queueCount > process.block.mailboxLimit { enforceMailboxLimit(of: process) }
        if process.block.heldByteCount > process.block.heapLimit { tellOverHeapLimit(process) }
        let warningCount = unsafe state.runtime.configuration.mailboxWarningCount
        if process.block.queueCount > warningCount, !process.extras.hasWarnedOfMailbox {
            process.extras.hasWarnedOfMailbox = true
            unsafe state.runtime.report(.longMailbox(process.name, messageCount: Int(process.block.queueCount)))
        }
    }

    private func act(on signal: Signal, for process: ProcessRef) {
        switch signal {
        case .exit(let from, let reason, let isLink):
            if isLink, process.block.extras?.links.remove(from) == nil { return }
            receiveExit(process, from, reason, isLink: isLink)
        case .link(let from):
            let extras = process.extras
            if !extras.links.contains(from), !extras.unlinking.contains(from) { extras.links.add(from, ()) }
            if process.block.flags.contains(.isTraced) { Tracing.note(.wasLinked(by: from), of: process) }
        case .unlink(let from, let number):
            process.block.extras?.links.remove(from)
            if process.block.flags.contains(.isTraced) { Tracing.note(.wasUnlinked(by: from), of: process) }
            sendSignal(.unlinkAcknowledged(from: process.pid, number: number), to: from)
        case .unlinkAcknowledged(let from, let number):
            process.block.extras?.unlinking.remove(from) { $0 == number }
        case .monitor(let reference, let observer):
            process.extras.observers.add(reference, observer)
        case .demonitor(let reference):
            process.block.extras?.observers.remove(reference)
            _ = process.block.extras?.calls.pending.remove(reference.number)
        case .tied:
            process.block.flags.insert(.hasTies)
        case .inspect(let body):
            body(process)
        }
    }

    /// Erlang reference manual, "Receiving Exit Signals": `kill` cannot be trapped, `normal` from another process does
    /// nothing, a process that traps gets a message, any other ends with the same reason.
    private func receiveExit(_ process: ProcessRef, _ from: Pid, _ reason: ExitReason, isLink: Bool) {
        if case .kill = reason, !isLink { return tellToExit(process, .killed) }
        if process.block.flags.contains(.trapsExits) {
            return append(makeNode(ExitSignal(from: from, reason: reason), kind: .exit, for: process.pid), to: process)
        }
        if case .normal = reason, from != process.pid { return }
        tellToExit(process, reason)
    }

    /// The process meets `ProcessExit` at its next waiting call. The first reason stands, but for a kill.
    package func tellToExit(_ process: ProcessRef, _ reason: ExitReason) {
        if process.block.flags.contains(.isExiting) {
            if case .killed = reason { process.extras.exitReason = reason }
            return
        }
        process.block.flags.insert(.isExiting)
        process.block.turnsSinceExit = 0
        process.extras.exitReason = reason
    }

    // MARK: Stacks

    /// The process has stopped in the middle of its code.
    func keepStack(of process: ProcessRef) {
        process.block.flags.insert(.hasStack)
        keepFrames(of: process)
        unsafe process.block.operations.pointee.didStop(process.raw)
    }

    // MARK: Memory

    /// What the process holds by now, with what others freed taken off.
    private func settleAccount(of process: ProcessRef) {
        process.block.allocatedByteCount -= unsafe withUnsafeMutablePointer(to: &process.block.account) {
            unsafe Int(roost_account_take($0))
        }
    }

    /// Where in its code it grew is known in the turn it did, and not when it is messages that it has too many of.
    private func tellOverHeapLimit(_ process: ProcessRef, frames: [UInt] = []) {
        tellToExit(process, heapLimit(of: process, frames: frames))
    }

    private func heapLimit(of process: ProcessRef, refused: Int = 0, frames: [UInt]) -> ExitReason {
        .heapLimit(
            HeapOverflow(
                byteCount: process.heapByteCount + refused, limit: process.block.heapLimit,
                heldByteCount: process.block.heldByteCount, frames: frames))
    }

    /// Over its limit a process is told to end; a quarter past it there is no more waiting for it to unwind. True when
    /// it is gone.
    func endIfOverHeapLimit(_ process: ProcessRef) -> Bool {
        let limit = process.block.heapLimit
        guard process.heapByteCount > limit else { return false }
        settleAccount(of: process)
        guard process.heapByteCount > limit else { return false }
        if !process.block.flags.contains(.isExiting) {
            tellOverHeapLimit(process, frames: HeapOverflow.framesOfThread())
        }
        let isPreempted = process.block.flags.contains(.wasPreempted)
        guard isPreempted, process.heapByteCount > limit + limit / 4 else {
            if !isPreempted { enqueueLocal(process) }  // parked: it runs again to meet its exit
            return !isPreempted
        }
        abandon(process)
        return true
    }

    /// A process told to end that spins on is abandoned after a bounded number of turns, and so is the deinit of a
    /// message that does so while the mailbox is destroyed. True when it is gone.
    func abandonIfItWillNotEnd(_ process: ProcessRef) -> Bool {
        guard process.block.flags.contains(.isExiting) || Mailbox.isClosed(process) else { return false }
        process.block.turnsSinceExit += 1
        guard process.block.turnsSinceExit >= Self.exitTurnsMax else { return false }
        abandon(process)
        return true
    }

    // MARK: Ending

    /// The process trapped: its frames are gone with what they owned.
    func landTrap(of process: ProcessRef) {
        state.statistics.traps &+= 1
        settleAccount(of: process)
        let trap = Self.takeTrap(of: process.name, leaked: max(0, process.block.allocatedByteCount))
        unsafe state.runtime.countTrap(trap)
        if process.block.flags.contains(.isCleaningUp) { return goOnCleaningUp(process) }
        let refused = unsafe roost_thread_current().pointee.refused
        process.block.flags.remove(.isFinished)
        giveUpFrames(
            of: process,
            refused == 0
                ? .trapped(trap)
                : heapLimit(of: process, refused: refused, frames: HeapOverflow.framesOfThread()))
    }

    /// Drops the frames of a process that will not end by itself.
    func abandon(_ process: ProcessRef) {
        settleAccount(of: process)
        unsafe state.runtime.countAbandoned(leaked: max(0, process.block.allocatedByteCount))
        if process.block.flags.contains(.isCleaningUp) { return goOnCleaningUp(process) }
        giveUpFrames(of: process, process.exitReason)
    }

    /// The deinit of one message was given up: the others are still destroyed, and the first reason stands.
    private func goOnCleaningUp(_ process: ProcessRef) {
        dropStack(of: process)
        enqueueLocal(process)
    }

    private func dropStack(of process: ProcessRef) {
        process.block.flags.subtract([.hasStack, .wasPreempted, .isMatching])
        releaseStack(of: process)
        process.block.allocatedByteCount = 0  // it is counted as leaked
        process.block.turnsSinceExit = 0
    }

    private func giveUpFrames(of process: ProcessRef, _ reason: ExitReason) {
        dropStack(of: process)
        process.finish(reason)
        process.extras.exitReason = reason
        unsafe process.block.operations.pointee.didAbandon(process.raw)
        cleanUp(process)
    }

    /// Destroys, as the process and under its budget, the messages that nobody will receive; then the process ends.
    private func cleanUp(_ process: ProcessRef) {
        process.block.flags.insert([.isCleaningUp, .isFinished])
        process.block.heapLimit = .max
        unsafe process.block.operations.pointee.didEnd(process.raw)
        unsafe process.block.operations = StraightLine.cleanUp
        enqueueLocal(process)
    }

    /// What has trapped on this thread, which runs nothing else since.
    static func takeTrap(of process: ProcessName, leaked: Int) -> Trap {
        unsafe withUnsafeMutablePointer(to: &roost_thread_current().pointee.trap) { trap in
            let count = unsafe Int(trap.pointee.frame_count)
            let frames = unsafe withUnsafeBytes(of: &trap.pointee.frames) { bytes in
                unsafe Array(bytes.bindMemory(to: UInt.self).prefix(count))
            }
            let length = unsafe Int(trap.pointee.message_length)
            let message = unsafe withUnsafeBytes(of: &trap.pointee.message) { bytes in
                unsafe String(decoding: bytes.prefix(length), as: UTF8.self)
            }
            unsafe trap.pointee.message_length = 0
            let kind: Trap.Kind =
                if unsafe trap.pointee.kind == UInt32(ROOST_TRAP_STACK_OVERFLOW) {
                    .stackOverflow
                } else {
                    switch unsafe trap.pointee.signal {
                    case SIGFPE: .arithmetic
                    case SIGABRT: .abort
                    default: .check
                    }
                }
            let text = message.last?.isNewline == true ? String(message.dropLast()) : message
            return unsafe Trap(
                kind: kind, message: text.isEmpty ? nil : text, address: trap.pointee.address, frames: frames,
                leakedByteCount: leaked, process: process)
        }
    }

    /// The process is over: whoever watches it is told, and its slot is free.
    func end(_ process: ProcessRef) {
        if !process.block.flags.contains(.isCleaningUp), !StraightLine.isMailboxClosed(process) {
            return cleanUp(process)
        }
        process.block.status = .exiting
        let extras = process.block.extras
        let reason = extras?.exitReason ?? .normal
        if process.block.flags.contains(.isTraced) { Tracing.note(.exited(reason), of: process) }
        if process.block.timer != .none {
            cancelTimer(process.block.timer)
            process.block.timer = .none
        }
        if !process.block.flags.contains(.isCleaningUp) {
            unsafe process.block.operations.pointee.didEnd(process.raw)
        }
        let pid = process.pid
        if let extras {
            process.block.extras = nil
            tellOthers(of: pid, reason, extras)
            process.charge(byteCount: -ProcessExtras.byteCount)
        }
        releaseStack(of: process)
        process.block.entry = nil
        unsafe process.block.object = nil
        process.block.status = .free
        unsafe withUnsafeMutablePointer(to: &process.block.account) {
            unsafe roost_account_set_generation($0, pid.generation &+ 1)
            _ = unsafe roost_account_take($0)
        }
        state.slots.put(process)
        state.statistics.exits &+= 1
    }

    /// Tells all that are tied to a process that it has ended, and frees what it had of them.
    private func tellOthers(of pid: Pid, _ reason: ExitReason, _ extras: ProcessExtras) {
        failPendingCalls(of: reason, extras)
        if tellsInSteps(of: pid, reason, extras) { return }
        extras.links.forEach { link, _ in sendSignal(.exit(from: pid, reason: reason, isLink: true), to: link) }
        extras.observers.forEach { reference, observer in tell(observer, of: pid, reference, reason) }
        extras.monitors.forEach { reference, target in sendSignal(.demonitor(reference: reference), to: target) }
        extras.free(&state.blocks)
    }

    func tell(_ observer: Observer, of pid: Pid, _ reference: Reference, _ reason: ExitReason) {
        switch observer {
        case .process(let watcher):
            deliver(makeNode(Down(reference: reference, pid: pid, reason: reason), kind: .down, for: watcher))
        case .callback(let body):
            body(pid, reason)
        }
    }
}
