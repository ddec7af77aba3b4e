// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import RoostRuntime
internal import RoostWebSocket

/// Who of a room is sent what a connection publishes there.
public enum RoomAudience: Sendable {
    /// All but the connection that publishes.
    case others
    case everyone
}

extension Connection {
    /// Joins a room: what is published there from now on is sent to this client, without waking this process. Ends
    /// with `leave`, when the connection begins to close, and with the process when the handler crashes: a fresh
    /// handler joins again.
    ///
    /// Messages of a room, and what the handler itself sends, are in no order among each other. False when the
    /// connection is closing, or in `RoomLimits.roomsPerConnectionMax` rooms; true also where it is in this one
    /// already.
    @discardableResult
    public func join(_ room: String, of rooms: Rooms) -> Bool {
        let connection = roomConnection
        precondition(connection.role == .server, "a client's connection was to join a room; only a server's may")
        precondition(
            room.utf8.count <= RoomLimits.nameByteCountMax,
            "a room's name has at most \(RoomLimits.nameByteCountMax) bytes")
        roost_enter()
        defer { roost_leave() }
        return connection.join(RoomName(room), of: rooms)
    }

    public func leave(_ room: String, of rooms: Rooms) {
        let connection = roomConnection
        roost_enter()
        defer { roost_leave() }
        connection.leave(RoomName(room), of: rooms)
    }

    /// Publishes a text message in a room, which this connection need not be in.
    ///
    /// Where the room has more on its way than it may, this connection is not read before it has less
    /// (`RoomLimits.backlogByteCountMax`). What its handler publishes meanwhile is refused: false.
    @discardableResult
    public func publish(_ text: UTF8Span, to room: String, of rooms: Rooms, for audience: RoomAudience = .others)
        -> Bool
    {
        // Safe: the span's bytes are lent for the call, which copies them.
        unsafe text.span.withUnsafeBytes { bytes in unsafe publish(.text, bytes, room, rooms, audience) }
    }

    /// Publishes a text message in a room.
    @discardableResult
    public func publish(_ text: String, to room: String, of rooms: Rooms, for audience: RoomAudience = .others) -> Bool
    {
        var text = text
        return text.withUTF8 { unsafe publish(.text, UnsafeRawBufferPointer($0), room, rooms, audience) }
    }

    /// Publishes a binary message in a room.
    @discardableResult
    public func publish(binary bytes: RawSpan, to room: String, of rooms: Rooms, for audience: RoomAudience = .others)
        -> Bool
    {
        unsafe bytes.withUnsafeBytes { bytes in unsafe publish(.binary, bytes, room, rooms, audience) }
    }

    private var roomConnection: ConnectionRef {
        guard let connection = ConnectionRef.current else {
            preconditionFailure("a Connection was used outside the process that it was lent to")
        }
        return connection
    }

    private func publish(
        _ opcode: Opcode, _ bytes: UnsafeRawBufferPointer, _ room: String, _ rooms: Rooms, _ audience: RoomAudience
    ) -> Bool {
        roost_enter()
        defer { roost_leave() }
        return unsafe roomConnection.publish(opcode, bytes, to: RoomName(room), of: rooms, audience)
    }
}
