// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// 64 KiB of a chunk that are cut into blocks of one class: the unit in which memory is used for another class, or goes
/// back to the kernel.
///
/// It counts the blocks that lie in the shared pool. When all that were ever cut do, nobody holds one.
@safe struct Slab {
    /// Blocks of this slab that the pool holds.
    var free: UnsafeMutableRawPointer?
    var freeCount: Int32 = 0
    /// Blocks cut so far, from the start; the rest has not been touched since the slab was last empty.
    var cutCount: Int32 = 0
    var classIndex: Int32 = 0
    var state = SlabState.released
    // Neighbours in the list of its state.
    var next: SlabRef?
    var previous: SlabRef?

    static let byteCount = 64 << 10
}

enum SlabState: UInt8 {
    /// Empty, and its pages are the kernel's.
    case released
    /// Empty, with pages.
    case resident
    /// Cut, and some of its blocks are in `free`.
    case partial
    /// Cut, and all of its blocks are in use or in batches; or blocks are still being cut from it.
    case inUse
}

/// A slab by the address of its description; valid until its chunk is unmapped, which is when all of it is empty.
@safe struct SlabRef: Equatable {
    let pointer: UnsafeMutablePointer<Slab>

    init(_ pointer: UnsafeMutablePointer<Slab>) { unsafe self.pointer = unsafe pointer }

    static func == (a: SlabRef, b: SlabRef) -> Bool { unsafe a.pointer == b.pointer }

    /// The slab of a block.
    @inline(__always)
    init(of block: UnsafeMutableRawPointer) {
        // Safe: blocks lie in chunks, chunks are aligned to their size and begin with the descriptions of their slabs.
        let offset = UInt(bitPattern: block) & UInt(Chunk.byteCount - 1)
        let chunk = unsafe ChunkRef(block - Int(offset))
        self = chunk.slab(Int(offset) / Slab.byteCount)
    }

    @inline(__always)
    var slab: Slab {
        // Safe: see `SlabRef`; the pool's lock is held.
        unsafeAddress { unsafe UnsafePointer(pointer) }
        nonmutating unsafeMutableAddress { unsafe pointer }
    }

    var chunk: ChunkRef {
        let offset = unsafe UInt(bitPattern: pointer) & UInt(Chunk.byteCount - 1)
        return unsafe ChunkRef(UnsafeMutableRawPointer(pointer) - Int(offset))
    }

    private var index: Int {
        unsafe (UnsafeMutableRawPointer(pointer) - chunk.base - Chunk.slabsOffset) / MemoryLayout<Slab>.stride
    }

    /// The first slab of a chunk is shorter: the chunk's own page comes before it.
    var start: UnsafeMutableRawPointer {
        unsafe chunk.base + max(index * Slab.byteCount, Chunk.headByteCount)
    }
    var byteCount: Int { index == 0 ? Slab.byteCount - Chunk.headByteCount : Slab.byteCount }
    var capacity: Int32 { Int32(byteCount / BlockClass.byteCount(Int(slab.classIndex))) }

    /// Gives its pages to the kernel; they read as zeros until they are written to again. (madvise(2))
    func releasePages() {
        // Safe: nobody holds a block of an empty slab, and nothing in it means anything.
        unsafe _ = madvise(start, byteCount, MADV_DONTNEED)
    }
}

/// 1 MiB from the kernel, aligned to 1 MiB: a page that describes its 16 slabs, and the slabs.
@safe struct Chunk {
    /// Slabs that are empty, with pages or without.
    var emptyCount = 0

    static let byteCount = 1 << 20
    static let slabCount = byteCount / Slab.byteCount
    /// The descriptions' page, also where pages are larger than 4 KiB.
    static let headByteCount = max(4096, Int(getpagesize()))
    static let slabsOffset = 64
}

@safe struct ChunkRef: Equatable {
    let base: UnsafeMutableRawPointer

    init(_ base: UnsafeMutableRawPointer) { unsafe self.base = unsafe base }

    static func == (a: ChunkRef, b: ChunkRef) -> Bool { unsafe a.base == b.base }

    var chunk: Chunk {
        unsafeAddress { unsafe UnsafePointer(base.assumingMemoryBound(to: Chunk.self)) }
        nonmutating unsafeMutableAddress { unsafe base.assumingMemoryBound(to: Chunk.self) }
    }

    @inline(__always)
    func slab(_ index: Int) -> SlabRef {
        unsafe SlabRef((base + Chunk.slabsOffset).assumingMemoryBound(to: Slab.self) + index)
    }

    /// A new chunk with empty slabs. The program ends where there is no memory.
    static func map() -> ChunkRef {
        // Small pages on purpose: huge ones halve the cost of a spawn on a quiet machine, but where a hypervisor has
        // taken free memory back, clearing one costs up to ten times as much as the small ones do.
        func map(_ byteCount: Int) -> UnsafeMutableRawPointer {
            let flags = MAP_PRIVATE | MAP_ANONYMOUS
            let map = unsafe mmap(nil, byteCount, PROT_READ | PROT_WRITE, flags, -1, 0)
            guard unsafe map != MAP_FAILED, let map = unsafe map else {
                fatalError("out of memory: mmap of \(byteCount) bytes failed with errno \(errno)")
            }
            return unsafe map
        }
        // The kernel puts a mapping right below the last one: mostly it is aligned because that one was.
        var base = unsafe map(Chunk.byteCount)
        if UInt(bitPattern: base) & UInt(Chunk.byteCount - 1) != 0 {
            unsafe _ = munmap(base, Chunk.byteCount)
            let wide = unsafe map(2 * Chunk.byteCount)
            let before = -Int(bitPattern: wide) & (Chunk.byteCount - 1)
            unsafe base = unsafe wide + before
            if before > 0 { unsafe _ = munmap(wide, before) }
            unsafe _ = munmap(base + Chunk.byteCount, Chunk.byteCount - before)
        }
        let chunk = unsafe ChunkRef(base)
        unsafe base.bindMemory(to: Chunk.self, capacity: 1).initialize(to: Chunk(emptyCount: Chunk.slabCount))
        let slabs = unsafe (base + Chunk.slabsOffset).bindMemory(to: Slab.self, capacity: Chunk.slabCount)
        for index in 0..<Chunk.slabCount { unsafe (slabs + index).initialize(to: Slab()) }
        return chunk
    }

    /// Gives it back; all its slabs must be empty and in no list.
    func unmap() {
        // Safe: nobody holds a block of it, nor one of its slabs.
        unsafe _ = munmap(base, Chunk.byteCount)
    }
}

/// Slabs in one state, newest first.
struct SlabList {
    private(set) var first: SlabRef?
    private(set) var count = 0

    mutating func add(_ slab: SlabRef) {
        slab.slab.previous = nil
        slab.slab.next = first
        first?.slab.previous = slab
        first = slab
        count += 1
    }

    mutating func remove(_ slab: SlabRef) {
        let (next, previous) = (slab.slab.next, slab.slab.previous)
        if let previous { previous.slab.next = next } else { first = next }
        next?.slab.previous = previous
        count -= 1
    }
}
