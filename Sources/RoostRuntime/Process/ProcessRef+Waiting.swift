// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

// What a process does to wait. Process context, preemption disabled, depth 1.

extension ProcessRef {
    /// Gives up the thread until a message, a signal or a wake flag arrives; spurious returns happen.
    package func park(in kind: WaitKind = .receive) {
        checkMayPark()
        block.waitKind = kind
        roost_park_here()
        block.wakeFlags.store(0, ordering: .sequentiallyConsistent)
    }

    /// The waiting loop behind every receive: looks at each node once, oldest first, then parks until there are more.
    ///
    /// With `destroysTaken` the payload of the node that `take` accepted is still to be destroyed: as handler code, and
    /// after the node has left the mailbox, so that a deinit that traps is not run again when the mailbox is destroyed.
    func wait<Result>(
        until deadline: MonotonicTime?, destroysTaken: Bool = false, in kind: WaitKind = .receive,
        _ take: (ProcessRef, Node) -> Result?
    ) throws(ProcessExit) -> Result? {
        roost_enter()
        defer { roost_leave() }
        let process = self
        let scheduler = SchedulerRef.running
        process.checkMayPark()
        process.checkIsNotMatching()
        try process.throwIfExiting()
        var previous: UnsafeMutablePointer<NodeHeader>?
        defer { process.disarmTimer(scheduler) }
        while true {
            while let header = unsafe previous == nil ? process.block.queueHead : previous!.pointee.next {
                roost_charge(1)
                let node = unsafe Node(header)
                if node.kind == .undeliverable {
                    unsafe scheduler.destroy(scheduler.unlink(header, after: previous, of: process), of: process)
                } else if let result = take(process, node) {
                    let node = unsafe scheduler.unlink(header, after: previous, of: process)
                    if destroysTaken { scheduler.destroy(node, of: process) } else { scheduler.free(node) }
                    return result
                } else {
                    unsafe previous = unsafe header
                }
            }
            let before = process.block.queueCount
            scheduler.collectInbox(of: process)
            guard process.block.queueCount == before else { continue }
            try process.throwIfExiting()
            if let deadline, process.isPast(deadline, scheduler) { return nil }
            process.park(in: kind)
        }
    }

    /// As `ProcessContext.receiveDown`; here, where it is compiled once for processes that receive whatever they do.
    func receiveDown(of reference: Reference, until deadline: MonotonicTime?) throws(ProcessExit) -> Down? {
        try wait(until: deadline) { process, node in
            guard node.kind == .down else { return nil }
            // Safe: the kind says what the payload is; it is only looked at until it is taken.
            guard unsafe node.payload.assumingMemoryBound(to: Down.self).pointee.reference == reference else {
                return nil
            }
            return process.takeDown(node)
        }
    }

    /// The monitor has fired: it is over.
    func takeDown(_ node: Node) -> Down {
        let down = node.takePayload(as: Down.self)
        block.extras?.monitors.remove(down.reference)
        return down
    }

    func checkMayPark() {
        let thread = unsafe roost_thread_current()
        if unsafe thread.pointee.preemption_disabled == 1 && thread.pointee.held == 0 { return }
        // Not a precondition: its message must be seen in an optimised build, too.
        fatalError(
            """
            a waiting call inside withoutPreemption, the initialiser of a global or a description that is printed: \
            what is locked there would stay locked while the process waits
            """)
    }

    /// The mailbox is being looked through: another receive would take away what the first one looks at. A mistake of
    /// handler code, and contained as such. Depth 1.
    func checkIsNotMatching() {
        guard block.flags.contains(.isMatching) else { return }
        roost_handler_begin()
        fatalError("a receive inside the closure of another receive")
    }

    package func throwIfExiting(_ cleanUp: () -> Void = {}) throws(ProcessExit) {
        guard block.flags.contains(.isExiting) else { return }
        cleanUp()
        throw ProcessExit(reason: block.extras?.exitReason ?? .killed)
    }

    /// Whether `deadline` has come; arms the process's timer for it where it has not.
    func isPast(_ deadline: MonotonicTime, _ scheduler: SchedulerRef) -> Bool {
        if MonotonicTime.now() >= deadline { return true }
        disarmTimer(scheduler)
        block.timer = scheduler.armWake(self, at: deadline)
        return false
    }

    func disarmTimer(_ scheduler: SchedulerRef) {
        guard block.timer != .none else { return }
        scheduler.cancelTimer(block.timer)
        block.timer = .none
    }
}

/// A message that is to be sent later.
public struct TimerToken: Sendable {
    let home: SchedulerRef
    let reference: TimerReference

    init(home: UnsafeMutablePointer<SchedulerState>, reference: TimerReference) {
        self.home = unsafe SchedulerRef(home)
        self.reference = reference
    }

    /// Any thread; a timer that has fired is left alone.
    func cancel() {
        if home.isCurrent { home.cancelTimer(reference) } else { home.post(.cancelTimer(reference)) }
    }
}

extension Reference {
    private static let last = Atomic<UInt64>(0)

    package static func next() -> Reference { Reference(number: last.add(1, ordering: .relaxed).newValue) }
}
