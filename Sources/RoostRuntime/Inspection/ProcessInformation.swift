// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

/// What is known of one process at one moment. (Erlang: `process_info/1`.)
public struct ProcessInformation: Sendable {
    /// What a process is doing.
    public enum Status: Sendable, Hashable {
        /// It can run and waits for its turn; with a backtrace where it was preempted in the middle of its code.
        case runnable
        /// It runs: it was looked at in a call of the runtime, or did not answer.
        case running
        case waiting(in: Wait)
        /// Its code is over; its messages are being destroyed.
        case exiting
    }

    /// What a process waits in.
    public enum Wait: String, Sendable {
        /// For whatever comes, without a stack: a connection.
        case events
        case receive, sleep, call
        /// For work on a dirty scheduler.
        case dirty
        /// For a Swift task.
        case task
        /// For a message, with nothing left of its stack.
        case hibernation
    }

    public let pid: Pid
    public var status: Status
    /// Whether the process answered in time. If not, it runs native code or its scheduler has too much to do: then only
    /// `pid`, `status`, `messageCount`, the heap's figures, `reductions` and `schedulerIndex` are known, as of the end
    /// of its last turn.
    public internal(set) var hasAnswered = true
    public internal(set) var label: String?
    public internal(set) var backtrace = Backtrace()
    /// Messages in its mailbox.
    public var messageCount: Int
    /// How long the oldest of them has been there, to 17 ms; from 39 hours on it is not to be relied on. nil where
    /// there is none.
    public internal(set) var oldestMessageAge: Duration?
    /// Bytes: all that is held for it; what its own Swift code has allocated; the copy of its stack.
    public var heapByteCount: Int
    public var allocatedByteCount: Int
    public internal(set) var stackByteCount = 0
    /// Its limits; nil: none.
    public internal(set) var heapByteCountMax: Int?
    public internal(set) var mailboxCountMax: Int?
    public var reductions: UInt64
    public internal(set) var links: [Pid] = []
    /// The processes that it monitors, one for each monitor.
    public internal(set) var monitors: [Pid] = []
    /// The processes that monitor it, one for each monitor.
    public internal(set) var monitoredBy: [Pid] = []
    /// Who else waits for its end: `whenEnded`, `exitReason(of:)`.
    public internal(set) var otherObserverCount = 0
    /// Since it was started, to a millisecond.
    public internal(set) var age = Duration.zero
    /// Who started it: its supervisor, where it has one. nil where no process did, and for connections.
    public internal(set) var parent: Pid?
    public internal(set) var priority = ProcessPriority.normal
    public internal(set) var trapsExits = false
    /// Whether it stays on its scheduler even where it has no stack.
    public internal(set) var isPinned = false
    public internal(set) var isTraced = false
    /// Why it has been told to end; nil where it has not been.
    public internal(set) var pendingExit: ExitReason?
    public var schedulerIndex: Int

    /// It has not come to a point at which it could answer: native code that takes long.
    public var isStuck: Bool { !hasAnswered && status == .running }

    /// The innermost function of its own code. Looks names up, as `Backtrace.functions` does.
    public var currentFunction: String? { backtrace.currentFunction }
}

extension ProcessInformation {
    /// As its scheduler sees it: all of it. On that scheduler's thread.
    init(of process: ProcessRef) {
        let isRunning = SchedulerRef.currentProcess == process
        self.init(published: process, process.pid)
        let block = process.block.flags
        status = Self.status(of: process, isRunning: isRunning)
        backtrace = .taken(of: process)
        if isRunning {
            allocatedByteCount = unsafe max(0, Int(roost_thread_current().pointee.live))
            heapByteCount = process.heapByteCount - max(0, process.block.allocatedByteCount) + allocatedByteCount
        }
        label = process.block.extras?.label
        let now = MonotonicTime.now()
        oldestMessageAge = unsafe process.block.queueHead.map { unsafe $0.pointee.age(at: now) }
        stackByteCount = process.block.flags.contains(.hasStack) ? process.block.stackByteCount : 0
        heapByteCountMax = process.block.heapLimit == .max ? nil : process.block.heapLimit
        mailboxCountMax = process.block.mailboxLimit == .max ? nil : Int(process.block.mailboxLimit)
        age = now - process.block.startTime
        parent = process.block.parent
        priority = process.block.priority
        trapsExits = block.contains(.trapsExits)
        isPinned = block.contains(.isPinned)
        isTraced = block.contains(.isTraced)
        pendingExit = block.contains(.isExiting) ? process.exitReason : nil
        if let extras = process.block.extras { add(extras) }
    }

    private mutating func add(_ extras: ProcessExtras) {
        extras.links.forEach { pid, _ in links.append(pid) }
        extras.monitors.forEach { _, pid in monitors.append(pid) }
        extras.observers.forEach { _, observer in
            switch observer {
            case .process(let pid): monitoredBy.append(pid)
            case .callback: otherObserverCount += 1
            }
        }
    }

    private static func status(of process: ProcessRef, isRunning: Bool) -> Status {
        if isRunning { return .running }
        if !process.block.flags.isDisjoint(with: [.isFinished, .isCleaningUp]) { return .exiting }
        if process.block.flags.contains(.isHibernating) { return .waiting(in: .hibernation) }
        if process.block.flags.contains(.wasPreempted) || process.block.entry != nil { return .runnable }
        return .waiting(in: Wait(process.block.waitKind))
    }

    /// As any thread sees it: what the process publishes.
    init(published process: ProcessRef, _ pid: Pid) {
        self.pid = pid
        let block = PublishedBlock(process)
        status =
            switch block.status {
            case .free, .exiting: .exiting
            case .runnable: .runnable
            case .running: .running
            case .waiting: .waiting(in: .events)
            }
        messageCount = block.messageCount
        allocatedByteCount = block.allocatedByteCount
        heapByteCount = block.heapByteCount
        reductions = block.reductions
        schedulerIndex = process.home.index
    }

    /// What can be told of a process that does not answer; nil when it has ended.
    static func unanswered(_ pid: Pid) -> ProcessInformation? {
        guard let process = ProcessTable.find(pid), PublishedBlock(process).status != .free else { return nil }
        var information = ProcessInformation(published: process, pid)
        information.hasAnswered = false
        return information
    }
}

extension ProcessInformation.Wait {
    init(_ kind: WaitKind) {
        self =
            switch kind {
            case .events: .events
            case .receive: .receive
            case .sleep: .sleep
            case .call: .call
            case .dirty: .dirty
            case .task: .task
            case .hibernation: .hibernation
            }
    }
}

/// The fields of a control block that any thread may read, each by itself.
struct PublishedBlock {
    private let process: ProcessRef

    @inline(__always)
    init(_ process: ProcessRef) { self.process = process }

    var status: ProcessStatus { @inline(__always) get { process.block.status } }
    var homeWord: UInt { @inline(__always) get { process.block.publishedHome.load(ordering: .relaxed) } }
    var messageCount: Int { @inline(__always) get { Int(process.block.queueCount) } }
    var reductions: UInt64 { @inline(__always) get { process.block.reductions } }
    var allocatedByteCount: Int { @inline(__always) get { max(0, process.block.allocatedByteCount) } }
    var heapByteCount: Int { @inline(__always) get { process.bookedByteCount } }
}
