// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

/// The members of a group, or, once there are many, those of one shard.
///
/// A group begins as one segment in the shard of its key, its home. When it has more than `memberCountMax` members it
/// gets one in every shard, and from then on a process joins the one of its own shard: so a million processes join one
/// group without meeting at one lock. Members never move between segments; the group shrinks by its last member only.
///
/// | Field         | Written by                                   | Ordered by                               |
/// |---------------|----------------------------------------------|------------------------------------------|
/// | `slots`       | whoever holds the lock of its shard          | the same lock                            |
/// | `memberCount` | the same                                     | sequentially consistent; read by anybody |
/// | `siblings`    | whoever holds the locks of all shards        | the lock of the home's shard             |
///
/// **G1.** A segment in its table has a member, or a sibling in its table has one: a group without members is gone.
/// **G2.** All siblings of a group enter their tables in one step with their entry in the home: who joined before a
/// dispatch began is found by it. Tests: `GroupTests`.
// the table says what guards the fields
class GroupSegment: TieTarget, @unchecked Sendable {
    /// Members of a group from which on it is spread over all shards: where a lock of its own for each shard begins to
    /// pay for the walk through all of them.
    static let memberCountMax = 256

    final let shards: NameShards
    final let shardIndex: Int
    /// nil: it is the home.
    final let home: GroupSegment?
    final private var slots = MemberSlots()
    final private let memberCount = Atomic<Int>(0)
    /// All segments, in the order of shards, once the group is spread. The home's only.
    final private var siblings: [GroupSegment] = []

    init(hash: UInt, _ shards: NameShards, _ shardIndex: Int, home: GroupSegment?) {
        self.shards = shards
        self.shardIndex = shardIndex
        self.home = home
        super.init(hash: hash)
    }

    /// A segment of the same group for another shard.
    func makeSibling(_ shardIndex: Int) -> GroupSegment { preconditionFailure("a group without a key") }

    // MARK: Members

    enum Attachment { case attached, crowded, noProcess, stale }

    /// Enters `pid`. A segment that is not in its table is put there, unless there is another of its hash that is none
    /// of `others`. `stale`: the group has changed; look again. Depth 1 or more.
    final func attach(_ pid: Pid, isNew: Bool, besides others: [TieTarget]) -> Attachment {
        var attachment = Attachment.stale
        let isAlive = TieOwners.whileAlive(pid) { ties in
            var slot: UInt32?
            shards.withShard(shardIndex) { entries in
                if isNew {
                    if entries.first(hash, besides: others) != nil { return }
                    entries.insert(self)
                }
                guard isAttached else { return }
                slot = slots.add(pid.word)
                let count = memberCount.add(1, ordering: .sequentiallyConsistent).newValue
                let isCrowded = count > Self.memberCountMax && home == nil && siblings.isEmpty && shards.count > 1
                attachment = isCrowded ? .crowded : .attached
            }
            if let slot { ties.insert(Tie(self, slot: slot, ordinal: ties.count(of: self), owner: pid)) }
        }
        return isAlive ? attachment : .noProcess
    }

    /// Takes one membership of `pid` out; false where it has none here. Depth 1 or more.
    final func detach(_ pid: Pid) -> Bool {
        guard let tie = TieOwners.withTies(of: pid, { $0.removeLast(of: self) }) else { return false }
        undo(slot: tie.slot, of: pid)
        unsafe tie.free(owner: pid).release()
        return true
    }

    final override func undo(slot: UInt32, of pid: Pid) {
        var isSpreadAndEmpty = false
        shards.withShard(shardIndex) { entries in
            slots.remove(slot)
            let count = memberCount.subtract(1, ordering: .sequentiallyConsistent).newValue
            guard count == 0 else { return }
            isSpreadAndEmpty = home != nil || !siblings.isEmpty
            if !isSpreadAndEmpty { _ = entries.remove(self) }
        }
        if isSpreadAndEmpty { (home ?? self).removeIfEmpty() }
    }

    // MARK: Spreading

    /// Gives the group a segment in every shard, if it has not got them. At any depth.
    final func spread() {
        var all = (0..<shards.count).map { $0 == shardIndex ? self : makeSibling($0) }
        roost_enter()
        roost_charge(Int64(shards.count) * 4)
        shards.withAllShards {
            guard isAttached, siblings.isEmpty else { return }
            swap(&siblings, &all)
            for segment in siblings where segment !== self { shards.insertLocked(segment, segment.shardIndex) }
        }
        roost_leave()
    }

    /// Takes a spread group without members out of the table (G1).
    private final func removeIfEmpty() {
        // Each leaver counts down and then looks at the others; all sequentially consistent: the last one sees zeros.
        guard segments.allSatisfy({ $0.count == 0 }) else { return }
        var all: [GroupSegment] = []
        shards.withAllShards {
            guard isAttached, siblings.allSatisfy({ $0.count == 0 }) else { return }
            for segment in siblings { shards.removeLocked(segment, segment.shardIndex) }
            // Home and siblings hold each other no longer.
            swap(&siblings, &all)
        }
    }

    // MARK: Walking

    /// All segments of the group. The home's only; depth 1 or more.
    final var segments: [GroupSegment] { shards.withShard(shardIndex) { _ in siblings.isEmpty ? [self] : siblings } }

    /// Members of this segment, at a moment.
    final var count: Int { memberCount.load(ordering: .sequentiallyConsistent) }

    /// Copies the next chunk of members; false past the last. Depth 1 or more.
    final func copyChunk(_ chunkIndex: inout UInt32, _ body: (UInt64) -> Void) -> Bool {
        shards.withShard(shardIndex) { _ in slots.copyChunk(&chunkIndex, body) }
    }
}

final class KeyedGroupSegment<Group: Hashable & Sendable>: GroupSegment, @unchecked Sendable {
    let key: Group

    init(_ key: Group, hash: UInt, _ shards: NameShards, _ shardIndex: Int, home: GroupSegment?) {
        self.key = key
        super.init(hash: hash, shards, shardIndex, home: home)
    }

    override func makeSibling(_ shardIndex: Int) -> GroupSegment {
        KeyedGroupSegment(key, hash: hash, shards, shardIndex, home: self)
    }
}

/// A walk through the members of a group, a chunk at a time, which holds no lock in between.
@usableFromInline
struct MemberCursor {
    private var segments: [GroupSegment]
    private var chunkIndex: UInt32 = 0
    private var words: [32 of UInt64] = .init(repeating: 0)
    private var count = 0
    private var position = 0

    init(_ home: GroupSegment) {
        roost_enter()
        segments = home.segments.reversed()  // the next one last
        roost_leave()
    }

    /// The next member; nil past the last.
    @usableFromInline
    mutating func next() -> Pid? {
        while position == count {
            guard let segment = segments.last else { return nil }
            refill(segment)
        }
        defer { position += 1 }
        return Pid(word: words[position])
    }

    private mutating func refill(_ segment: GroupSegment) {
        position = 0
        count = 0
        roost_enter()
        defer { roost_leave() }
        roost_charge(1)
        if !segment.copyChunk(
            &chunkIndex,
            { word in
                words[count] = word
                count += 1
            })
        {
            chunkIndex = 0
            segments.removeLast()
        }
    }
}
