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
