// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import RoostRuntime
internal import RoostWebSocket
internal import Synchronization

/// One room: a shard for each scheduler that has had members of it. `Rooms` keeps it while it has any.
// `shards` are set once each, before their members are counted; the rest is atomic, locked or immutable
@safe final class Room: @unchecked Sendable {
    let name: RoomName
    let rooms: Rooms
    /// Whose schedulers the shards are of: they are there as long as the room is.
    private let runtime: Runtime
    /// Members on all schedulers; under the lock of `rooms`.
    var memberCount = 0
    /// Addresses of shards, 0 where there is none yet. The shard's scheduler sets its own.
    private let shards: UnsafeMutablePointer<Atomic<UInt>>
    private let shardCount: Int
    /// Of publications that some shard is not through with.
    let backlogByteCount = Atomic<Int>(0)
    /// Counts how often the backlog has come down to half of what it may be: those who waited go on.
    let drainCount = Atomic<UInt64>(0)
    private let waiters = Mutex<[ProcessRef]>([])

    init(_ name: RoomName, of rooms: Rooms, _ runtime: Runtime) {
        self.name = name
        self.rooms = rooms
        self.runtime = runtime
        shardCount = runtime.schedulerCount
        unsafe shards = .allocate(capacity: shardCount)
        for index in 0..<shardCount { unsafe (shards + index).initialize(to: Atomic(0)) }
    }

    deinit {
        for index in 0..<shardCount {
            if let shard = existingShard(index) { shard.free() }
            unsafe (shards + index).deinitialize(count: 1)
        }
        unsafe shards.deallocate()
    }

    private func existingShard(_ index: Int) -> RoomShardRef? {
        let word = unsafe shards[index].load(ordering: .acquiring)
        return word == 0 ? nil : RoomShardRef(word: word)
    }

    /// The shard of `scheduler`, whose thread this is.
    func shard(of scheduler: SchedulerRef) -> RoomShardRef {
        if let shard = existingShard(scheduler.index) { return shard }
        let pointer = unsafe withoutOwner { UnsafeMutablePointer<RoomShard>.allocate(capacity: 1) }
        unsafe pointer.initialize(to: RoomShard(self, Deliverer.of(scheduler), index: scheduler.index))
        let shard = unsafe RoomShardRef(pointer)
        unsafe shards[scheduler.index].store(shard.word, ordering: .releasing)
        return shard
    }

    // MARK: Publishing

    /// Hands a message to every shard that has members. Any thread.
    ///
    /// A publisher's messages reach each shard in the order published, and each member in the shard's (B2).
    func publish(_ opcode: Opcode, _ payload: UnsafeRawBufferPointer, except publisher: UInt) {
        rooms.counters.published.add(1, ordering: .relaxed)
        var targets: UInt64 = 0
        for index in 0..<shardCount {
            if let shard = existingShard(index), shard.shard.memberCount.load(ordering: .acquiring) > 0 {
                targets |= 1 << UInt64(index)
            }
        }
        guard targets != 0 else { return }
        let publication = unsafe PublicationRef.make(
            opcode, payload, publisher: publisher, of: rooms, linkCount: shardCount,
            shardCount: targets.nonzeroBitCount)
        backlogByteCount.add(publication.backlogByteCount, ordering: .sequentiallyConsistent)
        while targets != 0 {
            existingShard(targets.trailingZeroBitCount)?.push(publication)
            targets &= targets - 1
        }
    }

    /// A shard is through with a publication; its reference is given up.
    func delivered(_ publication: PublicationRef) {
        if publication.publication.undelivered.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 {
            let byteCount = publication.backlogByteCount
            let left = backlogByteCount.subtract(byteCount, ordering: .sequentiallyConsistent).newValue
            if left <= lowMark, left + byteCount > lowMark { wakeWaiters() }
        }
        publication.release()
    }

    // MARK: Backlog

    /// More is on its way than may be: whoever publishes is held up.
    var isFull: Bool { backlogByteCount.load(ordering: .sequentiallyConsistent) > rooms.limits.backlogByteCountMax }

    private var lowMark: Int { rooms.limits.backlogByteCountMax / 2 }

    /// Notes that `process` waits until the backlog is half of what it may be; nil when it is already, else what
    /// `drainCount` has by then grown past.
    ///
    /// The waiter is noted before the backlog is looked at; the deliverer lowers the backlog before it looks for
    /// waiters: one of them sees the other (B6).
    func wait(_ process: ProcessRef) -> UInt64? {
        let count = waiters.withLock { waiters in
            withoutOwner { waiters.append(process) }
            return drainCount.load(ordering: .relaxed)
        }
        return backlogByteCount.load(ordering: .sequentiallyConsistent) <= lowMark ? nil : count
    }

    private func wakeWaiters() {
        let waiting = waiters.withLock { waiters in
            drainCount.add(1, ordering: .sequentiallyConsistent)
            let taken = waiters
            waiters = []
            return taken
        }
        // One that has ended meanwhile, or is another, finds nothing.
        for process in waiting { Runtime.notify(process, .poke) }
    }
}
