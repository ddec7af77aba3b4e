// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

/// What a process is doing, for the inspection and for assertions; only its scheduler writes it.
package enum ProcessStatus: UInt8, Sendable {
    case free, runnable, running, waiting, exiting
}

/// What a process waits in, for the inspection.
package enum WaitKind: UInt8, Sendable {
    /// For whatever comes, without a stack: a connection.
    case events
    case receive, sleep, call
    /// For work on a dirty scheduler, or in a Swift task.
    case dirty, task
    /// For a message, with nothing left of its stack.
    case hibernation
}

/// The code behind a kind of process. One value per kind, for the program's life; each takes `ProcessRef.raw`.
///
/// C functions, so that a call neither retains nor releases anything.
@safe package struct ProcessOperations: Sendable {
    package typealias Operation = @convention(c) (UnsafeMutableRawPointer?) -> Void

    /// Runs the process from the top of its stack, preemption disabled. When it returns, the process waits without a
    /// stack, or ends if it asked to (`ProcessRef.finish`).
    let run: Operation
    /// The process has stopped in the middle of `run`, parked or preempted: what it borrowed from the scheduler must be
    /// kept for it or given back. Scheduler context.
    let didStop: Operation
    /// A process that stopped in the middle of `run` has been woken and is about to go on: what came for it meanwhile
    /// is looked after without its frames. Scheduler context. nil: nothing to look after.
    let willResume: Operation?
    /// The frames of `run` are gone, because of a trap or because it would not end. What must outlive the process is
    /// put right. Scheduler context.
    let didAbandon: Operation
    /// The process has ended, for `ProcessRef.exitReason`; its slot is about to be freed. Scheduler context.
    let didEnd: Operation

    package init(
        run: @escaping Operation, didStop: @escaping Operation, willResume: Operation? = nil,
        didAbandon: @escaping Operation, didEnd: @escaping Operation
    ) {
        unsafe self.run = unsafe run
        unsafe self.didStop = unsafe didStop
        unsafe self.willResume = unsafe willResume
        unsafe self.didAbandon = unsafe didAbandon
        unsafe self.didEnd = unsafe didEnd
    }
}

/// Flags of a process that its scheduler keeps in one word.
package struct ProcessFlags: OptionSet, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// It has frames, on its lane or as an image in `stackCopy`; it can go on only on the scheduler that parked it.
    static let hasStack = Self(rawValue: 1 << 0)
    /// It stopped at a reduction point: it goes on with preemption enabled.
    static let wasPreempted = Self(rawValue: 1 << 1)
    /// It asked to end; `exitReason` says why.
    static let isFinished = Self(rawValue: 1 << 2)
    /// It has been told to end and meets `ProcessExit` at its next waiting call.
    static let isExiting = Self(rawValue: 1 << 3)
    static let trapsExits = Self(rawValue: 1 << 4)
    /// Its frames are gone; what is left is to destroy its messages.
    static let isCleaningUp = Self(rawValue: 1 << 5)
    /// It never leaves its scheduler, with or without a stack.
    static let isPinned = Self(rawValue: 1 << 6)
    /// The waiting call it is in has timed out.
    static let hasTimedOut = Self(rawValue: 1 << 7)
    /// It looks through its mailbox with a closure of handler code, which must not receive.
    static let isMatching = Self(rawValue: 1 << 8)
    /// It has no stack, `entry` is what it goes on with, and it waits for a message.
    static let isHibernating = Self(rawValue: 1 << 14)
    /// Its tracer is told what it does.
    static let isTraced = Self(rawValue: 1 << 13)
    /// It has names or is in groups: `TieOwners` knows which.
    static let hasTies = Self(rawValue: 1 << 15)
}

/// Reasons to look at a process that need no message. Hints: a process must cope with one that is stale.
package struct WakeFlags: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let readable = Self(rawValue: 1 << 0)
    package static let writable = Self(rawValue: 1 << 1)
    package static let hangup = Self(rawValue: 1 << 2)
    package static let timer = Self(rawValue: 1 << 3)
    /// Someone outside wants it to look at what they share.
    package static let poke = Self(rawValue: 1 << 4)

    // Other modules would come to these by way of the protocol's witness tables, several times a turn.
    @inline(__always)
    package func contains(_ other: Self) -> Bool { rawValue & other.rawValue == other.rawValue }
    @inline(__always)
    package func isDisjoint(with other: Self) -> Bool { rawValue & other.rawValue == 0 }
}

