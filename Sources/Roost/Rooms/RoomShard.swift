// SPDX-License-Identifier: Apache-2.0

internal import RoostRuntime
internal import Synchronization

/// One member in a shard's list: the connection, and where it notes its place here.
@safe struct RoomMember {
    let connection: ConnectionRef
    let membership: UnsafeMutablePointer<RoomMembership>
}

/// One room that a connection is in. In a block of the connection's process; linked from `ConnectionRooms`.
@safe struct RoomMembership {
    let shard: RoomShardRef
    /// Of the connection in the shard's list.
    var index: Int
    var next: UnsafeMutablePointer<RoomMembership>?
}

/// The members of one room on one scheduler, and what is on its way to them.
///
/// | Field | Written by | Ordered by |
/// |---|---|---|
/// | `inbox` | any thread pushes, the scheduler takes | compare-exchange, releasing; exchange, acquiring |
/// | `memberCount` | the scheduler | releasing, acquiring: who finds members finds the deliverer |
/// | `nextReady` | who has made the shard ready | `Deliverer.ready` |
/// | the rest | the scheduler | |
///
/// While a pass goes over the members, the list is in three parts: those that have been served, [0, cursor); those that
/// are still to be, [cursor, end); those that have come since, [end, count). Who leaves is replaced by the last of its
/// part, and that by the last of the next: nobody is served twice or left out (B3), and it takes the same time however
/// many there are.
@safe struct RoomShard: ~Copyable {
    /// `idle`; `awake`: its deliverer has it, with nothing new; or the newest publication, each linked to the one
    /// before.
    let inbox = Atomic<UInt>(Self.idle)
    let memberCount = Atomic<Int>(0)
    var nextReady: UInt = 0
    let index: Int
    unowned(unsafe) let room: Room
    /// Kept: whoever publishes from outside may do so after the runtime has stopped.
    let deliverer: Deliverer
    private(set) var members: UnsafeMutablePointer<RoomMember>?
    private var capacity = 0
    private(set) var count = 0
    var cursor = 0
    private(set) var end = 0
    /// Publications that were taken in, oldest first.
    var queueHead: UInt = 0
    var queueTail: UInt = 0
    /// The pass that is under way.
    var pass: DeliveryPass?
    /// In the deliverer's list.
    var nextActive: UInt = 0

    static let idle: UInt = 0
    static let awake: UInt = 1

    init(_ room: Room, _ deliverer: Deliverer, index: Int) {
        unsafe self.room = room
        self.deliverer = deliverer
        self.index = index
        unsafe members = nil
    }

    deinit {
        unsafe members?.deallocate()
    }

    mutating func beginPass() {
        cursor = 0
        end = count
    }

    mutating func endPass() {
        cursor = 0
        end = 0
    }

    // MARK: Members

    mutating func append(_ connection: ConnectionRef, _ membership: UnsafeMutablePointer<RoomMembership>) {
        if count == capacity { setCapacity(max(8, capacity * 2)) }
        // Safe: there is room for `capacity` members.
        unsafe (members! + count).initialize(to: RoomMember(connection: connection, membership: membership))
        unsafe membership.pointee.index = count
        count += 1
        memberCount.store(count, ordering: .releasing)
    }

    mutating func remove(at index: Int) {
        var hole = index
        if hole < cursor {
            cursor -= 1
            move(cursor, to: hole)
            hole = cursor
        }
        if hole < end {
            end -= 1
            move(end, to: hole)
            hole = end
        }
        count -= 1
        move(count, to: hole)
        memberCount.store(count, ordering: .releasing)
        if capacity > 64, count < capacity / 4 { setCapacity(capacity / 2) }
    }

    private func move(_ from: Int, to index: Int) {
        guard from != index else { return }
        // Safe: both are below `count` as it was.
        unsafe members![index] = unsafe members![from]
        unsafe members![index].membership.pointee.index = index
    }

    private mutating func setCapacity(_ capacity: Int) {
        let fresh = unsafe withoutOwner { UnsafeMutablePointer<RoomMember>.allocate(capacity: capacity) }
        if let old = unsafe members {
            unsafe fresh.moveInitialize(from: old, count: count)
            unsafe old.deallocate()
        }
        unsafe members = unsafe fresh
        self.capacity = capacity
    }
}

/// A shard by its address; its room frees it.
// shared fields are atomics; the rest is its scheduler's
@safe struct RoomShardRef: Equatable, @unchecked Sendable {
    let pointer: UnsafeMutablePointer<RoomShard>

    @inline(__always)
    init(_ pointer: UnsafeMutablePointer<RoomShard>) { unsafe self.pointer = unsafe pointer }

    @inline(__always)
    init(word: UInt) { unsafe self.init(UnsafeMutablePointer(bitPattern: word).unsafelyUnwrapped) }

    var word: UInt { @inline(__always) get { unsafe UInt(bitPattern: pointer) } }

    static func == (a: RoomShardRef, b: RoomShardRef) -> Bool { unsafe a.pointer == b.pointer }

    var shard: RoomShard {
        // Safe: members and deliverers keep the room, and with it the shard.
        @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer) }
        @inline(__always) nonmutating unsafeMutableAddress { unsafe pointer }
    }

    var room: Room { @inline(__always) get { unsafe shard.room } }

    /// Adds a publication, whose reference goes with it. Any thread. Whoever finds the shard idle makes it ready.
    func push(_ publication: PublicationRef) {
        var seen = shard.inbox.load(ordering: .relaxed)
        while true {
            publication.setLink(shard.index, seen <= RoomShard.awake ? 0 : seen)
            let (done, value) = shard.inbox.weakCompareExchange(
                expected: seen, desired: publication.word, successOrdering: .acquiringAndReleasing,
                failureOrdering: .relaxed)
            if done { break }
            seen = value
        }
        if seen == RoomShard.idle { shard.deliverer.makeReady(self) }
    }

    /// Moves what was pushed to the end of the queue, oldest first. Its scheduler.
    func takeInbox() {
        guard shard.inbox.load(ordering: .relaxed) > RoomShard.awake else { return }
        var newest = shard.inbox.exchange(RoomShard.awake, ordering: .acquiring)
        let last = newest
        var oldest: UInt = 0
        while newest != 0 {
            let publication = PublicationRef(word: newest)
            newest = publication.link(shard.index)
            publication.setLink(shard.index, oldest)
            oldest = publication.word
        }
        if shard.queueTail == 0 {
            shard.queueHead = oldest
        } else {
            PublicationRef(word: shard.queueTail).setLink(shard.index, oldest)
        }
        shard.queueTail = last
    }

    /// Takes the oldest publication that is not in a pass yet.
    func popQueue() {
        shard.queueHead = PublicationRef(word: shard.queueHead).link(shard.index)
        if shard.queueHead == 0 { shard.queueTail = 0 }
    }

    /// Nothing more is to be delivered, unless something was pushed just now. Its scheduler.
    func becomeIdle() -> Bool {
        shard.inbox.compareExchange(
            expected: RoomShard.awake, desired: RoomShard.idle, ordering: .acquiringAndReleasing
        ).exchanged
    }

    /// The room is gone.
    func free() {
        takeInbox()
        while shard.queueHead != 0 {
            let publication = PublicationRef(word: shard.queueHead)
            popQueue()
            publication.release()
        }
        unsafe pointer.deinitialize(count: 1)
        unsafe pointer.deallocate()
    }
}
