// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

/// The blocks that all threads share, and the chunks that they are cut from. One for the program, behind a lock that is
/// taken once per batch and never from handler code with preemption enabled.
///
/// Free blocks come and go as batches, lists that one thread shed and another takes as they are. Batches past
/// `batchesMax` are sorted into the slabs that their blocks lie in. A slab that has all of its blocks back is empty:
/// the next class that needs one takes it; and what nobody has needed for a while goes back to the kernel, slab by
/// slab, whole chunks where they are empty.
@safe final class SharedBlockPool: @unchecked Sendable {  // `lock` guards every stored property
    static let shared = SharedBlockPool()

    /// Batches of a class that are kept as they came: one moment's surplus is the next one's need.
    static let batchesMax = 8
    /// Blocks are cut from a slab so many bytes at a time: a class that needs few of them touches few pages.
    private static let cutByteCount = 16 << 10

    @safe private struct Batch {
        var list: UnsafeMutableRawPointer
        var count: Int
    }

    private struct ClassState {
        var batches: [Batch] = []
        var partial = SlabList()
        /// Where blocks are cut.
        var current: SlabRef?
    }

    private let lock = Mutex<Void>(())
    private var classes: [ClassState] = Array(repeating: ClassState(), count: BlockClass.count)
    /// Empty slabs, with pages and without.
    private var resident = SlabList()
    private var released = SlabList()
    private var surplus = Surplus()
    private var chunkCount = 0
    private var lent = 0

    private init() {}

    // MARK: Blocks

    /// A linked list of at least one free block.
    func take(_ index: Int) -> (UnsafeMutableRawPointer, Int) {
        unsafe locked {
            let taken = unsafe find(index)
            lent += unsafe taken.1
            return unsafe taken
        }
    }

    /// Blocks that are not here: in use, or free in some thread's allocator.
    var lentCount: Int { locked { lent } }

    private func find(_ index: Int) -> (UnsafeMutableRawPointer, Int) {
        if let batch = classes[index].batches.popLast() { return unsafe (batch.list, batch.count) }
        if let slab = classes[index].partial.first { return unsafe takeFree(of: slab) }
        return unsafe cut(index)
    }

    func put(_ index: Int, _ list: UnsafeMutableRawPointer?, _ count: Int) {
        guard let list = unsafe list, count > 0 else { return }
        locked {
            lent -= count
            if classes[index].batches.count < Self.batchesMax {
                return classes[index].batches.append(unsafe Batch(list: list, count: count))
            }
            unsafe sort(list)
        }
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        lock.withLock { _ in
            unsafe roost_taken_over(Unmanaged.passUnretained(self).toOpaque())
            defer { unsafe roost_handed_over(Unmanaged.passUnretained(self).toOpaque()) }
            return body()
        }
    }

    /// All the free blocks of a partial slab. Lock held.
    private func takeFree(of ref: SlabRef) -> (UnsafeMutableRawPointer, Int) {
        classes[Int(ref.slab.classIndex)].partial.remove(ref)
        // Safe: a partial slab has a free block.
        let list = unsafe ref.slab.free!
        let count = Int(ref.slab.freeCount)
        unsafe ref.slab.free = nil
        ref.slab.freeCount = 0
        ref.slab.state = .inUse
        return unsafe (list, count)
    }

    /// Cuts new blocks. Lock held.
    private func cut(_ index: Int) -> (UnsafeMutableRawPointer, Int) {
        let ref = classes[index].current ?? open(for: index)
        let byteCount = BlockClass.byteCount(index)
        let left = Int(ref.capacity - ref.slab.cutCount)
        let count = max(1, min(left, Self.cutByteCount / byteCount))
        let start = unsafe ref.start + Int(ref.slab.cutCount) * byteCount
        ref.slab.cutCount += Int32(count)
        classes[index].current = ref.slab.cutCount < ref.capacity ? ref : nil
        for position in 0..<count {
            let block = unsafe start + position * byteCount
            unsafe block.nextBlock = unsafe position + 1 < count ? block + byteCount : nil
        }
        return unsafe (start, count)
    }

    /// An empty slab becomes one of class `index`. Lock held.
    private func open(for index: Int) -> SlabRef {
        let ref: SlabRef
        if let first = resident.first {
            ref = first
            resident.remove(ref)
            surplus.note(resident.count)
        } else {
            if released.first == nil { addChunk() }
            // Safe: there is one now.
            ref = released.first!
            released.remove(ref)
        }
        ref.chunk.chunk.emptyCount -= 1
        ref.slab.classIndex = Int32(index)
        ref.slab.state = .inUse
        return ref
    }

