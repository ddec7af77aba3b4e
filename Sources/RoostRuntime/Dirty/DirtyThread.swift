// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
internal import Synchronization

/// A thread that runs jobs of processes, each in process context: on the thread's process stack, contained, its
/// allocations charged to the process. It is no scheduler: `SchedulerRef.current` is nil, so messages and spawns go the
/// way they go from any thread.
// `job` is behind the gate of `threads`; `handle` is written before the thread is known to anybody
final class DirtyThread: @unchecked Sendable {
    private let threads: DirtyThreads
    /// Kept alive until the thread ends, which may be after the runtime has stopped.
    private let runtime: Runtime
    private let name: String
    private(set) var handle = pthread_t()
    var job: DirtyJob?

    init(_ threads: DirtyThreads, _ runtime: Runtime, name: String) {
        self.threads = threads
        self.runtime = runtime
        self.name = name
    }

    /// 0 or an errno.
    func start() -> CInt {
        let argument = unsafe Unmanaged.passRetained(self)
        let code = unsafe pthread_create(
            &handle, nil,
            { argument in
                // Safe: the argument is the reference that `start` passed on.
                unsafe Unmanaged<DirtyThread>.fromOpaque(argument!).takeRetainedValue().main()
                return nil
            }, argument.toOpaque())
        if code != 0 { unsafe argument.release() }
        return code
    }

    private func main() {
        let configuration = runtime.configuration
        let code = roost_thread_attach(
            configuration.stackByteCount, configuration.stackGuardByteCount, configuration.stackReserveByteCount, nil)
        guard code == 0 else {
            fatalError("cannot map a process stack of \(configuration.stackByteCount) bytes: errno \(code)")
        }
        unsafe roost_thread_set_name(name)
        while let job = threads.next(for: self) { threads.ended(self, run(job)) }
        roost_thread_detach()
    }

    // MARK: Running

    /// Runs a job that has begun, to its end. Returns how its code came back.
    private func run(_ job: DirtyJob) -> UInt32 {
        let (outcome, byteCount) = unsafe enter(job) { raw in
            roost_handler_begin()
            unsafe DirtyThread.withJob(raw) { $0.runCode() }
            roost_handler_end()
        }
        job.allocatedByteCount = land(job, outcome, byteCount)
        if !job.finish() { cleanUp(job, hasResult: outcome == UInt32(ROOST_FINISHED)) }
        return outcome
    }

    /// The process has gone on without the job: what is left of it ends here, as handler code.
    private func cleanUp(_ job: DirtyJob, hasResult: Bool) {
        if hasResult {
            unsafe roost_dirty_renew(job.control)
            job.cancel()  // a deinit has the grace to end, as any code of a process that has ended
            let (outcome, byteCount) = unsafe enter(job) { raw in
                roost_handler_begin()
                unsafe DirtyThread.withJob(raw) { $0.destroyResult() }
                roost_handler_end()
            }
            job.allocatedByteCount += land(job, outcome, byteCount)
        }
        guard roost_malloc_is_accounted() else { return }
        // Safe: slots are never unmapped, and the account is the first field.
        unsafe roost_account_add(
            UnsafeMutableRawPointer(ProcessTable.slot(job.pid.index).pointer).assumingMemoryBound(
                to: roost_account.self), job.pid.generation, Int64(job.allocatedByteCount))
    }

    /// The code is back: counts what it lost, says what the process ends for, returns the bytes that the process has
    /// now.
    private func land(_ job: DirtyJob, _ outcome: UInt32, _ byteCount: Int) -> Int {
        switch Int(outcome) {
        case Int(ROOST_FINISHED):
            return byteCount
        case Int(ROOST_TRAPPED):
            let refused = unsafe roost_thread_current().pointee.refused
            let trap = SchedulerRef.takeTrap(
                of: ProcessName(pid: job.pid, label: nil), leaked: max(0, byteCount))
            runtime.countTrap(trap)
            job.ending =
                refused == 0
                ? .failed(.trapped(trap))
                : .failed(
                    .heapLimit(
                        HeapOverflow(
                            byteCount: Int(job.heldByteCount) + byteCount + refused, limit: Int(job.heapLimit),
                            frames: HeapOverflow.framesOfThread())))
        default:
            runtime.countAbandoned(leaked: max(0, byteCount))
            job.ending = .failed(.killed)
        }
        return min(0, byteCount)  // the rest is counted as leaked
    }

    /// Switches to the job. Returns how it came back and the bytes that it has allocated and not freed.
    private func enter(_ job: DirtyJob, _ entry: @escaping roost_entry) -> (outcome: UInt32, byteCount: Int) {
        let thread = unsafe roost_thread_current()
        unsafe roost_thread_set_owner(thread, job.pid.word)
        unsafe thread.pointee.live = job.heldByteCount
        unsafe thread.pointee.live_max = job.heapLimit
        unsafe thread.pointee.refused = 0
        unsafe thread.pointee.over_heap_limit = 0
        unsafe thread.pointee.reductions = Int64(ROOST_DIRTY_REDUCTIONS)
        unsafe thread.pointee.dirty = unsafe job.control
        let outcome = unsafe Self.start(entry, Unmanaged.passUnretained(job).toOpaque())
        unsafe thread.pointee.dirty = nil
        unsafe roost_thread_set_owner(thread, 0)
        unsafe thread.pointee.reductions = .max
        unsafe thread.pointee.preemption_disabled = 1
        return unsafe (outcome, Int(thread.pointee.live - job.heldByteCount))
    }

    private static func start(_ entry: @escaping roost_entry, _ argument: UnsafeMutableRawPointer) -> UInt32 {
        guard roost_stack_per_process() else { return unsafe roost_start(entry, argument) }
        let stack = unsafe roost_stack_create(StackImage.sanitizerStackByteCount)
        defer { unsafe roost_stack_destroy(stack) }
        return unsafe roost_stack_start(stack, entry, argument)
    }

    /// Without a reference of its own in the frame: it would be lost with a trap.
    private static func withJob(_ raw: UnsafeMutableRawPointer?, _ body: (DirtyJob) -> Void) {
        // Safe: `enter` passes the address of a job that it keeps alive.
        unsafe Unmanaged<DirtyJob>.fromOpaque(raw!)._withUnsafeGuaranteedRef(body)
    }
}
