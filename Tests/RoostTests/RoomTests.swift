// SPDX-License-Identifier: Apache-2.0

import Roost
import RoostTestHandlers
import Testing

/// Routes of one set of rooms: `/in/<room>` joins, `/out` does not.
func roomRoutes(
    _ rooms: Rooms, _ probe: Probe = Probe(), restart: RestartPolicy = .restart(),
    compression: CompressionPolicy = .off, _ configure: (inout ConnectionLimits) -> Void = { _ in }
) -> [Route] {
    var limits = ConnectionLimits()
    configure(&limits)
    return [
        Route("/in/*", limits: limits, restart: restart, compression: compression, rooms: rooms) { request in
            RoomHandler(probe: probe, rooms: rooms, room: request.pathRemainder)
        },
        Route("/out", limits: limits, rooms: rooms) { _ in RoomHandler(probe: probe, rooms: rooms, room: "") },
    ]
}

/// A client whose handler has opened.
func opened(_ server: RoostServer, _ path: String = "/in/a", receiveBuffer: CInt? = nil) throws -> RawClient {
    let client = try RawClient(server, path, receiveBuffer: receiveBuffer)
    #expect(try client.receive().string == "opened")
    return client
}

func opened(_ count: Int, _ server: RoostServer, _ path: String = "/in/a") throws -> [RawClient] {
    try (0..<count).map { _ in try opened(server, path) }
}

