// SPDX-License-Identifier: Apache-2.0

/// Blocks of memory for one thread: mailbox nodes, parked stacks, timers, connection state.
///
/// Sized: the caller gives the byte count again when it frees, so a block has no header. A free list per class; a list
/// that grows past its bound hands half of it to the pool that all threads share, and an empty one takes a batch from
/// there, so a producer on one thread and a consumer on another do not make memory pile up. Not thread-safe: one per
/// scheduler.
@safe struct BlockAllocator: ~Copyable {
    /// The free blocks of one class, linked through their first words.
    @safe private struct FreeList {
        var head: UnsafeMutableRawPointer?
        /// Blocks that the list still takes before it hands some on.
        var room: Int
    }

    private let lists: UnsafeMutablePointer<FreeList>

    init() {
        unsafe lists = .allocate(capacity: BlockClass.count)
        for index in 0..<BlockClass.count {
            unsafe (lists + index).initialize(to: FreeList(head: nil, room: 2 * Self.localMax(index)))
        }
    }

    deinit {
        for index in 0..<BlockClass.count { giveBack(index) }
        unsafe lists.deallocate()
    }

    /// Free blocks of all classes here.
    var freeCount: Int {
        (0..<BlockClass.count).reduce(0) { unsafe $0 + 2 * Self.localMax($1) - lists[$1].room }
    }

    /// How many free blocks of a class move between threads at once: 64 KiB worth, at least 8. A thread keeps at most
    /// twice as many.
    @inline(__always)
    static func localMax(_ index: Int) -> Int { max(8, 65_536 / BlockClass.byteCount(index)) }

    /// At least `byteCount` bytes, aligned to 16, contents undefined. Never nil: without memory the program ends.
    @inline(__always)
    mutating func allocate(byteCount: Int) -> UnsafeMutableRawPointer {
        if byteCount > BlockClass.largest { return unsafe SharedBlockPool.allocateLarge(byteCount) }
        let index = BlockClass.index(for: byteCount)
        if let block = unsafe lists[index].head {
            unsafe lists[index].head = unsafe block.nextBlock
            unsafe lists[index].room &+= 1
            return unsafe block
        }
        return unsafe refill(index)
    }

    /// Gives back what `allocate(byteCount:)` gave, on any thread that has an allocator.
    @inline(__always)
    mutating func free(_ block: UnsafeMutableRawPointer, byteCount: Int) {
        if byteCount > BlockClass.largest { return unsafe SharedBlockPool.freeLarge(block) }
        let index = BlockClass.index(for: byteCount)
        unsafe block.nextBlock = unsafe lists[index].head
        unsafe lists[index].head = unsafe block
        unsafe lists[index].room &-= 1
        if unsafe lists[index].room < 0 { shed(index) }
    }

    /// Hands all free blocks to the shared pool: constant time for each class.
    mutating func giveBack() {
        for index in 0..<BlockClass.count { giveBack(index) }
    }

    private func giveBack(_ index: Int) {
        let capacity = 2 * Self.localMax(index)
        unsafe SharedBlockPool.shared.put(index, lists[index].head, capacity - lists[index].room)
        unsafe lists[index] = FreeList(head: nil, room: capacity)
    }

    @inline(never)
    private mutating func refill(_ index: Int) -> UnsafeMutableRawPointer {
        let (list, count) = unsafe SharedBlockPool.shared.take(index)
        unsafe lists[index].head = unsafe list.nextBlock
        unsafe lists[index].room = 2 * Self.localMax(index) - (count - 1)
        return unsafe list
    }

    /// Hands `localMax` blocks of a class to the shared pool.
    @inline(never)
    private mutating func shed(_ index: Int) {
        let count = Self.localMax(index)
        let first = unsafe lists[index].head
        // Safe: the list has more than twice as many blocks.
        var last = unsafe first!
        for _ in 1..<count { unsafe last = unsafe last.nextBlock! }
        unsafe lists[index].head = unsafe last.nextBlock
        unsafe last.nextBlock = nil
        unsafe lists[index].room += count
        unsafe SharedBlockPool.shared.put(index, first, count)
    }
}

extension UnsafeMutableRawPointer {
    /// The next of a list of free blocks, in the first word of this one.
    @inline(__always)
    var nextBlock: UnsafeMutableRawPointer? {
        get { unsafe assumingMemoryBound(to: UnsafeMutableRawPointer?.self).pointee }
        nonmutating set { unsafe assumingMemoryBound(to: UnsafeMutableRawPointer?.self).pointee = unsafe newValue }
    }
}
