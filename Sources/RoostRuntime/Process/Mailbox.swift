// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// The shared end of a mailbox: one word that says whether the process waits and holds what has been sent to it.
///
/// `inbox` is one of
/// - `empty`: nothing sent; the process runs, or is in a run queue;
/// - `waiting`: nothing sent; the process is in no run queue, and whoever replaces this value puts it into one;
/// - `closed`: the process has ended, or its slot is unused; a sender keeps its message;
/// - the address of the newest node, each linked to the one sent before it; the process runs or is in a run queue.
///
/// **M1.** A process with a node in `inbox` runs or is in exactly one run queue: only the thread whose compare-exchange
/// replaces
/// `waiting` enqueues it, and `waiting` is only ever written over `empty`. Test: `MailboxTests`.
/// **M2.** Every node pushed is taken exactly once, or given back to its sender: push succeeds only over a value that
/// is not `closed`, and `closed` is written by the exchange that takes the last nodes.
/// **M3.** A wake flag is never slept through: `notify` sets the flag, then looks for `waiting`; `wait` writes
/// `waiting`, then looks for flags. Both are sequentially consistent, so one of them sees the other.
///
/// `Proof/mailbox.pml` is this file's model, which spin checks (`make prove`): who changes one changes the other.
enum Mailbox {
    /// Zero, so that a slot whose pages went back to the kernel is closed (`ProcessTable`).
    static let closed: UInt = 0
    static let empty: UInt = 1
    static let waiting: UInt = 2

    enum PushOutcome { case pushed, pushedAndMustEnqueue, closed }

    /// Adds `node`. Any thread.
    @inline(__always)
    static func push(_ node: Node, to process: ProcessRef) -> PushOutcome {
        let address = unsafe UInt(bitPattern: node.header)
        var seen = process.block.inbox.load(ordering: .relaxed)
        while true {
            if seen == closed { return .closed }
            SimulationPoint.reached()
            unsafe node.header.pointee.next = seen <= waiting ? nil : UnsafeMutablePointer(bitPattern: seen)
            // Releasing: pairs with the acquiring exchange of `take`, which then reads the node.
            // Acquiring: the waker goes on to read what the process wrote before it waited.
            let (done, value) = process.block.inbox.weakCompareExchange(
                expected: seen, desired: address, successOrdering: .acquiringAndReleasing, failureOrdering: .relaxed)
            if done {
                if Canary.sings(.enqueuesTwice), seen == empty { return .pushedAndMustEnqueue }
                SimulationPoint.reached()
                return seen == waiting ? .pushedAndMustEnqueue : .pushed
            }
            seen = value
        }
    }

    /// Sets `flags`; true when the caller must enqueue the process. Any thread.
    @inline(__always)
    static func notify(_ process: ProcessRef, _ flags: WakeFlags) -> Bool {
        process.block.wakeFlags.bitwiseOr(flags.rawValue, ordering: .sequentiallyConsistent)
        SimulationPoint.reached()
        return process.block.inbox.compareExchange(
            expected: waiting, desired: empty, ordering: .sequentiallyConsistent
        ).exchanged
    }

    /// The process has looked at everything and wants to wait. False when there is something new: it must look again.
    /// Owner only, and nothing of the process may be touched after true.
    @inline(__always)
    static func wait(_ process: ProcessRef) -> Bool {
        SimulationPoint.reached()
        if Canary.sings(.waitsOverNodes) {
            process.block.inbox.store(waiting, ordering: .sequentiallyConsistent)
            return true
        }
        let (waits, _) = process.block.inbox.compareExchange(
            expected: empty, desired: waiting, ordering: .sequentiallyConsistent)
        guard waits else { return false }
        SimulationPoint.reached()
        if Canary.sings(.sleepsThroughFlags) { return true }
        guard process.block.wakeFlags.load(ordering: .sequentiallyConsistent) != 0 else { return true }
        SimulationPoint.reached()
        // M3: take the wake-up back, unless somebody has used it already.
        return !process.block.inbox.compareExchange(
            expected: waiting, desired: empty, ordering: .sequentiallyConsistent
        ).exchanged
    }

    /// Everything sent, newest first, or nil. Owner only.
    @inline(__always)
    static func take(_ process: ProcessRef) -> UnsafeMutablePointer<NodeHeader>? {
        guard process.block.inbox.load(ordering: .relaxed) > waiting else { return nil }
        SimulationPoint.reached()
        let value = process.block.inbox.exchange(empty, ordering: .acquiring)
        return unsafe UnsafeMutablePointer(bitPattern: value)
    }

    /// Whether it takes nothing any more: its process is about to be gone.
    static func isClosed(_ process: ProcessRef) -> Bool { process.block.inbox.load(ordering: .relaxed) == closed }

    /// Ends the mailbox and returns what was still in it, newest first. Owner only.
    static func close(_ process: ProcessRef) -> UnsafeMutablePointer<NodeHeader>? {
        if Canary.sings(.closesInTwoSteps), let newest = unsafe take(process) {
            SimulationPoint.reached()
            process.block.inbox.store(closed, ordering: .sequentiallyConsistent)
            return unsafe newest
        }
        SimulationPoint.reached()
        let value = process.block.inbox.exchange(closed, ordering: .acquiringAndReleasing)
        return unsafe value > waiting ? UnsafeMutablePointer(bitPattern: value) : nil
    }
}