extension ServerTests {
    @Suite struct RoomTests {
        @Test(
            "all others get a message; its publisher, those in other rooms and those who left do not",
            arguments: [1, 3])
        func others(schedulers: Int) async throws {
            let rooms = Rooms()
            try await withServer(roomRoutes(rooms), schedulers: schedulers) { server in
                let clients = try opened(12, server)
                let elsewhere = try opened(server, "/in/b")
                let outside = try opened(server, "/out")
                #expect(rooms.statistics.rooms == 2 && rooms.statistics.members == 13)
                try clients[0].send("first")
                for client in clients.dropFirst() { #expect(try client.receive() == .text("first")) }
                try clients[1].send("everyone second")
                for client in clients { #expect(try client.receive() == .text("second")) }
                try outside.send("to b third")
                #expect(try elsewhere.receive() == .text("third"))
                #expect(try clients[2].ask("leave a") == "left")
                try clients[2].send("fourth")
                for (index, client) in clients.enumerated() where index != 2 {
                    #expect(try client.receive() == .text("fourth"))
                }
                #expect(try clients[2].ask("join a") == "join true")
                #expect(try clients[2].ask("join a") == "join true")
                #expect(rooms.statistics.members == 13)
                try clients[3].send(.binary([1, 2, 3]))
                for (index, client) in clients.enumerated() where index != 3 {
                    #expect(try client.receive() == .binary([1, 2, 3]))
                }
                try outside.send("to nowhere unheard")
                try await eventually("published") { rooms.statistics.published == 6 }
                #expect(rooms.statistics.delivered == 11 + 12 + 1 + 11 + 11)
                #expect(server.statistics.rooms == rooms.statistics)
            }
            #expect(rooms.statistics.rooms == 0 && rooms.statistics.members == 0)
        }

        @Test(
            "a membership ends with the connection, however it does", arguments: ["close", "reset", "end", "1011"])
        func ends(how: String) async throws {
            let rooms = Rooms()
            try await withServer(roomRoutes(rooms, restart: how == "1011" ? .close : .restart())) { server in
                let stays = try opened(server)
                let leaves = try opened(server)
                switch how {
                case "close": try leaves.send(.close(1_000))
                case "reset": leaves.reset()
                case "end": leaves.endWriting()
                default: try leaves.send("trap")
                }
                try await eventually("one is left") { rooms.statistics.members == 1 }
                try stays.send("nobody")
                #expect(try stays.ask("leave a") == "left")
                #expect(rooms.statistics.rooms == 0)
            }
        }

        @Test("a crash ends the memberships of its handler; the fresh one joins again", arguments: ["throw", "trap"])
        func crash(how: String) async throws {
            let rooms = Rooms()
            try await withServer(roomRoutes(rooms), schedulers: 1) { server in
                let stays = try opened(server)
                let crashes = try opened(server)
                #expect(try crashes.ask("join b") == "join true")
                #expect(rooms.statistics.rooms == 2)
                #expect(try crashes.ask(how) == "opened")
                #expect(rooms.statistics.rooms == 1 && rooms.statistics.members == 2)
                try stays.send("to b lost")
                try stays.send("kept")
                #expect(try crashes.receive() == .text("kept"))
                try crashes.send("back")
                #expect(try stays.receive() == .text("back"))
            }
        }

        @Test(
            "messages of each publisher arrive in order; on one scheduler all members see the same", arguments: [1, 2])
        func order(schedulers: Int) async throws {
            let rooms = Rooms()
            try await withServer(roomRoutes(rooms), schedulers: schedulers) { server in
                let publishers = try opened(4, server, "/out")
                let members = try opened(6, server)
                let count = 300
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for (index, publisher) in publishers.enumerated() {
                        nonisolated(unsafe) let publisher = publisher
                        group.addTask {
                            for number in 0..<count { try publisher.send("to a \(index):\(number)") }
                        }
                    }
                    try await group.waitForAll()
                }
                var seen: [[String]] = []
                for member in members { seen.append(try member.texts(4 * count)) }
                for texts in seen {
                    for index in 0..<4 {
                        #expect(
                            texts.filter { $0.hasPrefix("\(index):") } == (0..<count).map { "\(index):\($0)" })
                    }
                }
                if schedulers == 1 { #expect(seen.allSatisfy { $0 == seen[0] }) }
            }
        }

        @Test("who publishes some of a batch gets the others of it")
        func mixedBatch() async throws {
            let rooms = Rooms()
            try await withServer(roomRoutes(rooms), schedulers: 1) { server in
                let clients = try opened(8, server)
                let count = 200
                for number in 0..<count {
                    for (index, client) in clients.enumerated() { try client.send("\(index):\(number)") }
                }
                for (own, client) in clients.enumerated() {
                    let texts = try client.texts(7 * count)
                    for index in 0..<8 {
                        let expected = index == own ? [] : (0..<count).map { "\(index):\($0)" }
                        #expect(texts.filter { $0.hasPrefix("\(index):") } == expected)
                    }
                }
            }
        }

        @Test("a message published from outside reaches the room; a message may have any size")
        func fromOutside() async throws {
            let rooms = Rooms()
            try await withServer(roomRoutes(rooms) { $0.outboundByteCountMax = 8 << 20 }) { server in
                let members = try opened(4, server)
                for size in [0, 125, 126, 65_535, 65_536, 65_537, 700_000] {
                    let payload = blendedBytes(size)
                    #expect(rooms.publish(SharedMessage(binary: payload), to: "a"))
                    for member in members { #expect(try member.receive() == .binary(payload)) }
                }
                #expect(rooms.publish(SharedMessage("für alle"), to: "a"))
                for member in members { #expect(try member.receive() == .text("für alle")) }
            }
        }

        @Test("a message that comes in fragments goes out whole; pings in between are answered (RFC 6455 §5.4)")
        func fragments() async throws {
            let rooms = Rooms()
            try await withServer(roomRoutes(rooms)) { server in
                let clients = try opened(3, server)
                var first = Frame.text("one ")
                first.isLast = false
                try clients[0].send(first, .ping("between"), Frame(opcode: 0, payload: Array("message".utf8)))
                #expect(try clients[0].receive() == .pong("between"))
                for client in clients.dropFirst() { #expect(try client.receive() == .text("one message")) }
            }
        }

        @Test("nothing of a room follows our close frame")
        func close() async throws {
            let rooms = Rooms()
            try await withServer(roomRoutes(rooms), schedulers: 1) { server in
                let clients = try opened(3, server)
                try clients[0].send("close")
                for client in clients.dropFirst() { #expect(try client.receive() == .text("bye")) }
                #expect(try clients[0].receive().closeCode == 1_000)
                try clients[1].send("after")
                #expect(try clients[2].receive() == .text("after"))
                try clients[0].send(.close(1_000))
                #expect(clients[0].isEnded())
            }
        }

        @Test("a member whose callback waits is sent messages all the same")
        func whileWaiting() async throws {
            let rooms = Rooms()
            try await withServer(roomRoutes(rooms), schedulers: 1) { server in
                let clients = try opened(2, server)
                #expect(try clients[0].ask("wait") == "waiting")
                for number in 0..<50 { try clients[1].send("number \(number)") }
                #expect(try clients[0].texts(50) == (0..<50).map { "number \($0)" })
                clients[0].reset()
            }
        }

        @Test("others of the scheduler have their turns while a room is served")
        func turns() async throws {
            let rooms = Rooms()
            let probe = Probe()
            try await withServer(
                roomRoutes(rooms, probe), schedulers: 1,
                // On a busy machine the handler's own turn might be taken for a stuck one.
                configure: { $0.runtime.stuckSchedule = .zero }
            ) { server in
                let clients = try opened(400, server)
                try clients[0].send("turns")
                for client in clients.dropFirst() { #expect(try client.receive() == .text("one")) }
                try await probe.waitFor("delivered 399")
                let counts = [0] + probe.events.compactMap { $0.hasPrefix("delivered") ? Int($0.dropFirst(10)) : nil }
                // A turn of the deliverer has 2,000 reductions, of which a member takes 200. This handler uses its own
                // turns up, so that it has one after at most eight others.
                for (before, after) in zip(counts, counts.dropFirst()) { #expect(after - before <= 9 * 11) }
            }
        }

        @Test("who publishes faster than its room can be served is held up: nothing is lost, and it goes on")
        func backlog() async throws {
            var limits = RoomLimits()
            limits.backlogByteCountMax = 4 << 10
            let rooms = Rooms(limits: limits)
            let probe = Probe()
            try await withServer(roomRoutes(rooms, probe) { $0.outboundByteCountMax = 32 << 20 }, schedulers: 1) {
                server in
                let clients = try opened(60, server)
                let count = 2_000
                try clients[0].send(
                    (0..<count).flatMap { Frame.binary([UInt8($0 >> 8), UInt8($0 & 255)]).encoded })
                try clients[0].send(.ping("through"))
                for client in clients.dropFirst() {
                    for number in 0..<count {
                        #expect(try client.receive() == .binary([UInt8(number >> 8), UInt8(number & 255)]))
                    }
                }
                #expect(try clients[0].receive() == .pong("through"))
                #expect(rooms.statistics.publishersHeld > 1)
                #expect(!probe.events.contains("refused"))
                try clients[0].send("and on")
                #expect(try clients[1].receive() == .text("and on"))
            }
        }

        @Test("a publisher whose handler crashes while it is held up goes on when its room has room again")
        func crashWhileHeld() async throws {
            var limits = RoomLimits()
            limits.backlogByteCountMax = 1 << 10
            let rooms = Rooms(limits: limits)
            // Nothing else wakes the connection.
            try await withServer(roomRoutes(rooms) { $0.pingInterval = .zero }, schedulers: 1) { server in
                let members = try opened(400, server)
                let publisher = try opened(server)
                for _ in 0..<3 {
                    try publisher.send(.text("fill throw"), .ping("on"))
                    #expect(try publisher.receive() == .text("opened"))
                    #expect(try publisher.receive() == .pong("on"))
                }
                #expect(rooms.statistics.publishersHeld == 3)
                for client in members {
                    for _ in 0..<3 { #expect(try client.receive().payload.count == 2_000) }
                }
            }
        }

        @Test("a room is known by the bytes of its name, whatever they are to a reader")
        func names() async throws {
            let rooms = Rooms()
            // é in two ways; a mark that belongs to the slash before it, as people see it; an emoji's modifier.
            let names = ["%C3%A9", "e%CC%81", "%CC%81", "%E2%80%8D", "%F0%9F%8F%BB", "%20", "a/b"]
            try await withServer(roomRoutes(rooms)) { server in
                let clients = try names.map { try opened(2, server, "/in/" + $0) }
                #expect(rooms.statistics.rooms == names.count)
                for (name, pair) in zip(names, clients) { try pair[0].send(name) }
                for (name, pair) in zip(names, clients) { #expect(try pair[1].receive() == .text(name)) }
                #expect(try clients[0][0].ask("join e\u{301}") == "join true")
                #expect(rooms.statistics.members == 2 * names.count + 1)
                #expect(try clients[0][0].ask("leave e\u{301}") == "left")
                try clients[1][0].send("apart")
                #expect(try clients[1][1].receive() == .text("apart"))
                try clients[0][1].send("too")
                #expect(try clients[0][0].receive() == .text("too"))
            }
        }

        @Test("what is published after the server has stopped is taken, and reaches nobody")
        func afterStop() async throws {
            let rooms = Rooms()
            struct Stopped: Error {}
            var kept: [RawClient] = []
            do {
                try await withServer(roomRoutes(rooms)) { server in
                    kept = try opened(4, server)
                    throw Stopped()
                }
            } catch is Stopped {}
            for number in 0..<100 { #expect(rooms.publish(SharedMessage("number \(number)"), to: "a")) }
            #expect(rooms.statistics.delivered == 0 && rooms.statistics.members == kept.count)
        }

        @Test("members that come and go while a room is served: those that stay get each message once")
        func churn() async throws {
            let seed = UInt64.random(in: 0 ... .max)
            print("seed \(seed)")
            var generator = SeededGenerator(seed: seed)
            let rooms = Rooms()
            try await withServer(roomRoutes(rooms), schedulers: 1) { server in
                let staying = try opened(20, server)
                let moving = try opened(30, server)
                let publisher = try opened(server, "/out")
                let count = 500
                for number in 0..<count {
                    try publisher.send("to a \(number)")
                    for _ in 0..<2 {
                        let client = moving[Int.random(in: 0..<30, using: &generator)]
                        try client.send(Bool.random(using: &generator) ? "leave a" : "join a")
                    }
                }
                for client in staying { #expect(try client.texts(count) == (0..<count).map(String.init)) }
                for client in moving {
                    try client.send(.close(1_000))
                    var last = -1
                    while true {
                        let frame = try client.receive()
                        if frame.opcode == 8 { break }
                        guard let number = Int(frame.string) else { continue }
                        #expect(number > last)
                        last = number
                    }
                }
            }
        }
    }
}

/// Bytes that differ from place to place.
func blendedBytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }
