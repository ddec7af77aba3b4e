// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
internal import Synchronization

/// The sizes that blocks come in: every 16 bytes up to 512, where most blocks are, then four to a doubling.
enum BlockClass {
    static let largest = 32_768
    static let count = 31 + 24

    /// The smallest class that holds `byteCount`, which is at most `largest`.
    @inline(__always)
    static func index(for byteCount: Int) -> Int {
        if byteCount <= 512 { return max(0, (byteCount &+ 15) / 16 &- 2) }
        // Above 512 there are four classes to each doubling: 1.25, 1.5, 1.75 and 2 times a power of two.
        let exponent = Int.bitWidth &- 1 &- (byteCount &- 1).leadingZeroBitCount
        let quarter = (byteCount &- 1 &- (1 &<< exponent)) &>> (exponent &- 2)
        return 31 &+ (exponent &- 9) &* 4 &+ quarter
    }

    @inline(__always)
    static func byteCount(_ index: Int) -> Int {
        if index < 31 { return (index &+ 2) &* 16 }
        let exponent = 9 &+ (index &- 31) / 4
        return (1 &<< exponent) &+ ((index &- 31) % 4 &+ 1) &* (1 &<< (exponent &- 2))
    }
}

/// Blocks of memory for one thread: mailbox nodes, parked stacks, timers, connection state.
///
/// Sized: the caller gives the byte count again when it frees, so a block has no header. A free list per class; a list
/// that grows past its bound hands half of it to the pool that all threads share, and an empty one takes a batch from
/// there, so a producer on one thread and a consumer on another do not make memory pile up. Not thread-safe: one per
/// scheduler.
@safe struct BlockAllocator: ~Copyable {
    private typealias Link = UnsafeMutablePointer<UnsafeMutableRawPointer?>

    private var heads: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    private var counts: UnsafeMutablePointer<Int>

    init() {
        unsafe heads = .allocate(capacity: BlockClass.count)
        unsafe heads.initialize(repeating: nil, count: BlockClass.count)
        unsafe counts = .allocate(capacity: BlockClass.count)
        unsafe counts.initialize(repeating: 0, count: BlockClass.count)
    }

    deinit {
        for index in 0..<BlockClass.count {
            unsafe SharedBlockPool.shared.put(index, heads[index], counts[index])
        }
        unsafe heads.deallocate()
        unsafe counts.deallocate()
    }

    /// How many free blocks of a class a thread keeps: 64 KiB worth, at least 8.
    @inline(__always)
    static func localMax(_ index: Int) -> Int { max(8, 65_536 / BlockClass.byteCount(index)) }

    /// At least `byteCount` bytes, aligned to 16, contents undefined. Never nil: without memory the program ends.
    @inline(__always)
    mutating func allocate(byteCount: Int) -> UnsafeMutableRawPointer {
        if byteCount > BlockClass.largest { return unsafe SharedBlockPool.allocateLarge(byteCount) }
        let index = BlockClass.index(for: byteCount)
        if let block = unsafe heads[index] {
            unsafe heads[index] = unsafe block.assumingMemoryBound(to: UnsafeMutableRawPointer?.self).pointee
            unsafe counts[index] &-= 1
            return unsafe block
        }
        return unsafe refill(index)
    }

    /// Gives back what `allocate(byteCount:)` gave, on any thread that has an allocator.
    @inline(__always)
    mutating func free(_ block: UnsafeMutableRawPointer, byteCount: Int) {
        if byteCount > BlockClass.largest { return unsafe SharedBlockPool.freeLarge(block) }
        let index = BlockClass.index(for: byteCount)
        unsafe block.assumingMemoryBound(to: UnsafeMutableRawPointer?.self).pointee = unsafe heads[index]
        unsafe heads[index] = unsafe block
        unsafe counts[index] &+= 1
        if unsafe counts[index] > 2 &* Self.localMax(index) { shed(index) }
    }

    @inline(never)
    private mutating func refill(_ index: Int) -> UnsafeMutableRawPointer {
        let (list, count) = unsafe SharedBlockPool.shared.take(index)
        let block = unsafe list!
        unsafe heads[index] = unsafe block.assumingMemoryBound(to: UnsafeMutableRawPointer?.self).pointee
        unsafe counts[index] = count - 1
        return unsafe block
    }

