// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc

/// What the thread of each scheduler of a simulation has, on one real thread: its state.
///
/// `roost_tls` holds the state of the index that runs; those of the others are kept here. Used by the thread that made
/// it only.
@safe package final class SimulatedThreads {
    static let schedulerCountMax = 4
    /// The index of threads that are no schedulers.
    static let outside = schedulerCountMax
    // Smaller than a server's: each run maps its own.
    static let stackByteCount = 256 << 10
    static let guardByteCount = 64 << 10
    static let stackReserveByteCount = 64 << 10

    // Safe: made by `init`, freed by `deinit`, `schedulerCountMax` + 1 of them.
    private let states: UnsafeMutablePointer<roost_thread>
    private var signalStacks: [stack_t] = unsafe []
    private var formerSignalStack = unsafe stack_t()
    private var isEntered = Array(repeating: false, count: outside + 1)

    package init() throws(RuntimeError) {
        unsafe states = .allocate(capacity: Self.outside + 1)
        unsafe states.initialize(repeating: roost_thread(), count: Self.outside + 1)
        let thread = unsafe roost_thread_current()
        let former = unsafe thread.pointee
        unsafe sigaltstack(nil, &formerSignalStack)
        for index in 0..<Self.schedulerCountMax {
            let code = roost_thread_attach(0, 0, Self.stackReserveByteCount, nil)
            guard code == 0 else { throw .systemCall("mmap", code) }
            unsafe states[index] = unsafe thread.pointee
            var signalStack = unsafe stack_t()
            unsafe sigaltstack(nil, &signalStack)
            unsafe signalStacks.append(signalStack)
        }
        unsafe thread.pointee = unsafe former
    }

    deinit {
        let thread = unsafe roost_thread_current()
        let former = unsafe thread.pointee
        for index in unsafe signalStacks.indices {
            unsafe sigaltstack(&signalStacks[index], nil)
            unsafe thread.pointee = unsafe states[index]
            roost_thread_detach()
        }
        unsafe thread.pointee = unsafe former
        unsafe sigaltstack(&formerSignalStack, nil)
        unsafe states.deallocate()
    }

    func setScheduler(_ scheduler: SchedulerRef, of index: Int) {
        unsafe states[index].scheduler = unsafe UnsafeMutableRawPointer(scheduler.pointer)
    }

    /// Whether code of the index is on the real thread's stack now.
    func isInside(_ index: Int) -> Bool { isEntered[index] }

    /// Runs `body` as the thread of a index, which must not be inside already.
    func inside(_ index: Int, _ body: () -> Void) {
        isEntered[index] = true
        let thread = unsafe roost_thread_current()
        let former = unsafe thread.pointee
        unsafe thread.pointee = unsafe states[index]
        body()
        unsafe states[index] = unsafe thread.pointee
        unsafe thread.pointee = unsafe former
        isEntered[index] = false
    }

    /// Whether the index is as a thread between two turns is: no process, no open section.
    func isBetweenTurns(_ index: Int) -> Bool {
        let state = unsafe states[index]
        return unsafe state.current == nil && state.in_process == 0 && state.preemption_disabled == 1
            && state.owner == 0 && state.in_allocator == 0 && state.held == 0
    }
}
