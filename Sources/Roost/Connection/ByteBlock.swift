// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import RoostRuntime

/// Bytes kept on a process's heap: what a connection received and cannot handle yet, or could not send yet.
///
/// Grows by doubling from the scheduler's blocks and is booked on the process. Without a destructor: `release` frees
/// it, and the connection's end does so for all of its blocks.
@safe struct ByteBlock {
    private(set) var base: UnsafeMutableRawPointer?
    var count: UInt32 = 0
    private(set) var capacity: UInt32 = 0

    init() { unsafe base = nil }

    var isEmpty: Bool { count == 0 }
    var spareCount: Int { Int(capacity - count) }

    var bytes: UnsafeMutableRawBufferPointer {
        // Safe: `base` has `capacity` bytes, at least `count`.
        unsafe UnsafeMutableRawBufferPointer(start: base, count: Int(count))
    }

    /// The room behind the bytes.
    var spare: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: base.map { unsafe $0 + Int(count) }, count: spareCount)
    }

    /// Makes room for `byteCount` more.
    mutating func reserve(_ byteCount: Int, _ process: ProcessRef, _ scheduler: SchedulerRef, isExact: Bool = false) {
        let needed = Int(count) + byteCount
        guard needed > Int(capacity) else { return }
        let size = isExact ? needed : max(needed, Int(capacity) * 2, 64)
        let grown = unsafe scheduler.allocate(byteCount: size, for: process)
        if let old = unsafe base {
            unsafe memcpy(grown, old, Int(count))
            unsafe scheduler.free(old, byteCount: Int(capacity), for: process)
        }
        unsafe base = unsafe grown
        capacity = UInt32(size)
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        guard bytes.count > 0 else { return }
        reserve(bytes.count, process, scheduler)
        unsafe memcpy(base! + Int(count), bytes.baseAddress!, bytes.count)
        count += UInt32(bytes.count)
    }

    /// Drops the first `byteCount` bytes.
    mutating func removeFirst(_ byteCount: Int) {
        let left = Int(count) - byteCount
        if left > 0 { unsafe _ = memmove(base!, base! + byteCount, left) }
        count = UInt32(left)
    }

    mutating func release(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        guard let old = unsafe base else { return }
        unsafe scheduler.free(old, byteCount: Int(capacity), for: process)
        self = ByteBlock()
    }
}
