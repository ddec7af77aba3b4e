// SPDX-License-Identifier: Apache-2.0

import Glibc
import Roost
import RoostTestHandlers

/// Joins a room and does what its client says there: what no command is, it publishes for the others.
struct RoomHandler: ConnectionHandler {
    typealias Message = String

    let probe: Probe
    let rooms: Rooms
    /// Joined when it opens; none where it is empty.
    let room: String

    func opened(_ connection: borrowing Connection<String>) {
        if !room.isEmpty, !connection.join(room, of: rooms) { probe.note("did not join") }
        connection.send("opened")
    }

    func text(_ text: UTF8Span, _ connection: borrowing Connection<String>) throws {
        try perform(String(copying: text), connection)
    }

    private func perform(_ line: String, _ connection: borrowing Connection<String>) throws {
        let words = line.split(separator: " ").map(String.init)
        switch words.first {
        case "join": connection.send("join \(connection.join(words[1], of: rooms))")
        case "leave":
            connection.leave(words[1], of: rooms)
            connection.send("left")
        case "to": connection.publish(words[2], to: words[1], of: rooms)
        case "everyone": connection.publish(words[1], to: room, of: rooms, for: .everyone)
        case "throw": throw Asked()
        case "trap": fatalError("asked to")
        case "wait":
            connection.send("waiting")
            _ = try connection.process.receive { $0 == "go" ? true : nil }
            connection.send("done")
        case "register":
            probe.register(connection.address)
            connection.send("registered")
        case "block":
            connection.send("blocking")
            Latch.wait(CInt(words[1])!)
            if words.count > 2 { try perform(words[2...].joined(separator: " "), connection) }
            connection.send("unblocked")
        case "fill":
            // Past what the room may have on its way.
            connection.publish(String(repeating: "x", count: 2_000), to: room, of: rooms)
            if words.count > 1 { try perform(words[1...].joined(separator: " "), connection) }
        case "close":
            connection.publish("bye", to: room, of: rooms, for: .everyone)
            connection.close(.normalClosure)
        case "burst":
            for index in 0..<(Int(words[1]) ?? 0) {
                connection.send(binary: [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: 10_000))
            }
            probe.note("burst")
        case "figures":
            let heap = try connection.process.information(of: connection.pid)?.heapByteCount ?? 0
            probe.note("figures \(connection.bufferedByteCount) \(heap)")
        case "turns":
            connection.publish("one", to: room, of: rooms)
            connection.address.send("turn 1")
        default: connection.publish(line, to: room, of: rooms)
        }
    }

    func binary(_ bytes: RawSpan, _ connection: borrowing Connection<String>) {
        if !connection.publish(binary: bytes, to: room, of: rooms) { probe.note("refused") }
    }

    /// Counts turns until the room has been served.
    func receive(_ message: String, _ connection: borrowing Connection<String>) {
        let words = message.split(separator: " ")
        guard words.first == "turn", let turn = Int(words[1]) else { return }
        let statistics = rooms.statistics
        probe.note("delivered \(statistics.delivered)")
        if statistics.delivered < statistics.members - 1 { connection.address.send("turn \(turn + 1)") }
    }
}

/// What a handler waits for in native code, where the runtime can neither preempt nor park it.
final class Latch {
    private let reading: CInt
    private let writing: CInt

    init() {
        var ends: [CInt] = [-1, -1]
        precondition(pipe(&ends) == 0, "pipe: errno \(errno)")
        (reading, writing) = (ends[0], ends[1])
    }

    deinit {
        Glibc.close(reading)
        Glibc.close(writing)
    }

    /// The command that has a `RoomHandler` wait, and do something afterwards.
    func block(_ then: String = "") -> String { "block \(reading) \(then)" }

    func open() {
        var byte: UInt8 = 0
        precondition(write(writing, &byte, 1) == 1, "write: errno \(errno)")
    }

    static func wait(_ descriptor: CInt) {
        var byte: UInt8 = 0
        while read(descriptor, &byte, 1) < 0 {}
    }
}
