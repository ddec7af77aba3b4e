// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

/// Entries by hash, spread over shards with a lock each.
///
/// **N3.** A lock of names is held for some dozen instructions of the runtime: never around user code, a wait or a
/// send, and at depth 1 or more, so that nobody is preempted or contained with it. `hash(into:)` and `==` of a key run
/// without any lock: an entry of the same hash is compared by reference, and the table asked again for another that has
/// not been. Order of locks: the ties of a process, then shards by rising index. Test:
/// `NameRegistryTests.survivesTrappingKeys`.
@safe final class NameShards: @unchecked Sendable {  // each shard is guarded by its lock
    struct Shard: ~Copyable {
        let lock = Mutex<Void>(())
        var entries = HashBuckets()
        /// Keeps the locks of neighbours out of one another's cache lines.
        private let padding = PaddingTo128()
    }

    struct PaddingTo128 { private let words: [10 of UInt] = .init(repeating: 0) }

    /// Shards of a table: several times the cores of a large machine. A power of two.
    static let standardCount = 64

    let count: Int
    private let shards: UnsafeMutablePointer<Shard>

    init(count: Int = standardCount) {
        precondition(count > 0 && count & (count - 1) == 0, "\(count) shards; use a power of two")
        self.count = count
        unsafe shards = .allocate(capacity: count)
        for index in 0..<count { unsafe (shards + index).initialize(to: Shard()) }
    }

    deinit {
        unsafe shards.deinitialize(count: count)
        unsafe shards.deallocate()
    }

    func index(ofHash hash: UInt) -> Int { Int(hash >> 40) & (count - 1) }

    /// Calls `body` with the entries of a shard, locked. Depth 1 or more, or outside any process.
    @inline(__always)
    func withShard<Result>(_ index: Int, _ body: (inout HashBuckets) -> Result) -> Result {
        let shard = unsafe shards + index
        return unsafe shard.pointee.lock.whileLocked(shard) { unsafe body(&shard.pointee.entries) }
    }

    /// Calls `body` with all shards locked.
    func withAllShards(from index: Int = 0, _ body: () -> Void) {
        if index == count { return body() }
        let shard = unsafe shards + index
        unsafe shard.pointee.lock.whileLocked(shard) { withAllShards(from: index + 1, body) }
    }

    /// The entries of a shard whose lock the caller holds (`withAllShards`).
    func insertLocked(_ entry: TieTarget, _ index: Int) { unsafe shards[index].entries.insert(entry) }
    func removeLocked(_ entry: TieTarget, _ index: Int) { unsafe _ = shards[index].entries.remove(entry) }

    /// The entry with `hash` that `matches`, which is user code and runs as the caller. What was found may be gone when
    /// this returns.
    func find(_ hash: UInt, in index: Int, _ matches: (TieTarget) -> Bool) -> TieTarget? {
        var others: [TieTarget] = []
        while let candidate = first(hash, in: index, besides: others) {
            if matches(candidate) { return candidate }
            others.append(candidate)
        }
        return nil
    }

    func first(_ hash: UInt, in index: Int, besides others: [TieTarget]) -> TieTarget? {
        roost_enter()
        defer { roost_leave() }
        roost_charge(1)
        return withShard(index) { $0.first(hash, besides: others) }
    }

    /// All entries of one shard, copied under its lock.
    func entries(of index: Int) -> [TieTarget] {
        roost_enter()
        defer { roost_leave() }
        return withShard(index) { entries in
            roost_charge(Int64(entries.count / 16))
            return entries.all
        }
    }

    /// Entries in all shards, each counted at a moment of its own.
    var entryCount: Int {
        (0..<count).reduce(0) { sum, index in
            roost_enter()
            defer { roost_leave() }
            return sum + withShard(index) { $0.count }
        }
    }
}

/// A hash table of entries that link to each other: by linear hashing, so that it grows and shrinks by one bucket at a
/// time and nobody waits for all of it to be moved. (Larson, Dynamic Hash Tables, CACM 31/4, 1988.)
@safe struct HashBuckets: ~Copyable {
    private static let countMin = 8

    private var buckets: UnsafeMutablePointer<TieTarget?>
    private var capacity = countMin
    private var bucketCount = countMin
    private(set) var count = 0

    init() { unsafe buckets = Self.allocate(Self.countMin) }

    deinit {
        unsafe buckets.deinitialize(count: bucketCount)
        unsafe roost_block_free(buckets)
    }

