// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import RoostRuntime

/// The buffers that connections of one scheduler use in turn: one to read into, one to gather writes in.
///
/// They belong to the turn. A process that stops in the middle of its turn takes the read buffer with it
/// (`takeReadBuffer`), and what was gathered is flushed or kept before anyone else runs (ARCHITECTURE.md, C2).
@safe package struct IOBuffers: ~Copyable {
    /// Bytes read in one call. A message of 64 KiB and its header fit several times over: it is handled where it lies.
    package static let readByteCount = 256 << 10
    /// Bytes of a turn's writes that are gathered before they are handed to the kernel.
    package static let gatherByteCount = 64 << 10
    /// Spare read buffers kept for the next process that takes one.
    static let spareMax = 4

    package private(set) var read: UnsafeMutableRawPointer
    package let gather: UnsafeMutableRawPointer
    package var gatherCount = 0
    /// What keys of masked frames are drawn from.
    package var entropy = EntropyPool()
    /// When `read` was last filled; zero: nobody has asked since.
    package var readAt = MonotonicTime(nanoseconds: 0)
    /// What the layer above keeps for each scheduler besides.
    package var attachment: AnyObject?
    private var spares: [UnsafeMutableRawPointer] = unsafe []

    init() {
        unsafe read = Self.map(Self.readByteCount)
        unsafe gather = Self.map(Self.gatherByteCount)
    }

    private static func map(_ byteCount: Int) -> UnsafeMutableRawPointer {
        let map = unsafe mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard unsafe map != MAP_FAILED, let map = unsafe map else {
            fatalError("out of memory: mmap of a \(byteCount)-byte buffer failed, errno \(errno)")
        }
        return unsafe map
    }

    /// Hands the read buffer to a process that still looks at the first `usedByteCount` bytes of it; the scheduler goes
    /// on with another. Pages past them go back to the kernel: what a stopped process holds is what it was sent.
    package mutating func takeReadBuffer(usedByteCount: Int) -> UnsafeMutableRawPointer {
        let taken = unsafe read
        let page = 4096
        let kept = (usedByteCount + page - 1) / page * page
        if kept < Self.readByteCount { unsafe _ = madvise(taken + kept, Self.readByteCount - kept, MADV_DONTNEED) }
        unsafe read = unsafe spares.popLast() ?? Self.map(Self.readByteCount)
        return unsafe taken
    }

    package mutating func giveBack(_ buffer: UnsafeMutableRawPointer) {
        if unsafe spares.count < Self.spareMax {
            unsafe spares.append(buffer)
        } else {
            unsafe _ = munmap(buffer, Self.readByteCount)
        }
    }

    /// Those of the scheduler, made on first use.
    @inline(__always)
    package static func of(_ scheduler: SchedulerRef) -> UnsafeMutablePointer<IOBuffers> {
        if let scratch = unsafe scheduler.scratch { return unsafe scratch.assumingMemoryBound(to: IOBuffers.self) }
        return unsafe make(scheduler)
    }

    @inline(never)
    private static func make(_ scheduler: SchedulerRef) -> UnsafeMutablePointer<IOBuffers> {
        let buffers = UnsafeMutablePointer<IOBuffers>.allocate(capacity: 1)
        unsafe buffers.initialize(to: IOBuffers())
        unsafe scheduler.setScratch(UnsafeMutableRawPointer(buffers)) { scratch in
            let buffers = unsafe scratch.assumingMemoryBound(to: IOBuffers.self)
            unsafe buffers.pointee.unmapAll()
            unsafe buffers.deinitialize(count: 1)
            unsafe buffers.deallocate()
        }
        return unsafe buffers
    }

    private func unmapAll() {
        unsafe (spares + [read]).forEach { buffer in unsafe _ = munmap(buffer, Self.readByteCount) }
        unsafe _ = munmap(gather, Self.gatherByteCount)
    }
}
