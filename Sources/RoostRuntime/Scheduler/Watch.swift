// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
internal import Synchronization

/// A turn that lasted longer than native code may without saying so. (erlang:system_monitor/2, `long_schedule`.)
public struct LongSchedule: Sendable {
    /// With its label, where it has one and still lives.
    public let process: ProcessName
    /// The function of the program that was running, by its symbols; nil where none was found. A guess where the thread
    /// waits in the kernel: what an earlier call left on the stack may be taken for it.
    public let function: String?
    /// How long the turn had lasted, to the millisecond: in all, or when its scheduler was handed over.
    public let duration: Duration
    /// The turn goes on, on its own thread, and the scheduler's other processes on another.
    public let isHandedOver: Bool
}

/// Notices turns that last too long, and has the schedulers of those that do not end run by other threads.
///
/// A thread of its own that looks every millisecond while any scheduler is awake, and sleeps while all do. A look costs
/// a few loads per scheduler and nothing of the schedulers' own time.
// `seen` and `away` are the thread's own; the rest is atomic or immutable
final class Watch: @unchecked Sendable {
    /// What it saw of a scheduler when it last looked.
    private struct Seen {
        var turn: UInt64 = 0
        var thread: UInt = 0
        /// When this turn was first seen: it began before.
        var since = MonotonicTime(nanoseconds: 0)
        /// Processor time of its thread then.
        var processorTime: UInt64 = 0
        var isLong = false
        var pid: UInt64 = 0
        var function: String?
    }

    /// A turn whose scheduler has been handed over.
    private struct Away {
        let thread: UInt
        let scheduler: SchedulerRef
        let pid: Pid
        let since: MonotonicTime
    }

    private unowned let runtime: Runtime
    private let longNanoseconds: UInt64
    /// nil: schedulers are never handed over.
    private let stuckNanoseconds: UInt64?
    private var seen: [Seen]
    private var away: [Away] = []
    private var hasReportedLack = false
    private let isAsleep = Atomic<Bool>(false)
    private let isStopping = Atomic<Bool>(false)
    private let wakeUp = Semaphore()
    private let ended = Semaphore()

    init(_ runtime: Runtime, canHandOver: Bool) {
        self.runtime = runtime
        longNanoseconds = UInt64(runtime.configuration.longSchedule / .nanoseconds(1))
        let stuck = runtime.configuration.stuckSchedule
        stuckNanoseconds = canHandOver && stuck > .zero ? UInt64(stuck / .nanoseconds(1)) : nil
        seen = Array(repeating: Seen(), count: runtime.schedulers.count)
    }

