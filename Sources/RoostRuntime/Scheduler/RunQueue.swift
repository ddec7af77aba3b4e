// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// How a process is chosen among the runnable ones of its scheduler. (Erlang: `process_flag(priority, Level)`.)
///
/// While a process of priority `max` can run, no other does; then those of priority `high`; then the rest, of which a
/// `low` one gets one turn where a `normal` one gets eight. So `max` and `high` starve the others if they use the
/// scheduler up: they are for short work. `max` is meant for the runtime's own use, as in Erlang.
public enum ProcessPriority: UInt8, Sendable, CaseIterable {
    case normal, low, high, max
}

/// The runnable processes of one scheduler, first in first out at each priority, linked through `runNext`.
///
/// As in the BEAM (erts, `erl_process.c`, `check_requeue_process`), low and normal processes share a list, and a low
/// one at its head goes to the end again until it has been passed over seven times: so its share is an eighth of what
/// each normal one gets, however many there are. Pure: it knows no scheduler, and touches of a process only `runNext`,
/// `passesLeft` and `priority`.
struct RunQueue: ~Copyable {
    /// Times that a low process is passed over before its turn comes. (erts: `RESCHEDULE_LOW` 8.)
    static let lowPassCount: UInt8 = 7

    /// After so many turns of others a process that used up its last turn has one.
    ///
    /// Processes that were woken go ahead of them: they mostly wait again soon, so those that compute lose little, and
    /// those that answer need not wait for everyone who computes. The BEAM has one list for both.
    static let wokenTurnsMax: UInt8 = 8

    private var normal = RunList()
    /// Processes of normal priority that used up their last turn; none while there are low ones, whose share is
    /// measured in the turns of the others in one list.
    private var spent = RunList()
    private var wokenTurnsLeft = Self.wokenTurnsMax
    private var high = RunList()
    private var max = RunList()
    /// Of all priorities.
    private(set) var count = 0
    private var lowCount = 0
    private var highCount = 0
    private var maxCount = 0
    /// Which lists hold something. Low processes are in the normal list: their bit says that it must be looked at who
    /// is at its head, and is only ever set together with the normal one.
    private var mask: UInt8 = 0

    private static let normalBit: UInt8 = 1 << ProcessPriority.normal.rawValue
    private static let lowBit: UInt8 = 1 << ProcessPriority.low.rawValue
    private static let highBit: UInt8 = 1 << ProcessPriority.high.rawValue
    private static let maxBit: UInt8 = 1 << ProcessPriority.max.rawValue
    private static let spentBit: UInt8 = 1 << 4

    var isEmpty: Bool { mask == 0 }

    /// Runnable processes of one priority.
    func count(of priority: ProcessPriority) -> Int {
        switch priority {
        case .low: lowCount
        case .normal: count - lowCount - highCount - maxCount
        case .high: highCount
        case .max: maxCount
        }
    }

    /// Adds `process`, which is in no run queue, behind the others of its priority.
    @inline(__always)
    mutating func enqueue(_ process: ProcessRef) {
        process.block.runNext = 0
        count &+= 1
        if process.block.priority == .normal {
            normal.append(process)
            mask |= Self.normalBit
        } else {
            enqueueSpecial(process)
        }
    }

    /// Adds `process`, which has used up its turn, behind those of its priority that were woken.
    mutating func enqueueSpent(_ process: ProcessRef) {
        guard process.block.priority == .normal, lowCount == 0 else { return enqueue(process) }
        process.block.runNext = 0
        count &+= 1
        spent.append(process)
        mask |= Self.spentBit
    }

    @inline(never)
    private mutating func enqueueSpecial(_ process: ProcessRef) {
        switch process.block.priority {
        case .normal: preconditionFailure("a process of normal priority takes the short way")
        case .low:
            process.block.passesLeft = Self.lowPassCount
            normal.append(all: &spent)
            normal.append(process)
            mask &= ~Self.spentBit
            mask |= Self.normalBit | Self.lowBit
            lowCount += 1
        case .high:
            high.append(process)
            mask |= Self.highBit
            highCount += 1
        case .max:
            max.append(process)
            mask |= Self.maxBit
            maxCount += 1
        }
    }

    /// Takes the process whose turn it is.
    @inline(__always)
    mutating func dequeue() -> ProcessRef? {
        if mask == Self.normalBit {
            count &-= 1
            let process = normal.pop()
            if normal.head == 0 {
                mask = 0
            } else {
                // Of many processes that take turns, the control block of the next is not at hand any more.
                unsafe roost_prefetch(ProcessRef(queued: normal.head).pointer, 3)
            }
            return process
        }
        return mask == 0 ? nil : dequeueSpecial()
    }

