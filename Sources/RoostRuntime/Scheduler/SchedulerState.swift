// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

/// Work for a scheduler that comes from elsewhere and is no process to run.
enum SchedulerCommand: Sendable {
    case cancelTimer(TimerReference)
    case run(@Sendable () -> Void)
}

/// One scheduler: everything here belongs to its thread, but for what the table says.
///
/// | Field       | Written by                     | Ordered by                                                     |
/// |-------------|--------------------------------|----------------------------------------------------------------|
/// | `inbound`   | any thread pushes, owner takes | compare-exchange, as `Mailbox.inbox`                           |
/// | `commands`  | any thread                     | its lock (a leaf), then `poke`                                 |
/// | `load`      | the owner                      | relaxed: a hint for balancing                                  |
/// | `thread`    | the owner                      | releasing, acquiring: the watch looks at it                    |
/// | `rejoining` | threads push, owner takes      | compare-exchange, as `inbound`                                 |
/// | the rest    | the owner                      |                                                                |
@safe package struct SchedulerState: ~Copyable {
    /// Nobody looks at the first word: ThreadSanitizer takes an access to any field through `SchedulerRef.state` for a
    /// write to it.
    private let first: UInt = 0
    /// Processes that others made runnable: linked through `runNext`, newest first; or `idle`, or `asleep`.
    ///
    /// **S1.** A scheduler sleeps only after it has replaced `idle` by `asleep`; whoever replaces `asleep` wakes it. So
    /// a process pushed here is either seen before the sleep or ends it. Test: `SchedulerTests.noLostWakeUp`.
    /// Model: `Proof/scheduler.pml`, of this word, the commands and `poke`.
    let inbound: Atomic<UInt>
    let commands: Mutex<[SchedulerCommand]>
    let hasCommands: Atomic<Bool>
    /// Threads whose scheduler was taken over and that want it back: `roost_thread`s, newest first; 0 for none.
    let rejoining: Atomic<UInt>
    /// The `roost_thread` of the thread that runs the scheduler.
    let thread: Atomic<UInt>
    /// Runnable processes, for other schedulers that look for the least loaded.
    let load: Atomic<Int>
    /// `runQueue`'s lengths, for other threads.
    let runQueueCounts = PublishedRunQueue()

    static let idle: UInt = 0
    static let asleep: UInt = 1

    let index: Int
    unowned(unsafe) let runtime: Runtime
    /// Reductions of a turn; a simulation draws them for each.
    var turnReductions: Int64
    var runQueue = RunQueue()
    var lanes: LaneSet
    /// Processes with frames on a lane that someone is stuck on; linked through `runNext`, newest first.
    var waitingForLane: UInt = 0
    var poller: Poller
    var timers: TimerWheel
    var blocks = BlockAllocator()
    var slots = SlotCache()
    let statistics = SchedulerCounters()
    /// `now`, for other threads.
    let publishedNow: Atomic<UInt64>
    var release: ReleaseRound
    var now: MonotonicTime
    /// What the next call that starts here is numbered; see `nextCallNumber`.
    var lastCallNumber: UInt64 = 0
    /// Reductions left until the next poll while there are processes to run.
    var pollCredit: Int64 = 0
    /// Turns since it last had nothing to do.
    var busyTurns = 0
    var isStopping = false
    /// Scratch space of the layers above (buffers for sockets), made on first use, freed by `scratchRelease`.
    var scratch: UnsafeMutableRawPointer?
    var scratchRelease: (@convention(c) (UnsafeMutableRawPointer) -> Void)?

    init(index: Int, runtime: Runtime) throws(RuntimeError) {
        let lanes = try LaneSet(
            stackByteCount: runtime.configuration.stackByteCount,
            guardByteCount: runtime.configuration.stackGuardByteCount)
        let poller = try Poller()
        self.index = index
        unsafe self.runtime = runtime
        turnReductions = Int64(runtime.configuration.reductionsPerTurn)
        inbound = Atomic(Self.idle)
        commands = Mutex([])
        hasCommands = Atomic(false)
        load = Atomic(0)
        rejoining = Atomic(0)
        thread = Atomic(0)
        let start = MonotonicTime.now()
        now = start
        publishedNow = Atomic(start.nanoseconds)
        timers = TimerWheel(start: start)
        release = ReleaseRound(now: start)
        unsafe scratch = nil
        unsafe scratchRelease = nil
        self.lanes = lanes
        self.poller = poller
    }
}

/// A scheduler by its address; valid for the life of its runtime.
// shared fields are atomics or locked; the rest is its thread's
@safe package struct SchedulerRef: Equatable, @unchecked Sendable {
    let pointer: UnsafeMutablePointer<SchedulerState>

    @inline(__always)
    init(_ pointer: UnsafeMutablePointer<SchedulerState>) { unsafe self.pointer = unsafe pointer }

    package static func == (a: SchedulerRef, b: SchedulerRef) -> Bool { unsafe a.pointer == b.pointer }

    package var state: SchedulerState {
        // Safe: the runtime frees its schedulers after their threads have ended and their processes are gone.
        @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer) }
        @inline(__always) nonmutating unsafeMutableAddress { unsafe pointer }
    }

    /// The scheduler of this thread, nil on any other thread.
    @inline(__always)
    package static var current: SchedulerRef? {
        guard let pointer = unsafe roost_thread_current().pointee.scheduler else { return nil }
        return unsafe SchedulerRef(pointer.assumingMemoryBound(to: SchedulerState.self))
    }

    /// The scheduler of this thread, for code that only schedulers run.
    @inline(__always)
    package static var running: SchedulerRef {
        // Safe: the operations of a process are only called on a scheduler's thread.
        unsafe current.unsafelyUnwrapped
    }

    /// The process that runs on this thread, nil outside one.
    @inline(__always)
    package static var currentProcess: ProcessRef? {
        guard let pointer = unsafe roost_thread_current().pointee.current else { return nil }
        return unsafe ProcessRef(pointer.assumingMemoryBound(to: ProcessControlBlock.self))
    }

    var isCurrent: Bool { Self.current == self }
}

