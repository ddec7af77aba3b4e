// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
internal import Synchronization

/// What a process may have; see `RuntimeConfiguration` for the defaults.
public struct ProcessOptions: Sendable {
    /// Bytes the process may hold, the runtime's and its own allocations together; past it the process is told to end.
    /// 0: no limit.
    public var heapByteCountMax: Int?
    /// Messages that may wait in its mailbox; past it: `mailboxPolicy`. nil: no limit. Their bytes count towards
    /// `heapByteCountMax`.
    public var mailboxCountMax: Int?
    public var mailboxPolicy = MailboxPolicy.end
    /// How it is chosen among the runnable processes of its scheduler; not inherited from who starts it.
    public var priority = ProcessPriority.normal
    /// What the process is called in reports, error texts and the inspection; see `ProcessContext.setLabel`.
    public var label: String?
    /// It never leaves the scheduler that it was started on.
    package var isPinned = false
    /// Where it starts; nil: where it is started, or the next in turn for one started from outside.
    package var schedulerIndex: Int?

    public init(
        heapByteCountMax: Int? = nil, mailboxCountMax: Int? = nil, mailboxPolicy: MailboxPolicy = .end,
        priority: ProcessPriority = .normal, label: String? = nil
    ) {
        self.heapByteCountMax = heapByteCountMax
        self.mailboxCountMax = mailboxCountMax
        self.mailboxPolicy = mailboxPolicy
        self.priority = priority
        self.label = label
    }
}

/// How a runtime is set up. Checked by `Runtime.start`; immutable afterwards.
public struct RuntimeConfiguration: Sendable {
    /// Scheduler threads, 1...64. 0: one for each core this process may run on.
    public var schedulerCount = 0
    /// Reductions a turn lasts, 100...1,000,000: long enough to be worth a switch, short enough (about 3 µs) to wait
    /// for. BEAM: 4,000.
    public var reductionsPerTurn = 2_000
    /// Bytes of the stack that processes of a scheduler run on, 256 KiB...64 MiB. Recursion that uses it up ends its
    /// process.
    public var stackByteCount = 1 << 20
    /// Bytes below the limit at which instrumented code is stopped, kept for what it calls: malloc, print.
    public var stackReserveByteCount = 128 << 10
    /// Inaccessible bytes below each stack.
    public var stackGuardByteCount = 16 << 20
    /// Default of `ProcessOptions.heapByteCountMax`: far above what a well-behaved process needs, far below what a
    /// machine has.
    public var heapByteCountMax = 256 << 20
    /// Messages in one mailbox at which an event is reported, once per process.
    public var mailboxWarningCount = 100_000
    /// Contained traps and abandoned processes may have lost so many bytes before the runtime asks its owner to drain.
    public var leakedByteCountMax = 1 << 30
    /// Threads for `dirty(.cpu)`, 0...64. 0: one for each core this program may run on, as the BEAM has.
    public var dirtyCPUThreadCount = 0
    /// Threads for `dirty(.io)`, 1...1,024: how many blocking calls can be open at once. BEAM: 10.
    public var dirtyIOThreadCount = 10
    /// How long a dirty job may go on after nobody waits for it, 1 ms...1 h, before it is abandoned at a reduction
    /// point: what it holds then is lost. As long as a child has to shut down.
    public var dirtyCancellationGrace = Duration.seconds(5)

    /// A turn that lasts longer is reported: native code that takes so long belongs on a dirty scheduler.
    public var longSchedule: Duration = .milliseconds(1)
    /// After so long in one turn the scheduler's other processes go on, on a spare thread: long enough that few do,
    /// short enough for people not to notice. 0: never.
    public var stuckSchedule: Duration = .milliseconds(20)
    /// Threads that may stand in for stuck ones, 0...1,000. Each is a thread that blocks somewhere.
    public var spareThreadCountMax = 32

    public init() {}