    @inline(never)
    private mutating func dequeueSpecial() -> ProcessRef {
        let process: ProcessRef
        if mask & Self.maxBit != 0 {
            process = max.pop()
        } else if mask & Self.highBit != 0 {
            process = high.pop()
        } else if mask & Self.spentBit != 0, normal.head == 0 || wokenTurnsLeft == 0 {
            wokenTurnsLeft = Self.wokenTurnsMax
            process = spent.pop()
        } else {
            if mask & Self.spentBit != 0 { wokenTurnsLeft -= 1 }
            passLowProcesses()
            process = normal.pop()
        }
        forget(1, process.block.priority)
        return process
    }

    /// Sends low processes at the head of the normal list to its end, each as often as it is to be passed over; unless
    /// there is nobody else.
    private mutating func passLowProcesses() {
        guard count(of: .normal) > 0 else { return }
        while true {
            let process = ProcessRef(queued: normal.head)
            guard process.block.priority == .low, process.block.passesLeft > 0 else { return }
            process.block.passesLeft -= 1
            _ = normal.pop()
            process.block.runNext = 0
            normal.append(process)
        }
    }

    /// All of them, for whoever checks: urgent ones first, each priority in its order. False from `body` ends it, and
    /// so does what is no process.
    func forEach(_ body: (ProcessRef) -> Bool) {
        for list in [max, high, normal, spent] {
            var word = list.head
            while word != 0, ProcessTable.isSlot(word) {
                let process = ProcessRef(queued: word)
                word = process.block.runNext
                guard body(process) else { return }
            }
        }
    }

    /// `number` processes have left their list.
    private mutating func forget(_ number: Int, _ priority: ProcessPriority) {
        count -= number
        switch priority {
        case .normal: break
        case .low: lowCount -= number
        case .high: highCount -= number
        case .max: maxCount -= number
        }
        mask =
            (normal.head != 0 ? Self.normalBit : 0) | (spent.head != 0 ? Self.spentBit : 0)
            | (lowCount > 0 ? Self.lowBit : 0)
            | (high.head != 0 ? Self.highBit : 0) | (max.head != 0 ? Self.maxBit : 0)
    }

    /// Takes out at most `countMax` processes that `isMovable` allows, urgent ones first, and gives them away. The
    /// others stay in their order. Of each list only the first `staying` that must stay are looked at.
    mutating func take(
        atMost countMax: Int, passing staying: Int = .max, where isMovable: (ProcessRef) -> Bool,
        giving: (ProcessRef) -> Void
    ) {
        let maxTaken = max.take(atMost: countMax, passing: staying, where: isMovable, giving: giving)
        forget(maxTaken, .max)
        let highTaken = high.take(atMost: countMax - maxTaken, passing: staying, where: isMovable, giving: giving)
        forget(highTaken, .high)
        var lowTaken = 0
        let left = countMax - maxTaken - highTaken
        let restTaken = normal.take(atMost: left, passing: staying, where: isMovable) { process in
            if process.block.priority == .low { lowTaken += 1 }
            giving(process)
        }
        forget(lowTaken, .low)
        forget(restTaken - lowTaken, .normal)
    }
}

/// Processes linked through `runNext`; addresses of control blocks, 0 for none.
private struct RunList {
    private(set) var head: UInt = 0
    private var tail: UInt = 0

    /// Adds `process`, whose `runNext` is 0.
    @inline(__always)
    mutating func append(_ process: ProcessRef) {
        let word = unsafe UInt(bitPattern: process.pointer)
        if tail == 0 { head = word } else { ProcessRef(queued: tail).block.runNext = word }
        tail = word
    }

    /// Moves all of another list to the end of this one.
    mutating func append(all other: inout RunList) {
        guard other.head != 0 else { return }
        if tail == 0 { head = other.head } else { ProcessRef(queued: tail).block.runNext = other.head }
        tail = other.tail
        other = RunList()
    }

    /// The first process. The list is not empty.
    @inline(__always)
    mutating func pop() -> ProcessRef {
        let process = ProcessRef(queued: head)
        head = process.block.runNext
        if head == 0 { tail = 0 }
        return process
    }

    /// Gives away at most `countMax` processes that `isMovable` allows, and returns how many. Gives up after `staying`
    /// that it does not allow.
    mutating func take(
        atMost countMax: Int, passing staying: Int, where isMovable: (ProcessRef) -> Bool, giving: (ProcessRef) -> Void
    ) -> Int {
        var taken = 0
        var left = staying
        var last: ProcessRef?  // of those that stay
        var word = head
        while word != 0, taken < countMax, left > 0 {
            let process = ProcessRef(queued: word)
            word = process.block.runNext
            guard isMovable(process) else {
                last = process
                left -= 1
                continue
            }
            if let last { last.block.runNext = word } else { head = word }
            if word == 0 { tail = last.map { unsafe UInt(bitPattern: $0.pointer) } ?? 0 }
            taken += 1
            giving(process)
        }
        return taken
    }
}

extension ProcessRef {
    /// The process of a word of a run queue.
    @inline(__always)
    init(queued word: UInt) {
        // Safe: run queues hold addresses of process slots only.
        unsafe self.init(UnsafeMutablePointer(bitPattern: word)!)
    }
}
