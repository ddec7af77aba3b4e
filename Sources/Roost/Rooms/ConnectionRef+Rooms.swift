// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import RoostIO
internal import RoostRuntime
internal import RoostWebSocket
internal import Synchronization

/// What a connection that is in rooms, or has been, has of them. In a block booked on its process.
@safe struct ConnectionRooms {
    /// While it is in a room.
    var process: ProcessRef
    var first: UnsafeMutablePointer<RoomMembership>?
    var count = 0
    /// Publications that wait for the socket, oldest first: the address of each, which is retained. The first
    /// `pendingHead` bytes are of those that have gone.
    var pending = ByteBlock()
    var pendingHead: UInt32 = 0
    /// What they count for towards `max-outbound-bytes`: `PublicationRef.backlogByteCount` of each.
    var pendingByteCount = 0
    /// The room whose backlog keeps the connection from being read, retained; and the `drainCount` that this waits for
    /// to grow.
    var full: Unmanaged<Room>?
    var drainCount: UInt64 = 0

    init(_ process: ProcessRef) {
        self.process = process
        unsafe first = nil
        unsafe full = nil
    }
}

extension ConnectionFlags {
    /// What keeps a member from being written to without looking further.
    static let mindsRoomFrames: Self = [.isBlocked, .isSecure, .isCompressible, .hasRoomFrames, .isOverrun]
}

// Joining and leaving. The connection's own process, or its scheduler where that has ended.

extension ConnectionRef {
    var word: UInt { @inline(__always) get { unsafe UInt(bitPattern: pointer) } }

    private func makeRooms(_ process: ProcessRef, _ scheduler: SchedulerRef) -> UnsafeMutablePointer<ConnectionRooms> {
        if let rooms = unsafe state.rooms { return unsafe rooms }
        let block = unsafe scheduler.allocate(byteCount: MemoryLayout<ConnectionRooms>.size, for: process)
        let rooms = unsafe block.bindMemory(to: ConnectionRooms.self, capacity: 1)
        unsafe rooms.initialize(to: ConnectionRooms(process))
        unsafe state.rooms = unsafe rooms
        return unsafe rooms
    }

    private func membership(in room: RoomName, of rooms: Rooms) -> UnsafeMutablePointer<RoomMembership>? {
        var membership = unsafe state.rooms?.pointee.first
        while let found = unsafe membership {
            let room = (unsafe found.pointee.shard.room, room)
            if room.0.rooms === rooms, room.0.name == room.1 { return unsafe found }
            unsafe membership = unsafe found.pointee.next
        }
        return nil
    }

    /// False when the connection is closing, or in as many rooms as it may be.
    func join(_ name: RoomName, of rooms: Rooms) -> Bool {
        guard state.phase == .open, state.closing.maySendMessages,
            let process = SchedulerRef.currentProcess, let scheduler = SchedulerRef.current
        else { return false }
        roost_charge(16)
        if unsafe membership(in: name, of: rooms) != nil { return true }
        let mine = unsafe makeRooms(process, scheduler)
        guard unsafe mine.pointee.count < RoomLimits.roomsPerConnectionMax else { return false }
        let room = rooms.enter(name, scheduler.runtime)
        let shard = room.shard(of: scheduler)
        let block = unsafe scheduler.allocate(byteCount: MemoryLayout<RoomMembership>.size, for: process)
        let membership = unsafe block.bindMemory(to: RoomMembership.self, capacity: 1)
        unsafe membership.initialize(to: RoomMembership(shard: shard, index: 0, next: mine.pointee.first))
        unsafe mine.pointee.first = unsafe membership
        unsafe mine.pointee.count += 1
        unsafe mine.pointee.process = process
        unsafe shard.shard.append(self, membership)
        return true
    }

    func leave(_ name: RoomName, of rooms: Rooms) {
        guard let mine = unsafe state.rooms, let left = unsafe membership(in: name, of: rooms) else { return }
        var link = unsafe mine.pointee.first
        if unsafe link == left {
            unsafe mine.pointee.first = unsafe left.pointee.next
        } else {
            while let before = unsafe link {
                if unsafe before.pointee.next == left {
                    unsafe before.pointee.next = unsafe left.pointee.next
                    break
                }
                unsafe link = unsafe before.pointee.next
            }
        }
        unsafe endMembership(left, mine, SchedulerRef.running)
    }

