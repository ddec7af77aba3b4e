// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A timer of one scheduler's wheel. Stale after it fired or was cancelled, and then harmless.
package struct TimerReference: Hashable, Sendable {
    /// Slot + 1; 0 for none.
    let slot: UInt32
    let generation: UInt32

    package static let none = TimerReference(slot: 0, generation: 0)
}

/// What a timer does when it is due.
enum TimerAction {
    /// Sets `WakeFlags.timer` on the process.
    case wake(UInt64)
    /// Delivers the node to the process it names.
    case send(Node)
}

struct TimerEntry {
    /// Slot + 1 of the neighbours in the list of one wheel slot; 0 at the ends.
    var next: UInt32
    var previous: UInt32
    var generation: UInt32
    var level: UInt8
    var position: UInt8
    var isArmed: Bool
    /// Milliseconds since the wheel's start.
    var tick: UInt64
    var action: TimerAction
}

/// Timers of one scheduler: a hierarchy of wheels of 64 slots, one millisecond to a slot in the lowest, 64 times
/// coarser in each above.
///
/// Arming and cancelling take constant time; a timer moves down at most once per level. A timer never fires early, and
/// at most one millisecond plus the scheduler's delay late. After G. Varghese, T. Lauck, "Hashed and Hierarchical
/// Timing Wheels" (1987), scheme 6.
@safe struct TimerWheel: ~Copyable {
    static let levelCount = 6
    static let slotCount = 64
    static let nanosecondsPerTick: UInt64 = 1_000_000
    /// How far ahead the highest level reaches: two years, and less than a revolution, so that no timer falls into the
    /// position that is current. A longer timer waits there and is sorted in again.
    static let tickMax: UInt64 = 63 << 30
    private static let chunkBits = 10
    private static let chunkCount = 1 << chunkBits
    private static let chunkByteCount = chunkCount * MemoryLayout<TimerEntry>.stride

    private var heads: [UInt32] = Array(repeating: 0, count: levelCount * slotCount)
    private var occupied: [UInt64] = Array(repeating: 0, count: levelCount)
    /// `chunkCount` entries that are mapped and unmapped together.
    @safe private struct Chunk {
        /// nil while it has no memory.
        var entries: UnsafeMutablePointer<TimerEntry>?
        /// Slot + 1 of the first free entry.
        var freeHead: UInt32 = 0
        var freeCount: UInt32 = 0
        /// No reference to an entry of this chunk has had this generation or a later one; of use while it has no
        /// memory.
        var generation: UInt32 = 1
    }

    private var chunks: [Chunk] = []
    /// The chunk that new timers come from, and others that have free entries or no memory.
    private var current = 0
    private var available: [Int] = []
    private var elapsed: UInt64 = 0
    private let start: MonotonicTime
    private(set) var count = 0

    init(start: MonotonicTime) { self.start = start }

    deinit {
        for index in chunks.indices { unmap(index) }
    }

    @inline(__always)
    private func entry(_ slot: UInt32) -> UnsafeMutablePointer<TimerEntry> {
        let index = Int(slot &- 1)
        // Safe: an armed timer's chunk has memory.
        return unsafe chunks[index >> Self.chunkBits].entries.unsafelyUnwrapped + (index & (Self.chunkCount - 1))
    }

    /// The first time, at or after `time`, at which a timer can be due: one armed for it fires no later than its time
    /// for the wheel's sake.
    func tick(atOrAfter time: MonotonicTime) -> MonotonicTime {
        let nanoseconds = time.nanoseconds - min(time.nanoseconds, start.nanoseconds)
        let tick = (nanoseconds + Self.nanosecondsPerTick - 1) / Self.nanosecondsPerTick
        return MonotonicTime(nanoseconds: start.nanoseconds + tick * Self.nanosecondsPerTick)
    }

    /// Arms a timer. A time that has passed is due at the next `takeDue`.
    mutating func arm(at time: MonotonicTime, _ action: TimerAction) -> TimerReference {
        let nanoseconds = time.nanoseconds > start.nanoseconds ? time.nanoseconds - start.nanoseconds : 0
        let tick = (nanoseconds + Self.nanosecondsPerTick - 1) / Self.nanosecondsPerTick  // rounded up: never early
        let slot = allocate()
        let timer = unsafe entry(slot)
        unsafe timer.pointee.tick = max(tick, elapsed + 1)
        unsafe timer.pointee.action = action
        unsafe timer.pointee.isArmed = true
        insert(slot)
        count += 1
        return unsafe TimerReference(slot: slot, generation: timer.pointee.generation)
    }

