// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
internal import Synchronization

/// All process slots of the program, in one reserved range of addresses.
///
/// A slot stays readable for ever: whoever has a stale pid reads a generation that differs, never memory of something
/// else. The range is reserved without access and opened span by span.
///
/// **T1.** A slot of zeros is a free one: no pid has generation 0, a mailbox of 0 is closed. So the pages of a span
/// without processes go back to the kernel while stale pids may still look at them. A slot that is taken again begins
/// with a generation that no pid of its span has had: `Span.generation`. Test: `MemoryReturnTests.stalePids`.
@safe enum ProcessTable {
    /// Processes that can exist at once; the reserved addresses cost nothing until used. Erlang's default is 2^20, its
    /// limit 2^27.
    static let capacity = 1 << ROOST_INDEX_BITS
    /// Slots that move between schedulers at once.
    static let batchCount = 1024
    static let stride = MemoryLayout<ProcessControlBlock>.stride
    /// Slots that are opened, and whose memory is given back, together: the fewest, but at least 512, that fill whole
    /// pages.
    static let spanCount = {
        var count = 512
        while count * stride % Int(getpagesize()) != 0 { count *= 2 }
        return count
    }()
    static let spanByteCount = spanCount * stride

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

    private static let slots = Mutex(FreeSlots())
    private static let openedCount = Atomic<Int>(0)

    /// The slot of `index`, which must have been opened: any index of a pid has.
    @inline(__always)
    static func slot(_ index: UInt32) -> ProcessRef {
        // Safe: only indices below `openedCount` are ever in a pid, and opened slots stay readable, as T1 says.
        unsafe ProcessRef(base + Int(index))
    }

    /// The process of `pid` while it lives.
    @inline(__always)
    static func find(_ pid: Pid) -> ProcessRef? {
        guard Int(pid.index) < openedCount.load(ordering: .acquiring) else { return nil }
        let process = slot(pid.index)
        return process.generation == pid.generation ? process : nil
    }

    /// Whether `word` is the address of a slot that has been opened.
    static func isSlot(_ word: UInt) -> Bool {
        let offset = unsafe Int(bitPattern: word &- UInt(bitPattern: base))
        return offset >= 0 && offset < slotCount * stride && offset % stride == 0
    }

    static var slotCount: Int { openedCount.load(ordering: .acquiring) }

    // MARK: Free slots

    /// A list of free slots linked through `runNext`.
    static func takeBatch() -> (head: UInt, count: Int) {
        locked { slots in
            let batch = slots.take()
            slots.lentCount += batch.count
            return batch
        }
    }

    /// Gives back a list of free slots that takeBatch, or several calls of it, gave.
    static func putBatch(head: UInt, count: Int) {
        locked { slots in
            slots.lentCount -= count
            slots.put(head, count)
        }
    }

    /// Slots of processes that live, and free ones in some thread's cache.
    static var lentCount: Int { locked { $0.lentCount } }

    private static func locked<Result>(_ body: (inout FreeSlots) -> Result) -> Result {
        slots.withLock { slots in
            unsafe roost_taken_over(base)
            defer { unsafe roost_handed_over(base) }
            return body(&slots)
        }
    }

    /// Gives access to the next `spanCount` slots, which are all zeros. The lock of `slots` is held.
    fileprivate static func openSpan() {
        let start = openedCount.load(ordering: .relaxed)
        guard start + spanCount <= capacity else { fatalError("more than \(capacity) processes at once") }
        let pages = unsafe UnsafeMutableRawPointer(base + start)
        guard unsafe mprotect(pages, spanByteCount, PROT_READ | PROT_WRITE) == 0 else {
            fatalError("out of memory: cannot open \(spanCount) process slots, errno \(errno)")
        }
        openedCount.store(start + spanCount, ordering: .releasing)
    }

    /// Writes what is not zero in a slot of zeros. `next` is the index + 1 of the slot after it in a list.
    fileprivate static func makeSlot(_ index: Int, generation: UInt32, next: UInt) {
        // Safe: the slot is free, and nothing but its account is looked at by others.
        unsafe withUnsafeMutablePointer(to: &(base + index).pointee.account) {
            unsafe roost_account_set_index($0, UInt32(index), 0)
            unsafe roost_account_set_generation($0, generation)
        }
        unsafe (base + index).pointee.runNext = next
    }

    /// Gives the pages of a span of free slots to the kernel. (madvise(2))
    fileprivate static func releasePages(ofSpan span: Int) {
        // Safe: T1.
        unsafe _ = madvise(UnsafeMutableRawPointer(base + span * spanCount), spanByteCount, MADV_DONTNEED)
    }

    // MARK: Memory given back

    /// Begins a round of giving back: see `Surplus`.
    static func beginRelease(everything: Bool) {
        locked { $0.surplus.begin($0.empty.count, everything: everything) }
    }

    /// One slice of work, some tens of microseconds; see `SharedBlockPool.releaseSlice`.
    static func releaseSlice(sortsBatches: Bool) -> Bool {
        locked { $0.releaseSlice(sortsBatches: sortsBatches) }
    }

