// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

/// Thrown by `hibernate`, so that the frames of the process unwind. Code that catches it and goes on has not
/// hibernated.
struct Hibernation: Error, CustomStringConvertible {
    var description: String { "process told to hibernate; let this error pass" }
}

extension ProcessContext {
    /// Ends what this process does, keeps nothing of its stack, and goes on with `body` when there is a message for it:
    /// for a process that will wait long. At once where one waits already. (Erlang: `erlang:hibernate/3`.)
    ///
    /// It never returns: it throws, so that everything on the stack is released, and the error has to reach the top.
    /// What a hibernated process holds is its control block, what `body` captures, and its links, monitors and label;
    /// so it costs less than one that waits in `receive`, and waking it costs less too: no stack is copied. It may move
    /// to another scheduler. Told to exit, it ends without running again.
    public func hibernate(
        continuing body: @escaping @Sendable (borrowing ProcessContext<Message>) throws -> Void
    ) throws -> Never {
        roost_enter()
        let process = process
        process.checkMayPark()
        process.checkIsNotMatching()
        // Safe: a context is empty; its type parameter changes nothing about how the closure is called.
        process.block.entry = unsafe unsafeBitCast(Code(body: body), to: Code<Never>.self).body
        roost_leave()
        throw Hibernation()
    }
}

extension SchedulerRef {
    /// The frames of `process` have unwound for a hibernation. Process context, depth 1, last thing in its turn.
    func hibernate(_ process: ProcessRef) {
        process.block.flags.insert(.isHibernating)
        process.block.waitKind = .hibernation
        process.disarmTimer(self)
        // What woke it up to now it has had; what comes from here on wakes it.
        process.block.wakeFlags.store(0, ordering: .sequentiallyConsistent)
        collectInbox(of: process)
        if unsafe process.block.queueHead != nil || process.isExiting { process.wakeSelf() }
    }

    /// Looks at a process that has no turn coming though it was woken: one that was told to end before it ever ran, or
    /// while it hibernated; and one that hibernates and has no message. True when it is dealt with. Between turns:
    /// nothing of it is on a stack.
    @inline(__always)
    func needsNoTurn(_ process: ProcessRef) -> Bool {
        if process.block.flags.isDisjoint(with: [.isExiting, .isHibernating]) { return false }
        return endIfNeverStarted(process) || sleepOn(process)
    }

    @inline(never)
    private func sleepOn(_ process: ProcessRef) -> Bool {
        guard process.block.flags.contains(.isHibernating) else { return false }
        process.block.wakeFlags.store(0, ordering: .sequentiallyConsistent)
        collectInbox(of: process)
        guard unsafe process.block.queueHead == nil, !process.isExiting else {
            process.block.flags.remove(.isHibernating)
            return endIfNeverStarted(process)
        }
        suspend(process)
        return true
    }
}