    /// Removes the timer if it is still armed and returns what it would have done.
    mutating func cancel(_ reference: TimerReference) -> TimerAction? {
        guard reference.slot != 0, unsafe chunks[Int(reference.slot &- 1) >> Self.chunkBits].entries != nil else {
            return nil
        }
        let timer = unsafe entry(reference.slot)
        guard unsafe timer.pointee.generation == reference.generation, unsafe timer.pointee.isArmed else { return nil }
        unlink(reference.slot)
        let action = unsafe timer.pointee.action
        release(reference.slot)
        return action
    }

    /// When `takeDue` next has something to do, nil without timers. May be early: lists of higher levels are sorted in
    /// first.
    func nextDeadline() -> MonotonicTime? {
        guard let next = nextExpiration() else { return nil }
        return MonotonicTime(nanoseconds: start.nanoseconds + next.tick * Self.nanosecondsPerTick)
    }

    /// Removes one timer that is due at `now`; nil when there is none left.
    mutating func takeDue(at now: MonotonicTime) -> TimerAction? {
        let nowTick = (now.nanoseconds - min(now.nanoseconds, start.nanoseconds)) / Self.nanosecondsPerTick
        while let next = nextExpiration(), next.tick <= nowTick {
            elapsed = max(elapsed, next.tick)
            let head = heads[next.level * Self.slotCount + next.position]
            if next.level == 0 {
                unlink(head)
                let action = unsafe entry(head).pointee.action
                release(head)
                return action
            }
            sortIn(level: next.level, position: next.position)
        }
        elapsed = max(elapsed, nowTick)
        return nil
    }

    /// Removes any timer, for the end of the scheduler.
    mutating func takeAny() -> TimerAction? {
        for list in heads where list != 0 {
            unlink(list)
            let action = unsafe entry(list).pointee.action
            release(list)
            return action
        }
        return nil
    }

    /// Spreads the list of a higher level over the lower ones, now that its time has come.
    private mutating func sortIn(level: Int, position: Int) {
        var slot = heads[level * Self.slotCount + position]
        heads[level * Self.slotCount + position] = 0
        occupied[level] &= ~(1 << UInt64(position))
        while slot != 0 {
            let next = unsafe entry(slot).pointee.next
            insert(slot)
            slot = next
        }
    }

    /// The earliest wheel slot in use. In each level it is the first at or after the current position, going around.
    private func nextExpiration() -> (tick: UInt64, level: Int, position: Int)? {
        var best: (tick: UInt64, level: Int, position: Int)?
        for level in 0..<Self.levelCount where occupied[level] != 0 {
            let shift = UInt64(6 * level)
            let current = (elapsed >> shift) & 63
            let rotated = occupied[level] >> current | (current == 0 ? 0 : occupied[level] << (64 - current))
            let distance = UInt64(rotated.trailingZeroBitCount)
            let position = Int((current + distance) & 63)
            let tick = max(((elapsed >> shift) + distance) << shift, elapsed)
            if best == nil || tick < best!.tick { best = (tick, level, position) }
        }
        return best
    }

    private mutating func insert(_ slot: UInt32) {
        let timer = unsafe entry(slot)
        let tick = unsafe min(timer.pointee.tick, elapsed + Self.tickMax)
        // The highest bit in which the deadline differs from now decides the level: below it they share a revolution.
        let differing = (tick ^ elapsed) | 63
        let level = min((63 - differing.leadingZeroBitCount) / 6, Self.levelCount - 1)
        let position = Int((tick >> UInt64(6 * level)) & 63)
        let list = level * Self.slotCount + position
        unsafe timer.pointee.level = UInt8(level)
        unsafe timer.pointee.position = UInt8(position)
        unsafe timer.pointee.previous = 0
        unsafe timer.pointee.next = heads[list]
        if heads[list] != 0 { unsafe entry(heads[list]).pointee.previous = slot }
        heads[list] = slot
        occupied[level] |= 1 << UInt64(position)
    }