    /// Bytes of opened slots, and of those that have no pages.
    static var figures: (opened: Int, released: Int) {
        locked { (slotCount * stride, $0.released.count * spanByteCount) }
    }
}

/// The free slots that no scheduler has: batches as they came, and past `batchesMax` sorted by span.
private struct FreeSlots: ~Copyable {
    /// `spanCount` slots in a row.
    struct Span {
        /// Its free slots here, as a list through `runNext`.
        var head: UInt = 0
        var freeCount = 0
        /// No pid of a slot of this span has had this generation or a later one; of use while it has no pages.
        var generation: UInt32 = 1
        /// Where it is in `partial` or `empty`, while it is in one.
        var position = -1
    }

    static let batchesMax = 8

    private var batches: [(head: UInt, count: Int)] = []
    private var spans: [Span] = []
    /// Spans with some free slots, with free slots only, and those without pages.
    private var partial: [Int] = []
    private(set) var empty: [Int] = []
    private(set) var released: [Int] = []
    var surplus = Surplus()
    var lentCount = 0

    mutating func take() -> (head: UInt, count: Int) {
        if let batch = batches.popLast() { return batch }
        if let span = partial.popLast() ?? takeEmpty() {
            let batch = (head: spans[span].head, count: spans[span].freeCount)
            spans[span].head = 0
            spans[span].freeCount = 0
            spans[span].position = -1
            return batch
        }
        if let span = released.popLast() { return fill(span) }
        ProcessTable.openSpan()
        spans.append(Span())
        return fill(spans.count - 1)
    }

    private mutating func takeEmpty() -> Int? {
        guard let span = empty.popLast() else { return nil }
        surplus.note(empty.count)
        return span
    }

    /// Makes the slots of a span of zeros.
    private func fill(_ span: Int) -> (head: UInt, count: Int) {
        let (first, count) = (span * ProcessTable.spanCount, ProcessTable.spanCount)
        for index in first..<first + count {
            let next = index + 1 < first + count ? UInt(index + 2) : 0
            ProcessTable.makeSlot(index, generation: spans[span].generation, next: next)
        }
        return (head: UInt(first + 1), count: count)
    }

    mutating func put(_ head: UInt, _ count: Int) {
        if batches.count < Self.batchesMax { batches.append((head: head, count: count)) } else { sort(head) }
    }

    /// Puts each slot of a list back into its span.
    private mutating func sort(_ head: UInt) {
        var next = head
        while next != 0 {
            let word = next
            let process = ProcessTable.slot(UInt32(word - 1))
            next = process.block.runNext
            let span = Int(word - 1) / ProcessTable.spanCount
            process.block.runNext = spans[span].head
            spans[span].head = word
            spans[span].freeCount += 1
            if spans[span].position < 0 {
                spans[span].position = partial.count
                partial.append(span)
            }
            if spans[span].freeCount == ProcessTable.spanCount { becomeEmpty(span) }
        }
    }

    private mutating func becomeEmpty(_ span: Int) {
        // The last of `partial` takes its place.
        let position = spans[span].position
        let last = partial.removeLast()
        if last != span {
            partial[position] = last
            spans[last].position = position
        }
        empty.append(span)
    }

    mutating func releaseSlice(sortsBatches: Bool) -> Bool {
        if sortsBatches, let batch = batches.popLast() {
            sort(batch.head)
            surplus.grow(to: empty.count)
            return true
        }
        guard surplus.target > 0, let span = empty.popLast() else { return false }
        surplus.target -= 1
        surplus.note(empty.count)
        let first = span * ProcessTable.spanCount
        for index in first..<first + ProcessTable.spanCount {
            spans[span].generation = max(spans[span].generation, ProcessTable.slot(UInt32(index)).generation)
        }
        spans[span].head = 0
        spans[span].freeCount = 0
        spans[span].position = -1
        ProcessTable.releasePages(ofSpan: span)
        released.append(span)
        return surplus.target > 0
    }
}

/// Free slots of one scheduler; batches move through `ProcessTable`.
struct SlotCache: ~Copyable {
    /// Index + 1 of the first free slot, 0 for none.
    private var head: UInt = 0
    private(set) var count = 0

    mutating func take() -> ProcessRef {
        if head == 0 { (head, count) = ProcessTable.takeBatch() }
        let process = ProcessTable.slot(UInt32(head - 1))
        head = process.block.runNext
        count -= 1
        return process
    }

    mutating func put(_ process: ProcessRef) {
        process.block.runNext = head
        head = UInt(process.index) + 1
        count += 1
        if count >= 2 * ProcessTable.batchCount { shed() }
    }

    private mutating func shed() {
        let first = head
        var last = ProcessTable.slot(UInt32(head - 1))
        for _ in 1..<ProcessTable.batchCount { last = ProcessTable.slot(UInt32(last.block.runNext - 1)) }
        head = last.block.runNext
        last.block.runNext = 0
        count -= ProcessTable.batchCount
        ProcessTable.putBatch(head: first, count: ProcessTable.batchCount)
    }

    /// Gives everything back: at the end of the scheduler, and when it has long had nothing to do.
    mutating func drain() {
        if count > 0 { ProcessTable.putBatch(head: head, count: count) }
        head = 0
        count = 0
    }
}