    package func validate() throws(RuntimeError) {
        var problems: [String] = []
        func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) {
            if !range.contains(value) {
                problems.append("\(name) is \(value); use \(range.lowerBound)...\(range.upperBound)")
            }
        }
        check("schedulers", schedulerCount, 0...64)
        check("reductions-per-turn", reductionsPerTurn, 100...1_000_000)
        check("stack-bytes", stackByteCount, 256 << 10...64 << 20)
        check("stack-reserve-bytes", stackReserveByteCount, 16 << 10...stackByteCount / 2)
        check("stack-guard-bytes", stackGuardByteCount, 64 << 10...1 << 30)
        check("long-schedule microseconds", Int(longSchedule / .microseconds(1)), 100...10_000_000)
        check("stuck-schedule milliseconds", Int(stuckSchedule / .milliseconds(1)), 0...600_000)
        check("max-spare-threads", spareThreadCountMax, 0...1_000)
        check("max-leaked-bytes", leakedByteCountMax, 1 << 20...1 << 40)
        check("dirty-cpu-threads", dirtyCPUThreadCount, 0...64)
        check("dirty-io-threads", dirtyIOThreadCount, 1...1_024)
        if dirtyCancellationGrace < .milliseconds(1) || dirtyCancellationGrace > .seconds(3_600) {
            problems.append("dirty-cancellation-grace is \(dirtyCancellationGrace); use 1 ms...1 h")
        }
        if heapByteCountMax < 0 { problems.append("max-heap-bytes is \(heapByteCountMax); use 0 (no limit) or more") }
        if !problems.isEmpty { throw .invalidConfiguration(problems) }
    }
}

/// What the runtime has to tell its owner. Called on a scheduler or a dirty thread, outside any process: must be quick
/// and must not block.
public enum RuntimeEvent: Sendable {
    case trapped(Trap)
    case abandoned(leakedByteCount: Int)
    /// Traps and abandoned processes have lost more than `leakedByteCountMax`: drain and restart the program. Once.
    case leakLimitReached(byteCount: Int)
    case longMailbox(ProcessName, messageCount: Int)
    /// A turn lasted longer than `longSchedule`. Once for each such turn: when it has ended, or when its scheduler was
    /// handed over.
    case longSchedule(LongSchedule)
    /// A process whose scheduler was handed over has come back from native code; it goes on where it was.
    case rejoined(Pid, after: Duration)
    /// A scheduler is stuck and there is no thread to hand it over to: its processes wait. Once.
    case noSpareThread(Int)
    /// The mailbox of a process was over its limit and messages were dropped, as its policy says. Once per process.
    case messagesDropped(ProcessName, MailboxPolicy, limit: Int)
}

/// A set of schedulers and the processes on them.
///
/// Any number may exist in one program; processes of different runtimes can send to each other.
// `schedulers` is written before the threads start; the rest is atomic or locked
public final class Runtime: @unchecked Sendable {
    public let configuration: RuntimeConfiguration
    private(set) var schedulers: [SchedulerRef] = []
    let threads: SchedulerThreads
    private(set) var watch: Watch?
    private let report: (@Sendable (RuntimeEvent) -> Void)?
    private let dirtyCPU: DirtyThreads
    private let dirtyIO: DirtyThreads

    private let idleMask = Atomic<UInt64>(0)
    /// Processes started from outside; the schedulers count their own.
    private let externalSpawnTotal = Atomic<UInt64>(0)
    private let trapTotal = Atomic<Int>(0)
    private let abandonedTotal = Atomic<Int>(0)
    private let leakedTotal = Atomic<Int>(0)
    private let hasReportedLeak = Atomic<Bool>(false)
    private let droppedTotal = Atomic<Int>(0)
    private let nextScheduler = Atomic<Int>(0)
    private let isRunning = Atomic<Bool>(true)

    /// Starts the schedulers' threads. `onEvent` hears what the runtime notices.
    public convenience init(
        _ configuration: RuntimeConfiguration = RuntimeConfiguration(),
        onEvent: (@Sendable (RuntimeEvent) -> Void)? = nil
    ) throws(RuntimeError) {
        try self.init(withoutThreads: configuration, onEvent: onEvent)
        let canHandOver = unsafe roost_claims_prepare { unsafe SchedulerRef.rejoin($0) } == 0
        let watch = Watch(self, canHandOver: canHandOver && configuration.spareThreadCountMax > 0)
        self.watch = watch
        for scheduler in schedulers { try threads.run(scheduler) }
        try watch.start()
        // The threads use the runtime until `stop`, also where its owner forgets it.
        _ = unsafe Unmanaged.passRetained(self)
    }

