// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

/// What becomes of messages that are more than a process's mailbox may hold.
///
/// Only messages are dropped: never a signal, `Down`, a reply or a call, whose sender waits. A drop is counted
/// (`Runtime.droppedMessageCount`) and reported, once per process.
public enum MailboxPolicy: UInt8, Sendable, CaseIterable {
    /// The process is told to end, for `ExitReason.mailboxLimit`.
    case end = 0
    /// The message that comes is dropped. `send` returns false while the mailbox is seen to be full; what was sent
    /// before its process could look, and is too much, is dropped when it does.
    case dropNewest = 1
    /// The message that has waited longest is dropped, when the process looks into its mailbox.
    case dropOldest = 2
}

extension ProcessRef {
    /// What becomes of too many messages. Written by the owner, looked at by senders.
    var mailboxPolicy: MailboxPolicy {
        // Safe: the account is the first field; only `setMailboxPolicy` writes these bits.
        unsafe MailboxPolicy(
            rawValue: UInt8(
                roost_account_options(UnsafeRawPointer(pointer).assumingMemoryBound(to: roost_account.self)))) ?? .end
    }

    func setMailboxPolicy(_ policy: MailboxPolicy) {
        unsafe withUnsafeMutablePointer(to: &block.account) {
            unsafe roost_account_set_index($0, index, UInt32(policy.rawValue))
        }
    }

    /// Whether a sender is to be told that there is no room. One look at the line of the mailbox; a second line only
    /// for those processes that have the policy.
    @inline(__always)
    func refusesMessage() -> Bool {
        // Safe: as in `mailboxPolicy`.
        let options = unsafe roost_account_options(
            UnsafeRawPointer(pointer).assumingMemoryBound(to: roost_account.self))
        return options == UInt32(MailboxPolicy.dropNewest.rawValue) && isFull()
    }

    @inline(never)
    private func isFull() -> Bool {
        guard block.queueCount >= block.mailboxLimit else { return false }
        // Safe: a process that is about to end has a home all the same, and runtimes outlive their processes.
        if let home = unsafe block.home { unsafe SchedulerRef(home).state.runtime.countDropped(1) }
        return true
    }
}

extension SchedulerRef {
    /// There are more messages in the process's queue than it may have. Owner; between turns, or process context.
    @inline(never)
    func enforceMailboxLimit(of process: ProcessRef) {
        let limit = process.block.mailboxLimit
        let policy = process.mailboxPolicy
        let excess = process.block.queueCount - limit
        switch policy {
        case .end:
            tellToExit(
                process, .mailboxLimit(messageCount: Int(process.block.queueCount), limit: Int(limit)))
            return
        case .dropOldest: drop(excess, of: process, keeping: 0)
        case .dropNewest: drop(excess, of: process, keeping: limit)
        }
        guard !process.extras.hasReportedDrops else { return }
        process.extras.hasReportedDrops = true
        unsafe state.runtime.report(.messagesDropped(process.name, policy, limit: Int(limit)))
    }

    /// Drops up to `count` messages that are behind the first `kept` nodes of the queue. What they carry is destroyed
    /// in a process of its own, as all that nobody receives.
    private func drop(_ count: UInt32, of process: ProcessRef, keeping kept: UInt32) {
        var previous: UnsafeMutablePointer<NodeHeader>?
        var next = unsafe process.block.queueHead
        var (position, dropped): (UInt32, UInt32) = (0, 0)
        var cleaner: ProcessRef?
        while let header = unsafe next, dropped < count {
            unsafe next = unsafe header.pointee.next
            position += 1
            let isMessage = unsafe header.pointee.kind == .message && !header.pointee.isCall
            guard position > kept, isMessage else {
                unsafe previous = unsafe header
                continue
            }
            dropped += 1
            let node = unsafe unlink(header, after: previous, of: process)
            if unsafe node.header.pointee.payloadType == nil {
                free(node)
            } else {
                cleaner = cleaner ?? makeCleaner()
                unsafe node.header.pointee.kind = .undeliverable
                append(node, to: cleaner!)
            }
        }
        if let cleaner { enqueueLocal(cleaner) }
        unsafe state.runtime.countDropped(Int(dropped))
    }
}