    /// The first entry with `hash` that is none of `others`.
    func first(_ hash: UInt, besides others: [TieTarget]) -> TieTarget? {
        var entry = unsafe buckets[place(of: hash)]
        while let found = entry {
            if found.hash == hash, others.isEmpty || !others.contains(where: { $0 === found }) { return found }
            entry = found.chain
        }
        return nil
    }

    mutating func insert(_ entry: TieTarget) {
        let place = place(of: entry.hash)
        entry.chain = unsafe buckets[place]
        entry.isAttached = true
        unsafe buckets[place] = entry
        count += 1
        if count > bucketCount { addBucket() }
    }

    /// False where it is not there (any more). The caller holds a reference: nothing is destroyed here.
    mutating func remove(_ entry: TieTarget) -> Bool {
        guard entry.isAttached else { return false }
        entry.isAttached = false
        count -= 1
        let place = place(of: entry.hash)
        if unsafe buckets[place] === entry {
            unsafe buckets[place] = entry.chain
        } else {
            var before = unsafe buckets[place]
            while let found = before, found.chain !== entry { before = found.chain }
            before?.chain = entry.chain
        }
        entry.chain = nil
        if count < bucketCount / 4, bucketCount > Self.countMin { removeBucket() }
        return true
    }

    var all: [TieTarget] {
        var entries: [TieTarget] = []
        entries.reserveCapacity(count)
        for index in 0..<bucketCount {
            var entry = unsafe buckets[index]
            while let found = entry {
                entries.append(found)
                entry = found.chain
            }
        }
        return entries
    }

    /// The largest power of two that is at most `bucketCount`: buckets from it on have been split off.
    private var level: Int { 1 << (Int.bitWidth - 1 - bucketCount.leadingZeroBitCount) }

    private func place(of hash: UInt) -> Int {
        let wide = Int(hash & UInt(2 * level - 1))
        return wide < bucketCount ? wide : wide & (level - 1)
    }

    /// Splits one bucket in two.
    private mutating func addBucket() {
        if bucketCount == capacity { setCapacity(2 * capacity) }
        let from = bucketCount - level
        unsafe (buckets + bucketCount).initialize(to: nil)
        bucketCount += 1
        rehang(from)
    }

    /// Joins the last bucket to the one that it was split from.
    private mutating func removeBucket() {
        let last = bucketCount - 1
        var entry = unsafe (buckets + last).move()
        bucketCount = last
        while let found = entry {
            entry = found.chain
            let place = place(of: found.hash)
            found.chain = unsafe buckets[place]
            unsafe buckets[place] = found
        }
        if capacity > Self.countMin, bucketCount <= capacity / 4 { setCapacity(capacity / 2) }
    }

    private mutating func rehang(_ from: Int) {
        var entry = unsafe buckets[from]
        unsafe buckets[from] = nil
        while let found = entry {
            entry = found.chain
            let place = place(of: found.hash)
            found.chain = unsafe buckets[place]
            unsafe buckets[place] = found
        }
    }

    private mutating func setCapacity(_ newCapacity: Int) {
        let moved = unsafe Self.allocate(newCapacity, initialised: 0)
        unsafe moved.moveInitialize(from: buckets, count: bucketCount)
        unsafe roost_block_free(buckets)
        unsafe buckets = unsafe moved
        capacity = newCapacity
    }

    /// Charged to no process: whoever makes the table grow is not who fills it.
    private static func allocate(_ capacity: Int, initialised: Int = countMin) -> UnsafeMutablePointer<TieTarget?> {
        guard let memory = unsafe roost_block_allocate(capacity * MemoryLayout<TieTarget?>.stride) else {
            fatalError("out of memory: \(capacity) buckets for names or groups")
        }
        let buckets = unsafe memory.bindMemory(to: TieTarget?.self, capacity: capacity)
        unsafe buckets.initialize(repeating: nil, count: initialised)
        return unsafe buckets
    }
}

extension Mutex<Void> {
    /// Calls `body` with the lock held. `address`, where the lock is, is what ThreadSanitizer knows it by.
    @inline(__always)
    borrowing func whileLocked<Result>(_ address: UnsafeMutableRawPointer, _ body: () -> Result) -> Result {
        var result: Result?
        withLock { _ in
            unsafe roost_taken_over(address)
            result = body()
            unsafe roost_handed_over(address)
        }
        // Safe: the body has run: `withLock` calls it once.
        return unsafe result.unsafelyUnwrapped
    }
}

extension Hashable {
    /// User code: never under a lock.
    var nameHash: UInt { UInt(bitPattern: hashValue).mixed }
}
