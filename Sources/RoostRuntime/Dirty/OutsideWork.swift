// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

/// Work that a process has given away and waits for: a dirty job or an awaited task. The process and the thread that
/// does the work share it.
///
/// `phase` says whose the code and the result are. Each moves from one owner to another by the exchange that changes
/// the phase, so that each is destroyed exactly once, as handler code of whoever owns it.
///
/// | Phase | The code is | The result is | Set by |
/// |---|---|---|---|
/// | `queued` | the process's | | |
/// | `running` | the worker's | the worker's | the worker, over `queued` |
/// | `done` | gone | the process's | the worker, over `running` |
/// | `dropped` | the process's | | the process, over `queued`: it waits no more |
/// | `orphaned` | the worker's | the worker's | the process, over `running`: it waits no more |
///
/// **D1.** A process that waits for work is woken after `done` is set: the phase is written, then the wake flag; the
/// process clears its flags, then reads the phase. All of it is sequentially consistent, as in M3. Test: `DirtyTests`.
// `phase` orders the rest
class OutsideWork: @unchecked Sendable {
    enum Phase: UInt8 { case queued, running, done, dropped, orphaned }

    /// How the work ended, where it did not return or throw.
    enum Ending {
        /// There is a result: a value or an error.
        case returned
        /// The process ends for this reason.
        case failed(ExitReason)
    }

    private let phase: Atomic<UInt8>
    let pid: Pid
    /// The worker's until `done`, then the process's.
    var ending = Ending.returned
    /// Bytes that the work has allocated for the process and not freed.
    var allocatedByteCount = 0
    /// Bytes that the process held when the work took it over its limit; 0: it has not.
    let exceedingByteCount = Atomic<Int>(0)
    /// Where it asked for them; written before `exceedingByteCount`.
    var exceedingFrames: [UInt] = []

    init(_ pid: Pid, _ phase: Phase) {
        self.pid = pid
        self.phase = Atomic(phase.rawValue)
    }

    final func change(_ from: Phase, to: Phase) -> Bool {
        phase.compareExchange(expected: from.rawValue, desired: to.rawValue, ordering: .sequentiallyConsistent)
            .exchanged
    }

    /// What the process waits in, for the inspection.
    var waitKind: WaitKind { .dirty }

    var isDone: Bool { phase.load(ordering: .sequentiallyConsistent) == Phase.done.rawValue }
    var isDropped: Bool { phase.load(ordering: .sequentiallyConsistent) == Phase.dropped.rawValue }

    /// The worker takes the code. False: there is nothing to do any more.
    func begin() -> Bool { change(.queued, to: .running) }

    /// The worker is through. False: nobody waits, and the result stays the worker's.
    func finish() -> Bool {
        guard change(.running, to: .done) else { return false }
        wakeProcess()
        return true
    }

    /// A process that has this slot by now takes the flag as a hint that is stale.
    func wakeProcess() {
        roost_enter()
        defer { roost_leave() }
        if let process = ProcessTable.find(pid) { Runtime.notify(process, .poke) }
    }

    /// Waits in `process` until the work is done. False: `deadline` has come, and the work is given up. Depth one.
    func wait(in process: ProcessRef, until deadline: MonotonicTime?) throws(ProcessExit) -> Bool {
        // Safe: processes run on schedulers only.
        let scheduler = unsafe SchedulerRef.current.unsafelyUnwrapped
        defer { process.disarmTimer(scheduler) }
        while true {
            let byteCount = exceedingByteCount.load(ordering: .sequentiallyConsistent)
            if byteCount != 0 { endProcess(process, scheduler, holding: byteCount) }
            if process.isExiting { giveUp() }
            try process.throwIfExiting()
            if isDone {
                book()
                if case .failed(let reason) = ending { scheduler.tellToExit(process, reason) }
                let thread = unsafe roost_thread_current()
                let live = unsafe Int(thread.pointee.live)
                if unsafe live > thread.pointee.live_max { endProcess(process, scheduler, holding: live) }
                guard process.isExiting else { return true }
                destroyOwnResult()
                try process.throwIfExiting()
            }
            if let deadline, process.isPast(deadline, scheduler) {
                giveUp()
                return false
            }
            process.park(in: waitKind)
            scheduler.collectInbox(of: process)
        }
    }

    private func endProcess(_ process: ProcessRef, _ scheduler: SchedulerRef, holding byteCount: Int) {
        let overflow = HeapOverflow(
            byteCount: byteCount, limit: process.block.heapLimit, heldByteCount: process.block.heldByteCount,
            frames: exceedingFrames)
        scheduler.tellToExit(process, .heapLimit(overflow))
    }

    /// What the work allocated is the process's own now.
    private func book() { unsafe roost_thread_current().pointee.live += Int64(allocatedByteCount) }

    /// The process waits no more. Depth one; what is destroyed is destroyed as handler code.
    private func giveUp() {
        if drop() {
            roost_handler_begin()
            destroyCode()
            roost_handler_end()
        } else if change(.running, to: .orphaned) {
            cancel()
        } else {
            book()
            destroyOwnResult()
        }
    }

    private func destroyOwnResult() {
        guard case .returned = ending else { return }
        roost_handler_begin()
        destroyResult()
        roost_handler_end()
    }

    /// Takes back work that has not begun. False: it has.
    func drop() -> Bool { change(.queued, to: .dropped) }

    /// Destroys the code that was never run. As handler code.
    func destroyCode() { fatalError("abstract") }
    /// Destroys the result. As handler code.
    func destroyResult() { fatalError("abstract") }
    /// The process waits no more for work that runs.
    func cancel() { fatalError("abstract") }
}

/// Where a value lies whose owner changes: initialised and taken by hand, so that nothing destroys it a second time
/// where a destructor traps.
@safe struct Parcel<Value> {
    private let pointer: UnsafeMutablePointer<Value>

    init() { unsafe pointer = .allocate(capacity: 1) }

    func put(_ value: consuming Value) { unsafe pointer.initialize(to: value) }

    /// Leaves the place empty.
    func take() -> Value {
        // Safe: the phase of the work says that there is a value, and whose it is.
        unsafe pointer.move()
    }

    /// The place is empty, or what is in it is lost.
    func free() { unsafe pointer.deallocate() }
}
