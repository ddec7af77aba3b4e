// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// Members of a group in numbered places that never move, so that one can walk through them in pieces while others
/// join and leave: who is a member all the while is met exactly once.
///
/// Places are in chunks of 32. A chunk without members is freed. Guarded by the lock of its shard; charged to no
/// process.
@safe struct MemberSlots: ~Copyable {
    /// Places of a chunk: as many as there are bits in its mask.
    static let chunkCount = 32
    /// A chunk begins so small, for most groups are, and grows by four.
    static let chunkCountMin = 2

    @safe private struct Chunk {
        /// A bit for each place that is taken.
        var used: UInt32 = 0
        /// Places that it has memory for.
        var capacity = UInt32(chunkCountMin)
        // Chunks with a free place are linked; `none` at the ends.
        var previousOpen = none
        var nextOpen = none
    }
    private static let none = UInt32.max

    /// Addresses of chunks, or twice the next free entry plus one.
    private var directory: UnsafeMutablePointer<UInt>?
    private var directoryCount: UInt32 = 0
    private var directoryCapacity: UInt32 = 0
    private var firstOpen = none
    private var firstFree = none

    deinit {
        for index in 0..<directoryCount { if let chunk = unsafe chunk(index) { unsafe roost_block_free(chunk) } }
        if let directory = unsafe directory { unsafe roost_block_free(directory) }
    }

    /// The place that `word` gets.
    mutating func add(_ word: UInt64) -> UInt32 {
        if firstOpen == Self.none { addChunk() }
        let index = firstOpen
        // Safe: open chunks exist.
        var chunk = unsafe self.chunk(index).unsafelyUnwrapped
        let place = UInt32((~(unsafe chunk.pointee.used)).trailingZeroBitCount)
        if unsafe place == chunk.pointee.capacity { unsafe chunk = unsafe grow(index, chunk) }
        unsafe chunk.pointee.used |= 1 << place
        unsafe Self.words(chunk)[Int(place)] = word
        if unsafe chunk.pointee.used == .max { unlinkOpen(index) }
        return index * UInt32(Self.chunkCount) + place
    }

    /// Frees a place that `add` gave.
    mutating func remove(_ slot: UInt32) {
        let index = slot / UInt32(Self.chunkCount)
        let bit: UInt32 = 1 << (slot % UInt32(Self.chunkCount))
        guard let chunk = unsafe chunk(index), unsafe chunk.pointee.used & bit != 0 else {
            preconditionFailure("a member left place \(slot), which nobody has")
        }
        if unsafe chunk.pointee.used == .max { linkOpen(index) }
        unsafe chunk.pointee.used &= ~bit
        if unsafe chunk.pointee.used == 0 {
            unlinkOpen(index)
            unsafe roost_block_free(chunk)
            unsafe directory.unsafelyUnwrapped[Int(index)] = UInt(firstFree) << 1 | 1
            firstFree = index
        }
    }

    /// Copies the members of the next chunk that has some, from `chunkIndex` on; false when there was none any more.
    /// Looks at no more than 64 chunks at a time.
    func copyChunk(_ chunkIndex: inout UInt32, _ body: (UInt64) -> Void) -> Bool {
        let end = min(chunkIndex + 64, directoryCount)
        while chunkIndex < end {
            defer { chunkIndex += 1 }
            guard let chunk = unsafe chunk(chunkIndex) else { continue }
            var used = unsafe chunk.pointee.used
            while used != 0 {
                unsafe body(Self.words(chunk)[used.trailingZeroBitCount])
                used &= used - 1
            }
            return true
        }
        return chunkIndex < directoryCount
    }

    // MARK: Chunks

    private func chunk(_ index: UInt32) -> UnsafeMutablePointer<Chunk>? {
        // Safe: an even entry is the address of a chunk.
        let word = unsafe directory.unsafelyUnwrapped[Int(index)]
        return unsafe word & 1 == 0 ? UnsafeMutablePointer(bitPattern: word) : nil
    }