/// Everything the runtime knows of one process. Lives in a slot of `ProcessTable`; slots are never unmapped.
///
/// | Field | Written by | Ordered by |
/// |---|---|---|
/// | `account` | any thread, atomically | relaxed counters; generation release/acquire |
/// | `inbox` | senders push, the owner takes | compare-exchange, see `Mailbox` |
/// | `wakeFlags` | any thread sets, the owner takes | sequentially consistent with `inbox`, see `Mailbox` |
/// | `published…` | the scheduler that runs it; read by anyone | relaxed: each value is a recent one, by itself |
/// | `runNext` | whoever has the right to run it | the run queue it is in |
/// | the rest | the scheduler that runs it | handed on through a run queue |
@safe package struct ProcessControlBlock: ~Copyable {
    /// First, so that C finds it at the start of the slot.
    var account: roost_account
    let inbox: Atomic<UInt>
    let wakeFlags: Atomic<UInt32>
    var flags: ProcessFlags
    let publishedStatus: Atomic<UInt8>
    /// Never changes while it is in a run queue.
    var priority: ProcessPriority
    let publishedHome: Atomic<UInt>
    var runNext: UInt
    // Messages taken from the inbox, oldest first.
    var queueHead: UnsafeMutablePointer<NodeHeader>?
    var queueTail: UnsafeMutablePointer<NodeHeader>?
    let publishedQueueCount: Atomic<UInt32>
    /// More messages than this: `mailboxPolicy`.
    var mailboxLimit: UInt32
    var timer: TimerReference
    var operations: UnsafePointer<ProcessOperations>
    /// The code of a straight-line process until it starts.
    var entry: ((borrowing ProcessContext<Never>) throws -> Void)?
    /// What the process is about, for its operations: a connection. Of a straight-line process, the word of `parent`.
    package var object: UnsafeMutableRawPointer?
    /// The frames of a stopped process, where they are not on its lane; in sanitizer builds its stack.
    var stackCopy: UnsafeMutableRawPointer?
    var stackPointer: UnsafeMutableRawPointer?
    /// `stackByteCount`, and above its 27 bits `lane`.
    var stackWord: UInt32
    var stackCapacity: UInt32
    let publishedAllocatedByteCount: Atomic<Int>
    let publishedHeldByteCount: Atomic<Int>
    var heapLimit: Int
    let publishedReductions: Atomic<UInt64>
    var extras: ProcessExtras?
    /// Turns since it was told to end without reaching a waiting call.
    var turnsSinceExit: UInt8
    /// How often a run queue still passes it over, at low priority.
    var passesLeft: UInt8
    /// What it waits in while `status` is `waiting`.
    package var waitKind: WaitKind
    /// When it was started, in steps of 2^20 ns: the upper 8 of 40 bits, and the others.
    var startStepHigh: UInt8
    var startStepLow: UInt32
}

extension ProcessControlBlock {
    var status: ProcessStatus {
        // Safe: only the setter stores here, and initialisation.
        @inline(__always) get { unsafe unsafeBitCast(publishedStatus.load(ordering: .relaxed), to: ProcessStatus.self) }
        @inline(__always) nonmutating set { publishedStatus.store(newValue.rawValue, ordering: .relaxed) }
    }

    /// The scheduler that runs it, and whose poller and timers know it.
    var home: UnsafeMutablePointer<SchedulerState>? {
        @inline(__always) get { unsafe UnsafeMutablePointer(bitPattern: publishedHome.load(ordering: .relaxed)) }
        @inline(__always) nonmutating set {
            publishedHome.store(UInt(bitPattern: newValue), ordering: .relaxed)
        }
    }

    /// Messages taken from the inbox and not received.
    var queueCount: UInt32 {
        @inline(__always) get { publishedQueueCount.load(ordering: .relaxed) }
        @inline(__always) nonmutating set { publishedQueueCount.store(newValue, ordering: .relaxed) }
    }

    /// Bytes of its own Swift code, as malloc's account has them at the end of its last turn.
    var allocatedByteCount: Int {
        @inline(__always) get { publishedAllocatedByteCount.load(ordering: .relaxed) }
        @inline(__always) nonmutating set { publishedAllocatedByteCount.store(newValue, ordering: .relaxed) }
    }

    /// Bytes the runtime holds for it.
    var heldByteCount: Int {
        @inline(__always) get { publishedHeldByteCount.load(ordering: .relaxed) }
        @inline(__always) nonmutating set { publishedHeldByteCount.store(newValue, ordering: .relaxed) }
    }

    var reductions: UInt64 {
        @inline(__always) get { publishedReductions.load(ordering: .relaxed) }
        @inline(__always) nonmutating set { publishedReductions.store(newValue, ordering: .relaxed) }
    }

    /// Of its stack, in use while it is stopped: less than 2^27.
    var stackByteCount: Int {
        @inline(__always) get { Int(stackWord & (1 << 27 - 1)) }
        @inline(__always) set { stackWord = stackWord & ~(1 << 27 - 1) | UInt32(truncatingIfNeeded: newValue) }
    }