    func start() throws(RuntimeError) {
        var handle = pthread_t()
        let code = unsafe pthread_create(
            &handle, nil,
            { argument in
                // Safe: the argument is the retained watch made below.
                unsafe Unmanaged<Watch>.fromOpaque(argument!).takeRetainedValue().main()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        guard code == 0 else {
            unsafe Unmanaged.passUnretained(self).release()
            throw .systemCall("pthread_create", code)
        }
        pthread_detach(handle)
    }

    func stop() {
        isStopping.store(true, ordering: .sequentiallyConsistent)
        wakeUp.signal()
        ended.wait()
    }

    /// A scheduler has just stopped being asleep: so does the watch. Scheduler's thread.
    @inline(__always)
    func schedulerWoke() {
        // The scheduler has left `asleep` by a sequentially consistent exchange before; see `sleep`.
        if isAsleep.load(ordering: .sequentiallyConsistent) { endSleep() }
    }

    @inline(never)
    private func endSleep() {
        if isAsleep.exchange(false, ordering: .sequentiallyConsistent) { wakeUp.signal() }
    }

    // MARK: Its thread

    private func main() {
        unsafe roost_thread_set_name("roost-watch")
        var interval = timespec(tv_sec: 0, tv_nsec: Int(min(longNanoseconds, 1_000_000)))
        var idleLooks = 0
        while !isStopping.load(ordering: .relaxed) {
            unsafe nanosleep(&interval, nil)
            idleLooks = look() ? 0 : idleLooks + 1
            if idleLooks >= 20 { sleep() }
        }
        ended.signal()
    }

    /// Sleeps until a scheduler wakes. It says so first and then looks at the schedulers; they leave `asleep` first and
    /// then look whether it sleeps: one of them sees the other.
    private func sleep() {
        isAsleep.store(true, ordering: .sequentiallyConsistent)
        let allSleep = runtime.schedulers.allSatisfy {
            $0.state.inbound.load(ordering: .sequentiallyConsistent) == SchedulerState.asleep
        }
        if !allSleep || !away.isEmpty || isStopping.load(ordering: .sequentiallyConsistent) {
            if isAsleep.exchange(false, ordering: .sequentiallyConsistent) { return }
        }
        wakeUp.wait()
    }

    /// Looks at every scheduler; false when all sleep.
    private func look() -> Bool {
        let now = MonotonicTime.now()
        var isAnyAwake = !away.isEmpty
        for (index, scheduler) in runtime.schedulers.enumerated() {
            if scheduler.state.inbound.load(ordering: .relaxed) != SchedulerState.asleep { isAnyAwake = true }
            look(at: scheduler, index, now)
        }
        away.removeAll { away in
            guard unsafe !roost_thread_is_claimed(Self.thread(away.thread)) else { return false }
            runtime.report(.rejoined(away.pid, after: now - away.since))
            return true
        }
        return isAnyAwake
    }

    private func look(at scheduler: SchedulerRef, _ index: Int, _ now: MonotonicTime) {
        let word = scheduler.state.thread.load(ordering: .acquiring)
        guard word != 0 else { return }
        let thread = unsafe Self.thread(word)
        let turn = scheduler.state.statistics.turns.value
        guard turn == seen[index].turn, word == seen[index].thread, unsafe roost_thread_is_in_process(thread) else {
            if seen[index].isLong { reportEnd(of: seen[index], scheduler, now) }
            seen[index] = Seen(turn: turn, thread: word, since: now)
            unsafe seen[index].processorTime = roost_thread_cpu_time(thread.pointee.tid)
            return
        }
        let lasted = (now - seen[index].since) / .nanoseconds(1)
        guard UInt64(lasted) >= longNanoseconds else { return }
        if !seen[index].isLong {
            guard unsafe isItsOwnDoing(thread, since: seen[index].processorTime) else { return }
            seen[index].isLong = true
            unsafe seen[index].pid = roost_thread_owner(thread)
            unsafe seen[index].function = Self.function(of: thread)
            scheduler.state.statistics.longSchedules &+= 1
        }
        guard let stuckNanoseconds, UInt64(lasted) >= stuckNanoseconds else { return }
        unsafe handOver(scheduler, index, thread, now)
    }

    /// A thread that the kernel lets wait for a processor is not stuck: only one that waits for something else, or that
    /// has computed all the time.
    private func isItsOwnDoing(_ thread: UnsafeMutablePointer<roost_thread>, since processorTime: UInt64) -> Bool {
        var (stackPointer, address) = (UInt(), UInt())
        if unsafe roost_thread_is_blocked(thread.pointee.tid, &stackPointer, &address) { return true }
        return unsafe roost_thread_cpu_time(thread.pointee.tid) &- processorTime >= longNanoseconds
    }

    private func handOver(
        _ scheduler: SchedulerRef, _ index: Int, _ thread: UnsafeMutablePointer<roost_thread>, _ now: MonotonicTime
    ) {
        // Each of them occupies a lane, and who goes on needs one.
        let hasLane = away.count { $0.scheduler == scheduler } < LaneSet.countMax - 1
        switch unsafe hasLane ? runtime.threads.takeOver(scheduler, from: thread) : .noThread {
        case .refused: break  // it is in the runtime: its turn ends soon, or the next look finds it outside again
        case .noThread:
            if !hasReportedLack { runtime.report(.noSpareThread(runtime.configuration.spareThreadCountMax)) }
            hasReportedLack = true
        case .done:
            let seen = seen[index]
            let pid = Pid(word: seen.pid)
            away.append(Away(thread: seen.thread, scheduler: scheduler, pid: pid, since: seen.since))
            report(seen, scheduler, now, isHandedOver: true)
            self.seen[index] = Seen()
        }
    }

    private func reportEnd(of seen: Seen, _ scheduler: SchedulerRef, _ now: MonotonicTime) {
        report(seen, scheduler, now, isHandedOver: false)
    }

    /// By the scheduler, which alone may look at the process.
    private func report(_ seen: Seen, _ scheduler: SchedulerRef, _ now: MonotonicTime, isHandedOver: Bool) {
        let duration = now - seen.since
        let function = seen.function
        let pid = Pid(word: seen.pid)
        scheduler.post(
            .run { [runtime] in
                let name = ProcessTable.find(pid)?.name ?? ProcessName(pid: pid, label: nil)
                runtime.report(
                    .longSchedule(
                        LongSchedule(
                            process: name, function: function, duration: duration, isHandedOver: isHandedOver)))
            })
    }

    // MARK: Where a thread is

    private static func thread(_ word: UInt) -> UnsafeMutablePointer<roost_thread> {
        // Safe: the states of threads that run schedulers stay until the runtime stops, and the watch stops before.
        unsafe UnsafeMutablePointer(bitPattern: word)!
    }

    /// The innermost function on the thread's stack that is the program's own.
    private static func function(of thread: UnsafeMutablePointer<roost_thread>) -> String? {
        unsafe frames(of: thread).lazy.map { Symbol(at: $0 - 1).name }.first { !Symbol.isLibrary($0) }
    }

    private static func frames(of thread: UnsafeMutablePointer<roost_thread>) -> [UInt] {
        let capacity = Int(ROOST_SAMPLE_FRAMES_MAX)
        return unsafe Array(unsafeUninitializedCapacity: capacity) { frames, count in
            var (stackPointer, address) = (UInt(), UInt())
            if unsafe roost_thread_is_blocked(thread.pointee.tid, &stackPointer, &address) {
                // Safe: the callee writes at most the capacity.
                count = unsafe Int(roost_scan_frames(stackPointer, thread, frames.baseAddress!, UInt32(capacity)))
            } else {
                count = unsafe Int(roost_sample(thread, frames.baseAddress!, UInt32(capacity)))
            }
        }
    }
}

extension Symbol {
    /// Whether a function of this name belongs to a library that handlers call, rather than to the program.
    static func isLibrary(_ name: String) -> Bool {
        !name.contains(" ") && !name.contains(".") && !name.contains("(")  // C
            || ["Swift.", "Foundation", "Dispatch.", "static Swift.", "generic specialization", "RoostRuntime."]
                .contains { name.hasPrefix($0) }
    }
}