// MARK: - Run queue

extension SchedulerRef {
    /// Makes `process` run here. The caller has the right to: it won the wake-up, or made the process. Any thread.
    @inline(__always)
    package func enqueue(_ process: ProcessRef) {
        if isCurrent { enqueueLocal(process) } else { enqueueRemote(process) }
    }

    @inline(__always)
    func enqueueLocal(_ process: ProcessRef) {
        process.block.status = .runnable
        state.runQueue.enqueue(process)
    }

    /// As `enqueueLocal`, for a process that used up its turn.
    func enqueueSpent(_ process: ProcessRef) {
        process.block.status = .runnable
        state.runQueue.enqueueSpent(process)
    }

    @inline(__always)
    func dequeue() -> ProcessRef? { state.runQueue.dequeue() }

    /// Hands `process` to this scheduler from another thread.
    func enqueueRemote(_ process: ProcessRef) {
        let word = unsafe UInt(bitPattern: process.pointer)
        var seen = state.inbound.load(ordering: .relaxed)
        while true {
            process.block.runNext = seen <= SchedulerState.asleep ? 0 : seen
            SimulationPoint.reached()
            let (done, value) = state.inbound.weakCompareExchange(
                expected: seen, desired: word, successOrdering: .acquiringAndReleasing, failureOrdering: .relaxed)
            if done { break }
            seen = value
        }
        SimulationPoint.reached()
        if seen == SchedulerState.asleep, !Canary.sings(.doesNotWake) { state.poller.wake() }
    }

    /// Wakes the scheduler if it sleeps, so that it looks at its commands.
    func poke() {
        let (woken, _) = state.inbound.compareExchange(
            expected: SchedulerState.asleep, desired: SchedulerState.idle, ordering: .sequentiallyConsistent)
        if woken { state.poller.wake() }
    }

    func post(_ command: SchedulerCommand) {
        state.commands.withLock { $0.append(command) }
        SimulationPoint.reached()
        state.hasCommands.store(true, ordering: .sequentiallyConsistent)
        SimulationPoint.reached()
        poke()
    }

    /// Moves what others pushed to the end of the run queue, oldest first.
    func takeInbound() {
        guard state.inbound.load(ordering: .relaxed) > SchedulerState.asleep else { return }
        SimulationPoint.reached()
        var newest = state.inbound.exchange(SchedulerState.idle, ordering: .acquiring)
        var oldestFirst: UInt = 0
        while newest > SchedulerState.asleep {
            let process = ProcessRef(queued: newest)
            newest = process.block.runNext
            process.block.runNext = oldestFirst
            oldestFirst = unsafe UInt(bitPattern: process.pointer)
        }
        while oldestFirst != 0 {
            let process = ProcessRef(queued: oldestFirst)
            oldestFirst = process.block.runNext
            if unsafe process.block.home != pointer {
                unsafe process.block.home = unsafe pointer
                state.statistics.arrivals &+= 1
            }
            enqueueLocal(process)
        }
    }

    @inline(__always)
    func runCommands() {
        // An exchange in every turn would cost more than the rest of this loop.
        if state.hasCommands.load(ordering: .relaxed) { takeCommands() }
    }

    @inline(never)
    private func takeCommands() {
        guard state.hasCommands.exchange(false, ordering: .sequentiallyConsistent) else { return }
        SimulationPoint.reached()
        let commands = state.commands.withLock { commands in
            let taken = commands
            commands.removeAll()
            return taken
        }
        for command in commands {
            switch command {
            case .cancelTimer(let reference): cancelTimer(reference)
            case .run(let body): body()
            }
        }
    }
}

// MARK: - Timers

extension SchedulerRef {
    /// Sets `WakeFlags.timer` on `process` at `time`. This scheduler's thread.
    package func armWake(_ process: ProcessRef, at time: MonotonicTime) -> TimerReference {
        state.timers.arm(at: time, .wake(process.pid.word))
    }

    package func cancelTimer(_ reference: TimerReference) {
        guard let action = state.timers.cancel(reference) else { return }
        if case .send(let node) = action { discard(node) }
    }

    /// Reads the clock; the time since the last reading was spent with `activity`.
    func readClock(after activity: SchedulerActivity) {
        let time = MonotonicTime.now()
        state.statistics.add(time.nanoseconds &- state.now.nanoseconds, to: activity)
        state.now = time
        state.publishedNow.store(time.nanoseconds, ordering: .relaxed)
    }

    func fireTimers(after activity: SchedulerActivity = .running) {
        readClock(after: activity)
        while let action = state.timers.takeDue(at: state.now) {
            switch action {
            case .wake(let word):
                if let process = ProcessTable.find(Pid(word: word)) { notify(process, .timer) }
            case .send(let node):
                deliver(node)
            }
        }
    }

    /// Sets wake flags on a process and makes it run if it waits. Any thread, from any scheduler.
    @inline(__always)
    package func notify(_ process: ProcessRef, _ flags: WakeFlags) {
        if Mailbox.notify(process, flags) { process.home.enqueue(process) }
    }
}