    private static func words(_ chunk: UnsafeMutablePointer<Chunk>) -> UnsafeMutablePointer<UInt64> {
        // Safe: a chunk's words follow it, and its size is a multiple of theirs.
        unsafe UnsafeMutableRawPointer(chunk + 1).assumingMemoryBound(to: UInt64.self)
    }

    private mutating func addChunk() {
        var index = firstFree
        if index == Self.none {
            index = directoryCount
            precondition(index < UInt32.max / UInt32(Self.chunkCount) - 1, "too many members of a group")
            if index == directoryCapacity { growDirectory() }
            directoryCount += 1
        } else {
            firstFree = unsafe UInt32(truncatingIfNeeded: directory.unsafelyUnwrapped[Int(index)] >> 1)
        }
        let chunk = unsafe Self.allocate(Chunk().capacity)
        unsafe chunk.initialize(to: Chunk())
        unsafe directory.unsafelyUnwrapped[Int(index)] = UInt(bitPattern: chunk)
        linkOpen(index)
    }

    private mutating func grow(_ index: UInt32, _ chunk: UnsafeMutablePointer<Chunk>) -> UnsafeMutablePointer<Chunk> {
        let capacity = unsafe chunk.pointee.capacity
        let grown = unsafe Self.allocate(min(capacity * 4, UInt32(Self.chunkCount)))
        unsafe grown.initialize(to: chunk.pointee)
        unsafe grown.pointee.capacity = min(capacity * 4, UInt32(Self.chunkCount))
        unsafe Self.words(grown).initialize(from: Self.words(chunk), count: Int(capacity))
        unsafe roost_block_free(chunk)
        unsafe directory.unsafelyUnwrapped[Int(index)] = UInt(bitPattern: grown)
        return unsafe grown
    }

    private mutating func growDirectory() {
        let capacity = max(1, directoryCapacity * 2)
        guard let memory = unsafe roost_block_allocate(Int(capacity) * MemoryLayout<UInt>.stride) else {
            fatalError("out of memory: \(capacity) chunks of members")
        }
        let grown = unsafe memory.bindMemory(to: UInt.self, capacity: Int(capacity))
        if let directory = unsafe directory {
            unsafe grown.initialize(from: directory, count: Int(directoryCount))
            unsafe roost_block_free(directory)
        }
        unsafe directory = unsafe grown
        directoryCapacity = capacity
    }

    private static func allocate(_ capacity: UInt32) -> UnsafeMutablePointer<Chunk> {
        let byteCount = MemoryLayout<Chunk>.stride + Int(capacity) * MemoryLayout<UInt64>.stride
        guard let memory = unsafe roost_block_allocate(byteCount) else {
            fatalError("out of memory: \(byteCount) bytes for members of a group")
        }
        return unsafe memory.bindMemory(to: Chunk.self, capacity: 1)
    }

    // MARK: Chunks with a free place

    private mutating func linkOpen(_ index: UInt32) {
        unsafe chunk(index).unsafelyUnwrapped.pointee.previousOpen = Self.none
        unsafe chunk(index).unsafelyUnwrapped.pointee.nextOpen = firstOpen
        if firstOpen != Self.none { unsafe chunk(firstOpen).unsafelyUnwrapped.pointee.previousOpen = index }
        firstOpen = index
    }

    private mutating func unlinkOpen(_ index: UInt32) {
        let (previous, next) = unsafe (
            chunk(index).unsafelyUnwrapped.pointee.previousOpen, chunk(index).unsafelyUnwrapped.pointee.nextOpen
        )
        if previous == Self.none {
            firstOpen = next
        } else {
            unsafe chunk(previous).unsafelyUnwrapped.pointee.nextOpen = next
        }
        if next != Self.none { unsafe chunk(next).unsafelyUnwrapped.pointee.previousOpen = previous }
    }
}