    /// Schedulers that nobody runs: a simulation does, step by step.
    init(
        withoutThreads configuration: RuntimeConfiguration, onEvent: (@Sendable (RuntimeEvent) -> Void)?
    ) throws(RuntimeError) {
        try configuration.validate()
        self.configuration = configuration
        report = onEvent
        dirtyCPU = DirtyThreads(
            .cpu,
            threadCountMax: configuration.dirtyCPUThreadCount == 0
                ? Runtime.coreCount() : configuration.dirtyCPUThreadCount)
        dirtyIO = DirtyThreads(.io, threadCountMax: configuration.dirtyIOThreadCount)
        _ = ProcessTable.reserve
        roost_install_trap_handlers()
        let count = configuration.schedulerCount == 0 ? Runtime.coreCount() : configuration.schedulerCount
        threads = SchedulerThreads(
            schedulerCount: count, spareCountMax: configuration.spareThreadCountMax,
            stackReserveByteCount: configuration.stackReserveByteCount)
        for index in 0..<count {
            let pointer = UnsafeMutablePointer<SchedulerState>.allocate(capacity: 1)
            unsafe pointer.initialize(to: try SchedulerState(index: index, runtime: self))
            schedulers.append(unsafe SchedulerRef(pointer))
        }
    }

    /// Cores that this program may run on (sched_getaffinity(2), as taskset and cgroups' cpusets set it).
    static func coreCount() -> Int {
        min(max(Int(roost_core_count()), 1), 64)
    }

    /// Stops the schedulers where they stand, without ending their processes, and frees what is theirs. Not from a
    /// process.
    ///
    /// Orderly shutdown is the business of supervisors: end the processes first. A dirty thread that runs a job is not
    /// waited for, as it may be stuck in native code: it ends when the job does.
    public func stop() {
        precondition(
            SchedulerRef.current == nil, "Runtime.stop was called on one of its schedulers; call it from another thread"
        )
        guard isRunning.exchange(false, ordering: .sequentiallyConsistent) else { return }
        // Before any thread ends: it looks at what is theirs.
        watch?.stop()
        for scheduler in schedulers { scheduler.post(.run { SchedulerRef.current?.state.isStopping = true }) }
        threads.stop()
        for pool in DirtyPool.allCases { dirtyThreads(pool).stop() }
        unsafe Unmanaged.passUnretained(self).release()
    }

    // MARK: Figures

    /// Processes that exist.
    public var processCount: Int {
        // Exits first: a process that starts or ends meanwhile is counted rather than missed.
        var exits: UInt64 = 0
        for scheduler in schedulers { exits &+= scheduler.state.statistics.exits.value }
        var spawns: UInt64 = 0
        for scheduler in schedulers { spawns &+= scheduler.state.statistics.spawns.value }
        return Int(spawns &+ externalSpawnTotal.load(ordering: .relaxed) &- exits)
    }
    /// Traps contained so far.
    public var trapCount: Int { trapTotal.load(ordering: .relaxed) }
    /// Processes whose frames were dropped because they would not end.
    public var abandonedCount: Int { abandonedTotal.load(ordering: .relaxed) }
    /// Bytes that trapped and abandoned processes held when their frames were dropped: at most so much is lost.
    public var leakedByteCount: Int { leakedTotal.load(ordering: .relaxed) }
    public var schedulerCount: Int { schedulers.count }
    /// Counters of each scheduler. Read while they are written: each counter is right, their sum may be of different
    /// moments.
    public var statistics: [SchedulerStatistics] { schedulers.map { $0.state.statistics.values } }

