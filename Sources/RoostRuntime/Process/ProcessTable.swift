// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
internal import Synchronization

/// All process slots of the program, in one reserved range of addresses.
///
/// A slot, once made, stays readable for ever and always holds a `ProcessControlBlock`: whoever has a stale pid reads a
/// generation that differs, never freed memory. The range is reserved without access and opened chunk by chunk.
@safe enum ProcessTable {
    /// Processes that can exist at once; the reserved addresses cost nothing until used. Erlang's default is 2^20, its
    /// limit 2^27.
    static let capacity = 1 << 24
    /// Slots that are opened together.
    static let chunkCount = 1024
    static let stride = MemoryLayout<ProcessControlBlock>.stride

    /// The start of the range; set by `reserve`, never changed.
    private static var base: UnsafeMutablePointer<ProcessControlBlock> {
        @inline(__always) get {
            unsafe roost_accounts_base()!.assumingMemoryBound(to: ProcessControlBlock.self)
        }
    }

    /// Reserves the addresses, once for the program, before the first process.
    static let reserve: Void = {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        let map = unsafe mmap(nil, capacity * stride, PROT_NONE, flags, -1, 0)
        guard unsafe map != MAP_FAILED, let map = unsafe map else {
            fatalError(
                "cannot reserve \(capacity * stride) bytes of addresses for processes: errno \(errno); raise RLIMIT_AS")
        }
        unsafe map.bindMemory(to: ProcessControlBlock.self, capacity: capacity)
        unsafe roost_accounts_set(map, stride)
    }()

    private struct Free: ~Copyable {
        /// Slots that were used before, as a list through `runNext`, in batches.
        var batches: [(head: UInt, count: Int)] = []
        var opened = 0
    }
    private static let free = Mutex(Free())
    private static let openedCount = Atomic<Int>(0)

    /// The slot of `index`, which must have been opened: any index of a pid has.
    @inline(__always)
    static func slot(_ index: UInt32) -> ProcessRef {
        // Safe: only indices below `openedCount` are ever in a pid, and opened slots stay initialised.
        unsafe ProcessRef(base + Int(index))
    }

    /// The process of `pid` while it lives.
    @inline(__always)
    static func find(_ pid: Pid) -> ProcessRef? {
        guard Int(pid.index) < openedCount.load(ordering: .acquiring) else { return nil }
        let process = slot(pid.index)
        return process.generation == pid.generation ? process : nil
    }

    static var slotCount: Int { openedCount.load(ordering: .acquiring) }

    /// A list of free slots linked through `runNext`.
    static func takeBatch() -> (head: UInt, count: Int) {
        free.withLock { free in
            if let batch = free.batches.popLast() { return batch }
            let start = free.opened
            guard start + chunkCount <= capacity else {
                fatalError("more than \(capacity) processes at once")
            }
            let pages = unsafe UnsafeMutableRawPointer(base + start)
            guard unsafe mprotect(pages, chunkCount * stride, PROT_READ | PROT_WRITE) == 0 else {
                fatalError("out of memory: cannot open \(chunkCount) process slots, errno \(errno)")
            }
            for index in start..<start + chunkCount {
                let account = roost_account(freed_by_others: 0, generation: 0, index: UInt32(index))
                unsafe (base + index).initialize(to: ProcessControlBlock(unused: account))
                slot(UInt32(index)).block.runNext = index + 1 < start + chunkCount ? UInt(index + 2) : 0
            }
            free.opened = start + chunkCount
            openedCount.store(free.opened, ordering: .releasing)
            return (head: UInt(start + 1), count: chunkCount)
        }
    }

    static func putBatch(head: UInt, count: Int) {
        free.withLock { $0.batches.append((head: head, count: count)) }
    }
}

extension ProcessControlBlock {
    fileprivate init(unused account: roost_account) {
        self.account = account
        inbox = Atomic(Mailbox.closed)
        wakeFlags = Atomic(0)
        flags = []
        publishedHome = Atomic(0)
        runNext = 0
        unsafe queueHead = nil
        unsafe queueTail = nil
        publishedQueueCount = Atomic(0)
        mailboxLimit = .max
        publishedStatus = Atomic(ProcessStatus.free.rawValue)
        priority = .normal
        timer = .none
        unsafe operations = StraightLine.operations
        entry = nil
        unsafe object = nil
        unsafe stackCopy = nil
        unsafe stackPointer = nil
        stackByteCount = 0
        stackCapacity = 0
        publishedAllocatedByteCount = Atomic(0)
        publishedHeldByteCount = Atomic(0)
        heapLimit = .max
        publishedReductions = Atomic(0)
        extras = nil
        turnsSinceExit = 0
        passesLeft = 0
        waitKind = .events
        startStepHigh = 0
        startStepLow = 0
    }
}

/// Free slots of one scheduler; batches move through `ProcessTable`.
struct SlotCache: ~Copyable {
    /// Index + 1 of the first free slot, 0 for none.
    private var head: UInt = 0
    private var count = 0

    mutating func take() -> ProcessRef {
        if head == 0 { (head, count) = ProcessTable.takeBatch() }
        let process = ProcessTable.slot(UInt32(head - 1))
        head = process.block.runNext
        count -= 1
        return process
    }

    mutating func put(_ process: ProcessRef) {
        process.block.runNext = head
        head = UInt(process.block.account.index) + 1
        count += 1
        if count >= 2 * ProcessTable.chunkCount { shed() }
    }

    private mutating func shed() {
        let first = head
        var last = ProcessTable.slot(UInt32(head - 1))
        for _ in 1..<ProcessTable.chunkCount { last = ProcessTable.slot(UInt32(last.block.runNext - 1)) }
        head = last.block.runNext
        last.block.runNext = 0
        count -= ProcessTable.chunkCount
        ProcessTable.putBatch(head: first, count: ProcessTable.chunkCount)
    }

    /// Gives everything back, at the end of the scheduler.
    mutating func drain() {
        if count > 0 { ProcessTable.putBatch(head: head, count: count) }
        head = 0
        count = 0
    }
}
