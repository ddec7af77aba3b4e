// SPDX-License-Identifier: Apache-2.0

import Roost
import Synchronization

/// What a room is told of one message.
struct RoomMessage: Sendable {
    var bytes: [UInt8]
    var isText = false
    /// The member's connection is to end instead.
    var closes = false
}

/// How a server of rooms goes wrong, in a way that is known.
enum RoomFault: Sendable, Equatable {
    case none
    /// Message `number` of the room does not reach the first of its members that are to hear it.
    case lostForOne(number: Int)
    /// Every message whose number is a multiple of `every` reaches nobody.
    case lostForAll(every: Int)
    /// Messages `number` and `number + 1` go out in the other order.
    case swapped(number: Int)
    /// Message `number` goes out twice.
    case doubled(number: Int)
    /// In message `number` the byte at `offset` is another.
    case changed(number: Int, offset: Int)
    /// Message `number` is the beginning of itself only.
    case cut(number: Int)
    /// With message `number` the first of those that hear it is sent away.
    case closed(number: Int)
    /// Before message `number` the room stands still for so long.
    case stalled(number: Int, milliseconds: Int)
}

/// Rooms of a server: who is in them, and how many messages they had. Publishers, which connect to another path, or
/// are members themselves, are not sent what they publish unless `echoes`.
final class TestRooms: Sendable {
    let fault: RoomFault
    let echoes: Bool
    /// Put around each message.
    let wrapping: (before: String, after: String)?

    private struct Room {
        var members: [(address: Address<RoomMessage>, isListening: Bool)] = []
        var messageCount = 0
        var held: RoomMessage?
    }

    private let rooms = Mutex<[String: Room]>([:])

    init(_ fault: RoomFault = .none, echoes: Bool = false, wrapping: (before: String, after: String)? = nil) {
        self.fault = fault
        self.echoes = echoes
        self.wrapping = wrapping
    }

    /// Messages that were published, over all rooms.
    var messageCount: Int { rooms.withLock { $0.values.reduce(0) { $0 + $1.messageCount } } }

    func join(_ name: String, _ address: Address<RoomMessage>, isListening: Bool) {
        withoutPreemption {
            rooms.withLock { $0[name, default: Room()].members.append((address, isListening)) }
        }
    }

    func leave(_ name: String, _ address: Address<RoomMessage>) {
        withoutPreemption { rooms.withLock { $0[name]?.members.removeAll { $0.address == address } } }
    }

    /// Sends it to whom it is for, or does what the fault is. `sleep` waits so many milliseconds.
    func publish(_ name: String, _ message: RoomMessage, from sender: Address<RoomMessage>, sleep: (Int) throws -> Void)
        rethrows
    {
        var message = message
        if let wrapping {
            message.bytes = Array(wrapping.before.utf8) + message.bytes + Array(wrapping.after.utf8)
        }
        let number = withoutPreemption {
            rooms.withLock { rooms in
                rooms[name, default: Room()].messageCount += 1
                return rooms[name]!.messageCount
            }
        }
        if case .stalled(number, let milliseconds) = fault { try sleep(milliseconds) }
        withoutPreemption {
            rooms.withLock { rooms in
                guard var room = rooms[name] else { return }
                for outgoing in faulty(message, number, &room) {
                    for (index, member) in room.members.filter({ hears($0, sender) }).enumerated() {
                        if case .lostForOne(number) = fault, index == 0 { continue }
                        var outgoing = outgoing
                        if case .closed(number) = fault, index == 0 { outgoing.closes = true }
                        member.address.send(outgoing)
                    }
                }
                rooms[name] = room
            }
        }
    }

    private func hears(_ member: (address: Address<RoomMessage>, isListening: Bool), _ sender: Address<RoomMessage>)
        -> Bool
    {
        member.address == sender ? echoes : member.isListening
    }

    private func faulty(_ message: RoomMessage, _ number: Int, _ room: inout Room) -> [RoomMessage] {
        var message = message
        switch fault {
        case .none, .lostForOne, .closed, .stalled: return [message]
        case .lostForAll(let every): return number.isMultiple(of: every) ? [] : [message]
        case .swapped(let first):
            if number == first {
                room.held = message
                return []
            }
            return number == first + 1 ? [message, room.held!] : [message]
        case .doubled(let which): return number == which ? [message, message] : [message]
        case .changed(let which, let offset):
            if number == which { message.bytes[offset] ^= 1 }
            return [message]
        case .cut(let which):
            if number == which { message.bytes.removeLast() }
            return [message]
        }
    }
}

/// A member of the room that the rest of the path names: hears what others send to it.
struct RoomHandler: ConnectionHandler {
    typealias Message = RoomMessage

    let rooms: TestRooms
    var room: String
    /// It only publishes.
    var isMute = false
    /// The room is what the first message says, `join NAME`.
    var joinsByMessage = false

    init(_ rooms: TestRooms, _ request: borrowing ConnectRequest, isMute: Bool = false, joinsByMessage: Bool = false) {
        self.rooms = rooms
        self.isMute = isMute
        self.joinsByMessage = joinsByMessage
        room = request.pathRemainder
    }

    mutating func opened(_ connection: borrowing Connection<RoomMessage>) {
        if !joinsByMessage { rooms.join(room, connection.address, isListening: !isMute) }
    }

    mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<RoomMessage>) throws {
        let words = String(copying: text)
        if joinsByMessage, words.hasPrefix("join ") {
            room = String(words.dropFirst("join ".count))
            rooms.join(room, connection.address, isListening: true)
            connection.send("joined \(room)")
            return
        }
        try publish(RoomMessage(bytes: Array(words.utf8), isText: true), connection)
    }

    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<RoomMessage>) throws {
        // Safe: copied within the call.
        try publish(RoomMessage(bytes: unsafe bytes.withUnsafeBytes { unsafe Array($0) }), connection)
    }

    private func publish(_ message: RoomMessage, _ connection: borrowing Connection<RoomMessage>) throws {
        let (rooms, room, address) = (rooms, room, connection.address)
        let process = connection.process
        try rooms.publish(room, message, from: address) { try process.sleep(.milliseconds($0)) }
    }

    mutating func receive(_ message: RoomMessage, _ connection: borrowing Connection<RoomMessage>) {
        if message.closes {
            connection.close(.goingAway, reason: "enough")
        } else if message.isText {
            connection.send(String(decoding: message.bytes, as: UTF8.self))
        } else {
            connection.send(binary: message.bytes)
        }
    }

    mutating func terminated(_ reason: CloseReason, _ connection: borrowing Connection<RoomMessage>) {
        rooms.leave(room, connection.address)
    }
}