    /// Counters of the threads for `dirty(pool)`.
    public func dirtyStatistics(of pool: DirtyPool) -> DirtyPoolStatistics {
        roost_enter()
        defer { roost_leave() }
        return dirtyThreads(pool).currentStatistics
    }

    func dirtyThreads(_ pool: DirtyPool) -> DirtyThreads {
        switch pool {
        case .cpu: dirtyCPU
        case .io: dirtyIO
        }
    }

    /// From outside: the process is not a scheduler's own.
    func processStarted() { externalSpawnTotal.add(1, ordering: .relaxed) }

    /// Messages dropped because a mailbox was full: `MailboxPolicy`.
    public var droppedMessageCount: Int { droppedTotal.load(ordering: .relaxed) }
    func countDropped(_ count: Int) { droppedTotal.add(count, ordering: .relaxed) }

    func report(_ event: RuntimeEvent) { report?(event) }

    func countTrap(_ trap: Trap) {
        trapTotal.add(1, ordering: .relaxed)
        report(.trapped(trap))
        countLeak(trap.leakedByteCount)
    }

    func countAbandoned(leaked: Int) {
        abandonedTotal.add(1, ordering: .relaxed)
        report(.abandoned(leakedByteCount: leaked))
        countLeak(leaked)
    }

    private func countLeak(_ byteCount: Int) {
        let total = leakedTotal.add(byteCount, ordering: .relaxed).newValue
        guard total > configuration.leakedByteCountMax else { return }
        if !hasReportedLeak.exchange(true, ordering: .relaxed) { report(.leakLimitReached(byteCount: total)) }
    }

    // MARK: Balance

    func markIdle(_ index: Int, _ isIdle: Bool) {
        let bit: UInt64 = 1 << UInt64(index)
        if isIdle { idleMask.bitwiseOr(bit, ordering: .relaxed) } else { idleMask.bitwiseAnd(~bit, ordering: .relaxed) }
    }

    /// Whether all schedulers but `scheduler` sleep, for all it can know.
    func isIdle(but scheduler: SchedulerRef) -> Bool {
        let others = schedulers.count == 64 ? UInt64.max : 1 << UInt64(schedulers.count) - 1
        return idleMask.load(ordering: .relaxed) | 1 << UInt64(scheduler.state.index) == others
    }

    /// Processes that cannot move which `share` passes over: about as many as get a turn until it is asked again. A
    /// million that wait their turn would hold their scheduler up if all were looked at each time.
    private static let passedWhileSharingMax = 256

    /// Answers a sleeping scheduler's standing request for work: gives it up to half of the processes here that may
    /// move.
    ///
    /// Stealing is done by the victim, between turns, so run queues need no atomics. A sleeping scheduler asks by its
    /// bit in the mask. Model: `Proof/share.pml`.
    func share(from scheduler: SchedulerRef) {
        let idle = idleMask.load(ordering: .relaxed) & ~(1 << UInt64(scheduler.state.index))
        guard idle != 0 else { return }
        let thief = schedulers[idle.trailingZeroBitCount]
        let stays: ProcessFlags = Canary.sings(.sharesStacks) ? .isPinned : [.hasStack, .isPinned]
        let count = scheduler.state.runQueue.count
        // It takes a thread some time to wake: meanwhile its request would be answered again and again, and it would
        // be left with nearly everything. So the request is taken back, unless nothing here may move.
        markIdle(thief.state.index, false)
        scheduler.state.runQueue.take(atMost: count / 2, passing: Self.passedWhileSharingMax) { process in
            process.block.flags.isDisjoint(with: stays) && process.block.timer == .none
        } giving: { process in
            // Before it can arrive, so that nobody sees more arrive than were given.
            scheduler.state.statistics.migrations &+= 1
            thief.enqueueRemote(process)
        }
        if scheduler.state.runQueue.count == count { markIdle(thief.state.index, true) }
    }

    /// Where a process from outside starts: each scheduler in turn.
    package func pickScheduler() -> SchedulerRef {
        schedulers[Int(UInt(bitPattern: nextScheduler.add(1, ordering: .relaxed).newValue) % UInt(schedulers.count))]
    }
}
