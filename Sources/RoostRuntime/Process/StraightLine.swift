// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

/// A process that is one closure, run from its first line to its last, waiting where it calls something that waits.
enum StraightLine {
    nonisolated(unsafe) static let operations: UnsafePointer<ProcessOperations> = unsafe ProcessOperations(
        run: { unsafe run(ProcessRef(raw: $0)) }, didStop: { _ in }, didAbandon: { _ in }, didEnd: { _ in }
    ).immortal()

    /// What is left of a process whose frames are gone: destroys its messages.
    nonisolated(unsafe) static let cleanUp: UnsafePointer<ProcessOperations> = unsafe ProcessOperations(
        run: { unsafe destroyMessages(ProcessRef(raw: $0)) }, didStop: { _ in }, didAbandon: { _ in }, didEnd: { _ in }
    ).immortal()

    // The frames of these two lie under everything that a waiting process keeps of its stack: they are kept small.

    private static func run(_ process: ProcessRef) {
        callEntry(process)
        if process.block.waitKind == .hibernation, process.block.entry != nil {
            return SchedulerRef.running.hibernate(process)
        }
        conclude(process)
    }

    /// A frame of its own, so that all it holds is released, as handler code, before it returns.
    @inline(never)
    private static func callEntry(_ process: ProcessRef) {
        roost_handler_begin()
        do {
            try process.block.entry.take()?(ProcessContext())
        } catch {
            note(error, process)
        }
        roost_handler_end()
    }

    @inline(never)
    private static func note(_ error: any Error, _ process: ProcessRef) {
        // Told to end, it ends for that reason, whatever it makes of `ProcessExit`.
        if process.block.flags.contains(.isExiting) { return }
        if error is Hibernation {
            process.block.waitKind = .hibernation
            return
        }
        process.finish((error as? ProcessExit)?.reason ?? .error(error))
    }

    @inline(never)
    private static func conclude(_ process: ProcessRef) {
        // Told to end, it ends for that reason, even where it caught `ProcessExit` and returned.
        process.finish(process.block.flags.contains(.isExiting) ? process.exitReason : .normal)
        destroyMessages(process)
    }

    /// Closes the mailbox and destroys what is in it. Destructors are user code: they run as the process, preemptible
    /// and contained.
    static func destroyMessages(_ process: ProcessRef) {
        guard let scheduler = SchedulerRef.current else { return }
        if process.block.entry != nil {  // it never started
            roost_handler_begin()
            dropEntry(process)
            roost_handler_end()
        }
        scheduler.endCall(of: process)
        if let newest = unsafe Mailbox.close(process) { unsafe appendUnsorted(newest, to: process, scheduler) }
        if process.block.flags.contains(.hasTies) { TieOwners.undoAll(of: process) }
        while let node = scheduler.popQueue(of: process) {
            process.block.turnsSinceExit = 0  // the bound is one deinit's, not all of them
            roost_charge(1)
            if node.kind == .signal {
                unsafe answer(node.takePayload(as: Signal.self), for: Pid(word: node.header.pointee.target), scheduler)
                scheduler.free(node)
            } else {
                scheduler.destroy(node, of: process)
            }
        }
    }

    /// A frame of its own, so that what the code captured is released before it returns. The control block forgets the
    /// code before that, which the optimiser would not promise: a destructor that traps must not run again.
    @inline(never)
    private static func dropEntry(_ process: ProcessRef) {
        var entry: ((borrowing ProcessContext<Never>) throws -> Void)?
        unsafe withUnsafeMutablePointer(to: &entry) { to in
            unsafe withUnsafeMutablePointer(to: &process.block.entry) { from in
                unsafe roost_move_out(to, from, MemoryLayout.size(ofValue: from.pointee))
            }
        }
    }

    /// Oldest first again, without acting on signals: nobody is there to act.
    private static func appendUnsorted(
        _ newest: UnsafeMutablePointer<NodeHeader>, to process: ProcessRef, _ scheduler: SchedulerRef
    ) {
        var newest: UnsafeMutablePointer<NodeHeader>? = unsafe newest
        var oldest: UnsafeMutablePointer<NodeHeader>?
        while let node = unsafe newest {
            unsafe newest = unsafe node.pointee.next
            unsafe node.pointee.next = unsafe oldest
            unsafe oldest = unsafe node
        }
        while let node = unsafe oldest {
            unsafe oldest = unsafe node.pointee.next
            unsafe scheduler.append(Node(node), to: process)
        }
    }

    /// A link or monitor that arrived too late gets the answer that a dead pid gives.
    static func answer(_ signal: Signal, for pid: Pid, _ scheduler: SchedulerRef) {
        switch signal {
        case .link(let from): scheduler.sendSignal(.exit(from: pid, reason: .noProcess, isLink: true), to: from)
        case .monitor(let reference, let observer): scheduler.tell(observer, of: pid, reference, .noProcess)
        case .tied:
            if let process = SchedulerRef.currentProcess, process.pid == pid { TieOwners.undoAll(of: process) }
        case .inspect(let body): body(nil)
        case .unlink(let from, let number):
            scheduler.sendSignal(.unlinkAcknowledged(from: pid, number: number), to: from)
        case .exit, .unlinkAcknowledged, .demonitor: break
        }
    }

    static func isMailboxClosed(_ process: ProcessRef) -> Bool {
        unsafe process.block.inbox.load(ordering: .relaxed) == Mailbox.closed && process.block.queueHead == nil
    }
}

extension ProcessOperations {
    /// A copy that is never freed: one for each kind of process.
    package func immortal() -> UnsafePointer<ProcessOperations> {
        let pointer = UnsafeMutablePointer<ProcessOperations>.allocate(capacity: 1)
        unsafe pointer.initialize(to: self)
        return unsafe UnsafePointer(pointer)
    }
}