    /// Hands `localMax` blocks of a class to the shared pool.
    @inline(never)
    private mutating func shed(_ index: Int) {
        let count = Self.localMax(index)
        let first = unsafe heads[index]
        var last = unsafe first!
        for _ in 1..<count {
            unsafe last = unsafe last.assumingMemoryBound(to: UnsafeMutableRawPointer?.self).pointee!
        }
        unsafe heads[index] = unsafe last.assumingMemoryBound(to: UnsafeMutableRawPointer?.self).pointee
        unsafe last.assumingMemoryBound(to: UnsafeMutableRawPointer?.self).pointee = nil
        unsafe counts[index] -= count
        unsafe SharedBlockPool.shared.put(index, first, count)
    }
}

/// Batches of free blocks that move between threads, and the chunks that blocks are cut from. One for the program,
/// behind a lock that is taken once per batch and never from handler code with preemption enabled.
@safe final class SharedBlockPool: @unchecked Sendable {  // `lock` guards every stored property
    static let shared = SharedBlockPool()

    @safe private struct Batch {
        var list: UnsafeMutableRawPointer
        var count: Int
    }

    private let lock = Mutex<Void>(())
    private var batches: [[Batch]] = Array(repeating: [], count: BlockClass.count)
    private var chunk: UnsafeMutableRawPointer?
    private var chunkRemaining = 0
    private static let chunkByteCount = 1 << 20

    private init() {}

    /// A linked list of at least one free block.
    func take(_ index: Int) -> (UnsafeMutableRawPointer?, Int) {
        unsafe lock.withLock { _ in
            if let batch = batches[index].popLast() {
                unsafe roost_taken_over(batch.list)
                return unsafe (batch.list, batch.count)
            }
            return unsafe cut(index)
        }
    }

    func put(_ index: Int, _ list: UnsafeMutableRawPointer?, _ count: Int) {
        guard let list = unsafe list, count > 0 else { return }
        unsafe roost_handed_over(list)
        lock.withLock { _ in unsafe batches[index].append(Batch(list: list, count: count)) }
    }

    /// Cuts a batch from the current chunk. Lock held.
    private func cut(_ index: Int) -> (UnsafeMutableRawPointer?, Int) {
        let byteCount = BlockClass.byteCount(index)
        let count = max(1, min(BlockAllocator.localMax(index), 16_384 / byteCount))
        if chunkRemaining < count * byteCount {
            // The rest of the old chunk, less than a batch, is given up.
            // Small pages on purpose: huge ones halve the cost of a spawn on a quiet machine, but where a hypervisor
            // has taken free memory back, clearing one costs up to ten times as much as the small ones do.
            let flags = MAP_PRIVATE | MAP_ANONYMOUS
            let map = unsafe mmap(nil, Self.chunkByteCount, PROT_READ | PROT_WRITE, flags, -1, 0)
            guard unsafe map != MAP_FAILED, let map = unsafe map else {
                fatalError("out of memory: mmap of \(Self.chunkByteCount) bytes failed with errno \(errno)")
            }
            unsafe chunk = unsafe map
            chunkRemaining = Self.chunkByteCount
        }
        let start = unsafe chunk!
        unsafe chunk = unsafe start + count * byteCount
        chunkRemaining -= count * byteCount
        for position in 0..<count {
            let next: UnsafeMutableRawPointer? = unsafe position + 1 < count ? start + (position + 1) * byteCount : nil
            unsafe (start + position * byteCount).assumingMemoryBound(to: UnsafeMutableRawPointer?.self).pointee =
                unsafe next
        }
        return unsafe (start, count)
    }

    static func allocateLarge(_ byteCount: Int) -> UnsafeMutableRawPointer {
        guard let block = unsafe roost_block_allocate(byteCount) else {
            fatalError("out of memory: \(byteCount) bytes for a process")
        }
        return unsafe block
    }

    static func freeLarge(_ block: UnsafeMutableRawPointer) { unsafe roost_block_free(block) }
}