    /// Ends every membership: the connection, or the process whose handler has joined, is over (B4).
    func leaveRooms(_ scheduler: SchedulerRef) {
        guard let mine = unsafe state.rooms else { return }
        while let membership = unsafe mine.pointee.first {
            unsafe mine.pointee.first = unsafe membership.pointee.next
            unsafe endMembership(membership, mine, scheduler)
        }
    }

    private func endMembership(
        _ membership: UnsafeMutablePointer<RoomMembership>, _ mine: UnsafeMutablePointer<ConnectionRooms>,
        _ scheduler: SchedulerRef
    ) {
        let shard = unsafe membership.pointee.shard
        let room = shard.room
        unsafe shard.shard.remove(at: membership.pointee.index)
        unsafe mine.pointee.count -= 1
        unsafe scheduler.free(
            UnsafeMutableRawPointer(membership), byteCount: MemoryLayout<RoomMembership>.size,
            for: mine.pointee.process)
        room.rooms.leave(room)
    }

    /// Nothing is sent to the client any more but what its handler has sent: our close frame is about to leave, or the
    /// client has ended its side.
    @inline(__always)
    func endRooms(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        guard unsafe state.rooms != nil else { return }
        leaveRooms(scheduler)
        endRoomFrames(process, scheduler)
    }

    /// The connection is over.
    func freeRooms(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        guard let mine = unsafe state.rooms else { return }
        endRooms(process, scheduler)
        unsafe mine.pointee.full?.release()
        unsafe state.rooms = nil
        unsafe scheduler.free(
            UnsafeMutableRawPointer(mine), byteCount: MemoryLayout<ConnectionRooms>.size, for: process)
    }

    /// Bytes that go with the connection from process to process.
    var roomsByteCount: Int {
        guard let mine = unsafe state.rooms else { return 0 }
        return unsafe MemoryLayout<ConnectionRooms>.size + Int(mine.pointee.pending.capacity)
    }

    // MARK: Publishing

    /// False when the connection is held up by the backlog of a room already.
    func publish(
        _ opcode: Opcode, _ payload: UnsafeRawBufferPointer, to name: RoomName, of rooms: Rooms,
        _ audience: RoomAudience
    ) -> Bool {
        guard let process = SchedulerRef.currentProcess, let scheduler = SchedulerRef.current else { return false }
        roost_charge(16 &+ Int64(payload.count &>> 8))
        guard !state.flags.contains(.isHeldByRoom) else { return false }
        let known = unsafe membership(in: name, of: rooms).map { unsafe $0.pointee.shard.room }
        guard let room = known ?? rooms.find(name) else {
            rooms.counters.published.add(1, ordering: .relaxed)
            return true
        }
        unsafe room.publish(opcode, payload, except: audience == .others ? word : 0)
        if room.isFull { hold(for: room, process, scheduler) }
        return true
    }

    /// The room has more on its way than it may: what the client sends is left in its socket.
    private func hold(for room: Room, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        let mine = unsafe makeRooms(process, scheduler)
        guard let drainCount = room.wait(process) else { return }
        room.rooms.counters.publishersHeld.add(1, ordering: .relaxed)
        unsafe mine.pointee.full = Unmanaged.passRetained(room)
        unsafe mine.pointee.drainCount = drainCount
        state.flags.insert(.isHeldByRoom)
    }

    /// As `process`, which takes the place of one that crashed while it was held up: the room is to wake this one. Its
    /// first turn sees whether there is room again by now (B6).
    func holdAgain(_ process: ProcessRef) {
        guard let mine = unsafe state.rooms, let room = unsafe mine.pointee.full else { return }
        unsafe room._withUnsafeGuaranteedRef { _ = $0.wait(process) }
    }

    /// Goes on reading if the room has room again.
    func endHold(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        guard let mine = unsafe state.rooms, let room = unsafe mine.pointee.full else { return }
        let drainCount = unsafe room._withUnsafeGuaranteedRef { $0.drainCount.load(ordering: .sequentiallyConsistent) }
        guard unsafe drainCount != mine.pointee.drainCount else { return }
        unsafe mine.pointee.full = nil
        unsafe room.release()
        // What it has sent meanwhile, an awaited pong perhaps, is yet to be read: until then it is not silent.
        state.flags.subtract([.isHeldByRoom, .awaitsPong])
        state.lastReceived = scheduler.now
        process.wakeSelf()
    }
}