    private func addChunk() {
        let chunk = ChunkRef.map()
        chunkCount += 1
        for index in 0..<Chunk.slabCount { released.add(chunk.slab(Chunk.slabCount - 1 - index)) }
    }

    /// Puts each block of a list back into its slab. Lock held.
    private func sort(_ list: UnsafeMutableRawPointer) {
        var next: UnsafeMutableRawPointer? = unsafe list
        while let block = unsafe next {
            unsafe next = unsafe block.nextBlock
            let ref = unsafe SlabRef(of: block)
            unsafe block.nextBlock = unsafe ref.slab.free
            unsafe ref.slab.free = unsafe block
            ref.slab.freeCount += 1
            if ref.slab.freeCount == ref.slab.cutCount {
                becomeEmpty(ref)
            } else if ref.slab.state == .inUse {
                ref.slab.state = .partial
                classes[Int(ref.slab.classIndex)].partial.add(ref)
            }
        }
    }

    /// All of its blocks are back. Lock held.
    private func becomeEmpty(_ ref: SlabRef) {
        let index = Int(ref.slab.classIndex)
        if ref.slab.state == .partial { classes[index].partial.remove(ref) }
        if classes[index].current == ref { classes[index].current = nil }
        unsafe ref.slab.free = nil
        ref.slab.freeCount = 0
        ref.slab.cutCount = 0
        ref.slab.state = .resident
        ref.chunk.chunk.emptyCount += 1
        resident.add(ref)
    }

    // MARK: Memory given back

    /// Begins a round of giving back: see `Surplus`. `everything`: also what was needed lately.
    func beginRelease(everything: Bool) {
        locked { surplus.begin(resident.count, everything: everything) }
    }

    /// One slice of work, some tens of microseconds: sorts a batch (with `sortsBatches`), or gives one chunk or one
    /// slab of the surplus to the kernel. False when there is nothing left to do.
    func releaseSlice(sortsBatches: Bool) -> Bool {
        locked {
            if sortsBatches {
                for index in classes.indices {
                    guard let batch = classes[index].batches.popLast() else { continue }
                    unsafe sort(batch.list)
                    surplus.grow(to: resident.count)
                    return true
                }
            }
            guard surplus.target > 0, let ref = resident.first else { return false }
            surplus.target -= release(ref)
            surplus.note(resident.count)
            return surplus.target > 0
        }
    }

    /// Gives the pages of an empty slab back, with all of its chunk where that is empty. How many slabs it were. Lock
    /// held.
    private func release(_ ref: SlabRef) -> Int {
        let chunk = ref.chunk
        guard chunk.chunk.emptyCount == Chunk.slabCount else {
            resident.remove(ref)
            ref.releasePages()
            ref.slab.state = .released
            released.add(ref)
            return 1
        }
        var count = 0
        for index in 0..<Chunk.slabCount {
            let slab = chunk.slab(index)
            if slab.slab.state == .resident {
                resident.remove(slab)
                count += 1
            } else {
                released.remove(slab)
            }
        }
        chunk.unmap()
        chunkCount -= 1
        return count
    }

    /// Bytes in chunks, in empty slabs that have pages, and in empty slabs that have none.
    var figures: (mapped: Int, resident: Int, released: Int) {
        locked {
            (chunkCount * Chunk.byteCount, resident.count * Slab.byteCount, released.count * Slab.byteCount)
        }
    }

    // MARK: Large blocks

    static func allocateLarge(_ byteCount: Int) -> UnsafeMutableRawPointer {
        guard let block = unsafe roost_block_allocate(byteCount) else {
            fatalError("out of memory: \(byteCount) bytes for a process")
        }
        return unsafe block
    }

    static func freeLarge(_ block: UnsafeMutableRawPointer) { unsafe roost_block_free(block) }
}

/// How much of what is empty may go: half of what was empty the whole time since the last round, and everything where
/// nothing runs. A server whose need goes up and down within a round gives nothing back, and takes nothing again.
struct Surplus {
    /// Units to give back in this round.
    var target = 0
    /// The fewest empty units since the round began.
    private var low = 0
    private var isEverything = false

    mutating func note(_ count: Int) {
        low = min(low, count)
        target = min(target, count)
    }

    mutating func begin(_ count: Int, everything: Bool) {
        target = everything ? count : min(low, count) / 2
        low = count
        isEverything = everything
    }

    /// More became empty while everything is given back.
    mutating func grow(to count: Int) { if isEverything { target = count } }
}
