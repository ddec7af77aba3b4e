// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

// What the layers above build processes of their own kind from: connections and listeners.

extension SchedulerRef {
    /// Coarse time: when the scheduler last looked at the clock, at most some tens of microseconds ago while it is
    /// busy.
    package var now: MonotonicTime { state.now }
    /// The first time, at or after `time`, at which a timer of this scheduler can be due. Scheduler's thread.
    package func tick(atOrAfter time: MonotonicTime) -> MonotonicTime { state.timers.tick(atOrAfter: time) }
    package var index: Int { state.index }
    package var runtime: Runtime { unsafe state.runtime }
    package var scratch: UnsafeMutableRawPointer? { @inline(__always) get { unsafe state.scratch } }

    package func setScratch(
        _ scratch: UnsafeMutableRawPointer, release: @escaping @convention(c) (UnsafeMutableRawPointer) -> Void
    ) {
        unsafe state.scratch = unsafe scratch
        unsafe state.scratchRelease = unsafe release
    }

    // MARK: Memory, booked on a process

    package func allocate(byteCount: Int, for process: ProcessRef) -> UnsafeMutableRawPointer {
        process.charge(byteCount: byteCount)
        return unsafe state.blocks.allocate(byteCount: byteCount)
    }

    package func free(_ block: UnsafeMutableRawPointer, byteCount: Int, for process: ProcessRef) {
        process.charge(byteCount: -byteCount)
        unsafe state.blocks.free(block, byteCount: byteCount)
    }

    /// Frees a block that is booked on nobody (any more).
    package func free(unbooked block: UnsafeMutableRawPointer, byteCount: Int) {
        unsafe state.blocks.free(block, byteCount: byteCount)
    }

    // MARK: Sockets

    /// Watches `descriptor`, edge-triggered, for `process`, which must live here. Returns 0 or an errno. (epoll_ctl(2))
    package func watch(_ descriptor: CInt, for process: ProcessRef) -> CInt {
        state.poller.add(descriptor, events: Poller.streamEvents, pid: process.pid)
    }

    /// Lets another process have the events of a watched descriptor; what is ready now is announced again.
    package func rewatch(_ descriptor: CInt, for process: ProcessRef) -> CInt {
        state.poller.modify(descriptor, events: Poller.streamEvents, pid: process.pid)
    }

    /// Watches a listening socket: level-triggered, one scheduler woken at a time.
    package func watchListener(_ descriptor: CInt, for process: ProcessRef) -> CInt {
        state.poller.add(descriptor, events: Poller.listenerEvents, pid: process.pid)
    }

    package func unwatch(_ descriptor: CInt) { state.poller.remove(descriptor) }

    // MARK: Processes

    /// Starts a process of a kind of its own. It stays on this scheduler, whose poller knows its socket. This
    /// scheduler's thread.
    package func spawn(
        _ operations: UnsafePointer<ProcessOperations>, object: UnsafeMutableRawPointer?, heapLimit: Int
    ) -> ProcessRef {
        let process = unsafe makeProcess(operations, heapLimit: heapLimit)
        unsafe process.block.object = unsafe object
        process.block.flags.insert(.isPinned)
        enqueueLocal(process)
        return process
    }

    /// Runs `body` on this scheduler's thread, between turns. Any thread.
    package func run(_ body: @escaping @Sendable () -> Void) { post(.run(body)) }
}

extension ProcessRef {
    package var object: UnsafeMutableRawPointer? {
        @inline(__always) get { unsafe block.object }
    }

    /// Hints since the last call. Owner only.
    @inline(__always)
    package func takeWakeFlags() -> WakeFlags {
        WakeFlags(rawValue: block.wakeFlags.exchange(0, ordering: .sequentiallyConsistent))
    }

    package var isExiting: Bool { @inline(__always) get { block.flags.contains(.isExiting) } }

    /// Ends the turn and goes on in the next. Process context, depth 1.
    package func yieldTurn() {
        // A flag that is set makes the wait fail: the process is runnable at once.
        block.wakeFlags.bitwiseOr(WakeFlags.poke.rawValue, ordering: .sequentiallyConsistent)
        checkMayPark()
        roost_park()
    }

    /// Takes the next node off the mailbox: a message, `Down` or exit signal, or one to be destroyed. Process context.
    package func takeNode(_ scheduler: SchedulerRef) -> Node? {
        if let node = scheduler.popQueue(of: self) { return node }
        scheduler.collectInbox(of: self)
        return scheduler.popQueue(of: self)
    }

    /// Frees a node whose payload has been moved out or destroyed.
    package func free(_ node: Node, _ scheduler: SchedulerRef) { scheduler.free(node) }

    package func setObject(_ object: UnsafeMutableRawPointer?) { unsafe block.object = unsafe object }

    /// Whether `takeNode` would find something.
    package var hasMessages: Bool {
        @inline(__always) get {
            unsafe block.queueHead != nil || block.inbox.load(ordering: .relaxed) > Mailbox.waiting
        }
    }

    /// A monitor of this process has fired: it is over.
    package func forgetMonitor(_ reference: Reference) { _ = block.extras?.monitors.remove(reference) }

    package var isFinished: Bool { block.flags.contains(.isFinished) }

    /// The hints as they are; they stay.
    package func peekWakeFlags() -> WakeFlags {
        WakeFlags(rawValue: block.wakeFlags.load(ordering: .sequentiallyConsistent))
    }

    package func clearWakeFlags(_ flags: WakeFlags) {
        block.wakeFlags.bitwiseAnd(~flags.rawValue, ordering: .sequentiallyConsistent)
    }

    /// Runs again after this turn, without anything having come. Owner only.
    package func wakeSelf() { block.wakeFlags.bitwiseOr(WakeFlags.poke.rawValue, ordering: .sequentiallyConsistent) }

    /// The process deals with the request to exit in its own way.
    package func ignoreExit() {
        block.flags.remove(.isExiting)
        block.extras?.exitReason = nil
    }

    package func setMailboxLimit(_ messageCount: Int, _ policy: MailboxPolicy = .end) {
        block.mailboxLimit = UInt32(clamping: messageCount)
        setMailboxPolicy(policy)
    }
    package func setHeapLimit(_ byteCount: Int) { block.heapLimit = byteCount == 0 ? .max : byteCount }
}

extension Runtime {
    /// The process of `pid` while it lives, if it is of the given kind.
    package static func process(_ pid: Pid, of operations: UnsafePointer<ProcessOperations>) -> ProcessRef? {
        guard let process = ProcessTable.find(pid), unsafe process.block.operations == operations else { return nil }
        return process
    }

    /// All schedulers, for one listener's process on each.
    package var all: [SchedulerRef] { schedulers }

    /// Calls `body` with each process of the given kind. Any thread: what `body` may touch is the caller's to know.
    package func forEachProcess(
        _ operations: UnsafePointer<ProcessOperations>, _ body: (ProcessRef) -> Void
    ) {
        for index in 0..<ProcessTable.slotCount {
            let process = ProcessTable.slot(UInt32(index))
            if unsafe process.block.status != .free && process.block.operations == operations { body(process) }
        }
    }

    /// Sets a wake flag on a process from any thread.
    package static func notify(_ process: ProcessRef, _ flags: WakeFlags) {
        if Mailbox.notify(process, flags) { process.home.enqueue(process) }
    }
}
