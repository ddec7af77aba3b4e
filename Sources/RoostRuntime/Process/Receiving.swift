// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

/// The receive that most processes wait in, for any type of message.
///
/// It is not generic and it is shallow: what is on the stack when a process waits is what the process keeps. Payloads
/// pass as addresses; the generic part is inlined into the caller.
@usableFromInline
@safe enum Receiving {
    /// The payload of the next message, taken out of the mailbox; nil when the process has been told to exit. Process
    /// context.
    @usableFromInline
    static func nextMessage() -> UnsafeMutableRawPointer? {
        roost_enter()
        while true {
            if let payload = unsafe takeMessage() {
                roost_leave()
                return unsafe payload
            }
            guard mayWait() else {
                roost_leave()
                return nil
            }
            roost_park_here()
        }
    }

    /// Gives back the node of a payload that has been moved out.
    @usableFromInline
    static func free(_ payload: UnsafeMutableRawPointer) {
        roost_enter()
        unsafe SchedulerRef.current.unsafelyUnwrapped.free(
            Node((payload - NodeHeader.payloadOffset).assumingMemoryBound(to: NodeHeader.self)))
        roost_leave()
    }

    @usableFromInline
    static func exit() -> ProcessExit {
        ProcessExit(reason: SchedulerRef.currentProcess?.exitReason ?? .killed)
    }

    @inline(never)
    private static func takeMessage() -> UnsafeMutableRawPointer? {
        guard let process = SchedulerRef.currentProcess, let scheduler = SchedulerRef.current else {
            Dirty.refuseContext()
        }
        if process.block.flags.contains(.isExiting) { return nil }
        process.checkIsNotMatching()
        roost_charge(1)
        if unsafe process.block.queueHead == nil { scheduler.collectInbox(of: process) }
        var previous: UnsafeMutablePointer<NodeHeader>?
        var header = unsafe process.block.queueHead
        while let found = unsafe header {
            if unsafe found.pointee.kind == .message {
                return unsafe scheduler.unlink(found, after: previous, of: process).payload
            }
            roost_charge(1)
            unsafe previous = unsafe found
            unsafe header = unsafe found.pointee.next
        }
        return nil
    }

    /// Whether the process may park: it has not been told to exit, and is not in a section where it must not.
    @inline(never)
    private static func mayWait() -> Bool {
        guard let process = SchedulerRef.currentProcess else { return false }
        // A plain look first, for flags are rarely set: an exchange would cost as much as the rest of a receive.
        if process.block.wakeFlags.load(ordering: .relaxed) != 0 {
            process.block.wakeFlags.store(0, ordering: .sequentiallyConsistent)
        }
        process.checkMayPark()
        process.block.waitKind = .receive
        return !process.block.flags.contains(.isExiting)
    }
}