    private mutating func unlink(_ slot: UInt32) {
        let timer = unsafe entry(slot)
        let list = unsafe Int(timer.pointee.level) * Self.slotCount + Int(timer.pointee.position)
        let (previous, next) = unsafe (timer.pointee.previous, timer.pointee.next)
        if previous != 0 { unsafe entry(previous).pointee.next = next } else { heads[list] = next }
        if next != 0 { unsafe entry(next).pointee.previous = previous }
        if heads[list] == 0 { unsafe occupied[Int(timer.pointee.level)] &= ~(1 << UInt64(timer.pointee.position)) }
    }

    private mutating func allocate() -> UInt32 {
        if chunks.isEmpty || chunks[current].freeHead == 0 { findFree() }
        let slot = chunks[current].freeHead
        chunks[current].freeHead = unsafe entry(slot).pointee.next
        chunks[current].freeCount &-= 1
        return slot
    }

    private mutating func release(_ slot: UInt32) {
        let index = Int(slot &- 1) >> Self.chunkBits
        let timer = unsafe entry(slot)
        unsafe timer.pointee.isArmed = false
        unsafe timer.pointee.generation &+= 1
        unsafe timer.pointee.next = chunks[index].freeHead
        if chunks[index].freeHead == 0, index != current { available.append(index) }
        chunks[index].freeHead = slot
        chunks[index].freeCount &+= 1
        count -= 1
    }

    /// Makes a chunk with a free entry the current one.
    private mutating func findFree() {
        if let next = available.popLast() {
            current = next
        } else {
            chunks.append(Chunk())
            current = chunks.count - 1
        }
        if unsafe chunks[current].entries == nil { map(current) }
    }

    private mutating func map(_ index: Int) {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        let map = unsafe mmap(nil, Self.chunkByteCount, PROT_READ | PROT_WRITE, flags, -1, 0)
        guard unsafe map != MAP_FAILED, let map = unsafe map else {
            fatalError("out of memory: mmap of \(Self.chunkByteCount) bytes for timers failed with errno \(errno)")
        }
        let entries = unsafe map.bindMemory(to: TimerEntry.self, capacity: Self.chunkCount)
        let first = UInt32(index * Self.chunkCount + 1)
        for offset in 0..<Self.chunkCount {
            unsafe (entries + offset).initialize(
                to: TimerEntry(
                    next: offset + 1 < Self.chunkCount ? first + UInt32(offset) + 1 : 0, previous: 0,
                    generation: chunks[index].generation, level: 0, position: 0, isArmed: false, tick: 0,
                    action: .wake(0)))
        }
        unsafe chunks[index].entries = unsafe entries
        chunks[index].freeHead = first
        chunks[index].freeCount = UInt32(Self.chunkCount)
    }

    private func unmap(_ index: Int) {
        if let entries = unsafe chunks[index].entries { unsafe _ = munmap(entries, Self.chunkByteCount) }
    }

    // MARK: Memory given back

    /// Bytes of entries that have memory.
    var byteCount: Int { chunks.count { unsafe $0.entries != nil } * Self.chunkByteCount }

    /// Gives the memory of up to `countMax` chunks without a timer back to the kernel, but for the one that new timers
    /// come from. True when there may be more. Each call looks at every chunk: one to a thousand timers.
    mutating func releaseChunks(_ countMax: Int) -> Bool {
        var left = countMax
        for index in chunks.indices where index != current && chunks[index].freeCount == Self.chunkCount {
            if left == 0 { return true }
            left -= 1
            release(chunk: index)
        }
        return false
    }

    private mutating func release(chunk index: Int) {
        // Safe: it has free entries only, so it has memory; stale references are stopped by `cancel`.
        let entries = unsafe chunks[index].entries.unsafelyUnwrapped
        var generation = chunks[index].generation
        for offset in 0..<Self.chunkCount { generation = unsafe max(generation, entries[offset].generation) }
        unmap(index)
        // Still in `available`: it is mapped again when it is its turn.
        unsafe chunks[index] = Chunk(generation: generation)
    }
}
