// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import RoostRuntime
internal import RoostWebSocket
internal import Synchronization

/// Bounds of rooms.
public struct RoomLimits: Sendable, Equatable {
    /// Bytes of messages published in one room and not yet handed to all of its members, 1 KiB to 1 GiB; each message
    /// counts with some 80 bytes besides. Past it a connection that publishes is not read until half of that is left:
    /// its client is slowed by its own socket, and memory is bounded by this and one message of each publisher. A
    /// megabyte is some thousand small messages, more than are ever sent in one call.
    public var backlogByteCountMax = 1 << 20

    public init() {}

    /// Bytes of a room's name.
    public static let nameByteCountMax = 255
    /// Rooms that one connection may be in: they are searched one by one.
    public static let roomsPerConnectionMax = 1_000
}

/// Counts of a set of rooms since it was made. Each is exact by itself.
public struct RoomStatistics: Sendable, Equatable {
    /// Rooms that have members now, and their members.
    public package(set) var rooms = 0
    public package(set) var members = 0
    public package(set) var published = 0
    /// Messages handed to a member: to its socket, or to what waits for it because it reads slowly.
    public package(set) var delivered = 0
    /// Messages that waited for a member and were dropped, or found no room: it reads too slowly.
    public package(set) var dropped = 0
    /// Times a publisher was held up because its room had too much on its way.
    public package(set) var publishersHeld = 0

    package init() {}

    mutating func add(_ other: RoomStatistics) {
        rooms += other.rooms
        members += other.members
        published += other.published
        delivered += other.delivered
        dropped += other.dropped
        publishersHeld += other.publishersHeld
    }
}

/// Named rooms: what is published in one reaches all connections that have joined it.
///
/// A message is encoded once and shared by reference. It is written to the members' sockets without waking their
/// processes; a member that reads slowly follows its route's slow-consumer policy and holds up nobody. A room is there
/// while somebody is in it; names are compared byte by byte. Name these rooms in the routes that use them
/// (`Route.rooms`), so that they are counted.
public final class Rooms: Sendable {
    public let limits: RoomLimits
    let counters = RoomCounters()

    private struct State {
        var rooms: [RoomName: Room] = [:]
        var memberCount = 0
        /// Whose schedulers the shards are of.
        var runtime: Runtime?
    }
    private let state = Mutex(State())

    public init(limits: RoomLimits = RoomLimits()) {
        precondition(
            (1 << 10...1 << 30).contains(limits.backlogByteCountMax),
            "RoomLimits.backlogByteCountMax is \(limits.backlogByteCountMax); use 1024...1073741824")
        self.limits = limits
    }

    public var statistics: RoomStatistics {
        var statistics = RoomStatistics()
        (statistics.rooms, statistics.members) = withoutPreemption {
            state.withLock { ($0.rooms.count, $0.memberCount) }
        }
        counters.read(into: &statistics)
        return statistics
    }

    /// Publishes a message in a room, for all its members. From anywhere: a process, a task, another thread.
    ///
    /// False when the room has more on its way than it may (`RoomLimits.backlogByteCountMax`): nothing was published,
    /// try again later.
    @discardableResult
    public func publish(_ message: SharedMessage, to name: String) -> Bool {
        withoutPreemption {
            guard let room = find(RoomName(name)) else {
                counters.published.add(1, ordering: .relaxed)
                return true
            }
            guard !room.isFull else { return false }
            unsafe message.bytes.withUnsafeBytes { unsafe room.publish(message.opcode, $0, except: 0) }
            return true
        }
    }

    // MARK: Rooms by name. Inside the runtime.

    func find(_ name: RoomName) -> Room? { state.withLock { $0.rooms[name] } }

    /// The room of a new member; made if it is the first.
    func enter(_ name: RoomName, _ runtime: Runtime) -> Room {
        state.withLock { state in
            precondition(
                state.runtime == nil || state.runtime === runtime,
                "these Rooms are used by two runtimes; give each server its own")
            state.runtime = runtime
            state.memberCount += 1
            if let room = state.rooms[name] {
                room.memberCount += 1
                return room
            }
            return withoutOwner {
                let room = Room(name, of: self, runtime)
                room.memberCount = 1
                state.rooms[name] = room
                return room
            }
        }
    }

    /// A member is gone; with the last one, its room.
    func leave(_ room: Room) {
        let last = state.withLock { state -> Room? in
            state.memberCount -= 1
            room.memberCount -= 1
            if state.memberCount == 0 { state.runtime = nil }
            return room.memberCount == 0 ? state.rooms.removeValue(forKey: room.name) : nil
        }
        // Freed outside the lock.
        _ = last
    }
}

/// What happened in a set of rooms. Any thread.
final class RoomCounters: Sendable {
    let published = Atomic<Int>(0)
    let delivered = Atomic<Int>(0)
    let dropped = Atomic<Int>(0)
    let publishersHeld = Atomic<Int>(0)

    func read(into statistics: inout RoomStatistics) {
        statistics.published = published.load(ordering: .relaxed)
        statistics.delivered = delivered.load(ordering: .relaxed)
        statistics.dropped = dropped.load(ordering: .relaxed)
        statistics.publishersHeld = publishersHeld.load(ordering: .relaxed)
    }
}
