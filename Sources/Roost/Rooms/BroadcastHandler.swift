// SPDX-License-Identifier: Apache-2.0

internal import RoostHTTP

/// Sends what its client sends to all others in the same room. The built-in route kind `broadcast`.
public struct BroadcastHandler: ConnectionHandler {
    private let rooms: Rooms
    private let room: String

    /// The room is what the path has behind its route's: `/broadcast/<room>`. Throws `ConnectionRefused` with 404 where
    /// that is not exactly one segment, neither empty nor longer than `RoomLimits.nameByteCountMax`.
    public init(_ request: borrowing ConnectRequest, _ rooms: Rooms) throws {
        let room = request.pathRemainder
        // A slash that is part of a name is written %2F: the segments are counted before they are decoded.
        let segment = request.head.encodedPath.utf8.split(
            separator: UInt8(ascii: "/"), omittingEmptySubsequences: false
        )
        .last
        let isWhole = segment.map { segment in
            room.utf8.count(where: { $0 == UInt8(ascii: "/") }) == Self.escapedSlashCount(Array(segment))
        }
        guard !room.isEmpty, room.utf8.count <= RoomLimits.nameByteCountMax, isWhole == true else {
            throw ConnectionRefused(.notFound, reason: "a room's name is one segment of 1 to 255 bytes")
        }
        self.rooms = rooms
        self.room = room
    }

    private static func escapedSlashCount(_ segment: [UInt8]) -> Int {
        segment.indices.dropLast(2).count { index in
            segment[index] == UInt8(ascii: "%") && segment[index + 1] == UInt8(ascii: "2")
                && segment[index + 2] | 0x20 == UInt8(ascii: "f")
        }
    }

    public mutating func opened(_ connection: borrowing Connection<Never>) {
        connection.join(room, of: rooms)
    }

    public mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<Never>) {
        connection.publish(text, to: room, of: rooms)
    }

    public mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Never>) {
        connection.publish(binary: bytes, to: room, of: rooms)
    }
}