    /// The one of its scheduler's lanes that its frames belong to, 0...31.
    var lane: UInt8 {
        @inline(__always) get { UInt8(truncatingIfNeeded: stackWord &>> 27) }
        @inline(__always) set { stackWord = UInt32(newValue) &<< 27 }
    }

    /// Who started a straight-line process; nil where that was no process.
    var parent: Pid? {
        let word = unsafe UInt64(UInt(bitPattern: object))
        return unsafe word == 0 || operations != StraightLine.operations ? nil : Pid(word: word)
    }

    /// When the process was started, to a millisecond.
    var startTime: MonotonicTime {
        get { MonotonicTime(nanoseconds: (UInt64(startStepHigh) << 32 | UInt64(startStepLow)) << 20) }
        @inline(__always) set {
            startStepLow = UInt32(truncatingIfNeeded: newValue.nanoseconds &>> 20)
            startStepHigh = UInt8(truncatingIfNeeded: newValue.nanoseconds &>> 52)
        }
    }
}

/// A process, by the address of its control block.
///
/// Safe to copy and to keep: slots are type-stable. What may be done with it is up to the caller: the fields marked so
/// in the table above belong to the scheduler that runs the process.
// shared fields are atomics; the rest is its scheduler's
@safe package struct ProcessRef: Equatable, @unchecked Sendable {
    let pointer: UnsafeMutablePointer<ProcessControlBlock>

    @inline(__always)
    init(_ pointer: UnsafeMutablePointer<ProcessControlBlock>) { unsafe self.pointer = unsafe pointer }

    package static func == (a: ProcessRef, b: ProcessRef) -> Bool { unsafe a.pointer == b.pointer }

    /// As the operations of its kind get it.
    @inline(__always)
    package init(raw: UnsafeMutableRawPointer?) {
        // Safe: only `raw` of a ProcessRef is ever passed to an operation.
        unsafe pointer = unsafe raw.unsafelyUnwrapped.assumingMemoryBound(to: ProcessControlBlock.self)
    }

    package var raw: UnsafeMutableRawPointer { @inline(__always) get { unsafe UnsafeMutableRawPointer(pointer) } }

    /// Why the process was told to end, or ended; `.normal` while neither.
    package var exitReason: ExitReason { block.extras?.exitReason ?? .normal }

    package var block: ProcessControlBlock {
        // Safe: slots are never unmapped, and are initialised before a ProcessRef to them exists.
        @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer) }
        @inline(__always) nonmutating unsafeMutableAddress { unsafe pointer }
    }

    package var pid: Pid {
        @inline(__always) get { Pid(index: index, generation: generation) }
    }

    /// Its place in the process table.
    var index: UInt32 {
        // Safe: the account is the first field.
        @inline(__always) get {
            unsafe roost_account_index(UnsafeRawPointer(pointer).assumingMemoryBound(to: roost_account.self))
        }
    }

    var generation: UInt32 {
        // Safe: the account is the first field. By address, for `&block.account` would say that this thread alone uses
        // it.
        @inline(__always) get {
            unsafe roost_account_generation(UnsafeRawPointer(pointer).assumingMemoryBound(to: roost_account.self))
        }
    }

    // Safe: a live process has a home, and schedulers outlive their processes.
    package var home: SchedulerRef { @inline(__always) get { unsafe SchedulerRef(block.home!) } }

    var extras: ProcessExtras {
        if let extras = block.extras { return extras }
        let extras = ProcessExtras.make()
        block.extras = extras
        charge(byteCount: ProcessExtras.byteCount)
        return extras
    }

    /// Asks to end with `reason` when `run` returns. The first reason stands.
    package func finish(_ reason: ExitReason) {
        guard !block.flags.contains(.isFinished) else { return }
        block.flags.insert(.isFinished)
        if case .normal = reason { return }
        extras.exitReason = reason
    }

    /// Books `byteCount` bytes that the runtime holds for the process; negative when they are freed.
    @inline(__always)
    package func charge(byteCount: Int) { block.heldByteCount &+= byteCount }

    /// All that is held for the process: control block, runtime's blocks, its own allocations.
    package var heapByteCount: Int { bookedByteCount + laneByteCount }

    /// The same without what its frames occupy of their lane. Any thread.
    var bookedByteCount: Int {
        MemoryLayout<ProcessControlBlock>.stride + block.heldByteCount + max(0, block.allocatedByteCount)
    }

    /// What a stopped process occupies of its lane, beyond what it holds for an image of that.
    private var laneByteCount: Int {
        block.flags.contains(.hasStack) ? max(0, block.stackByteCount - Int(block.stackCapacity)) : 0
    }
}
