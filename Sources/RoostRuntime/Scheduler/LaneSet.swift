// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// The process stacks of one scheduler.
///
/// A process that stops in the middle of its code goes on at the same addresses, so on the same lane. There are several
/// for two reasons. What a stopped process used of its lane stays there until another needs the lane, so a few busy
/// processes are never copied. And a process that is stuck in native code occupies its lane: only those that have
/// frames at the same addresses have to wait for it (ARCHITECTURE.md, R1).
///
/// Mapped one by one, as they are needed. In sanitizer builds each process has a stack of its own, and none is.
@safe struct LaneSet: ~Copyable {
    /// Enough that few of the processes that wait mid-code share one; a word has as many bits.
    static let countMax = 32
    /// What the frames of a lane begin below its top, times the lane's index: else the same cache lines of all lanes
    /// would fall into the same sets of the cache. A multiple of the stack's alignment.
    static let colour = 576

    /// One stack, and the process whose frames lie on it, running or stopped; by its address, 0 for none.
    struct Lane {
        var stack: roost_lane
        var resident: UInt
    }

    private let lanes: UnsafeMutablePointer<Lane>
    private var count = 0
    /// Lanes of processes that are stuck in native code, a bit each.
    private(set) var stuck: UInt64 = 0
    /// Where processes start that have no frames yet: nobody's frames lie there.
    private(set) var fresh: UInt8 = 0

    private let stackByteCount: Int
    private let guardByteCount: Int

    init(stackByteCount: Int, guardByteCount: Int) throws(RuntimeError) {
        self.stackByteCount = stackByteCount
        self.guardByteCount = guardByteCount
        unsafe lanes = .allocate(capacity: Self.countMax)
        guard !roost_stack_per_process() else { return }
        let code = addLane()
        if code != 0 { throw .systemCall("mmap", code) }
    }

    deinit {
        for index in 0..<count {
            unsafe lanes[index].stack.high += UInt(index * Self.colour)
            unsafe roost_lane_unmap(&lanes[index].stack)
        }
        unsafe lanes.deallocate()
    }

    private mutating func addLane() -> CInt {
        var stack = roost_lane()
        let code = unsafe roost_lane_map(&stack, stackByteCount, guardByteCount)
        guard code == 0 else { return code }
        stack.high -= UInt(count * Self.colour)
        unsafe (lanes + count).initialize(to: Lane(stack: stack, resident: 0))
        count += 1
        return 0
    }

    /// The lane of a process that has one.
    subscript(_ index: UInt8) -> Lane {
        // Safe: the index is `fresh`, or was when a process started: below `count`, which never shrinks.
        @inline(__always) unsafeAddress { unsafe UnsafePointer(lanes + Int(index)) }
        @inline(__always) unsafeMutableAddress { unsafe lanes + Int(index) }
    }

    /// Makes the next lane in turn the fresh one, or one more where there may be. The caller moves the frames of who
    /// is resident there.
    mutating func advance() {
        var next = Int(fresh)
        for _ in 0..<Self.countMax {
            next = (next + 1) % Self.countMax
            if next >= count, addLane() != 0 { next = 0 }  // without memory for one more, what there is will do
            if !isStuck(UInt8(next)) { break }
        }
        fresh = UInt8(next)
    }

    func isStuck(_ lane: UInt8) -> Bool { stuck & (1 << UInt64(lane)) != 0 }

    mutating func setStuck(_ lane: UInt8, _ isStuck: Bool) {
        if isStuck { stuck |= 1 << UInt64(lane) } else { stuck &= ~(1 << UInt64(lane)) }
    }
}
