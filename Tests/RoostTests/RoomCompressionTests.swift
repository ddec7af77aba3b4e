// SPDX-License-Identifier: Apache-2.0

import Roost
import RoostTestHandlers
import Testing

extension ServerTests {
    @Suite struct RoomCompression {
        private func routes(
            _ rooms: Rooms, _ probe: Probe = Probe(), _ configure: (inout ConnectionLimits) -> Void = { _ in }
        ) -> [Route] {
            var limits = ConnectionLimits()
            configure(&limits)
            func route(_ path: String, _ compression: CompressionPolicy) -> Route {
                Route(path, limits: limits, compression: compression, rooms: rooms) { _ in
                    RoomHandler(probe: probe, rooms: rooms, room: "a")
                }
            }
            return [
                route("/once", CompressionPolicy()), route("/takeover", CompressionPolicy(.takeover)),
                route("/off", .off),
            ]
        }

        private func joined(
            _ server: RoostServer, _ path: String, _ count: Int, offer: String = "permessage-deflate",
            receiveBuffer: CInt? = nil
        ) throws -> [DeflateClient] {
            try (0..<count).map { _ in
                let client = try DeflateClient(server, path, offer: offer, receiveBuffer: receiveBuffer)
                #expect(try client.receive().string == "opened")
                return client
            }
        }

        @Test("compressed once for each agreement, by each with context of its own, and not at all for the others")
        func agreements() async throws {
            let rooms = Rooms()
            try await withServer(routes(rooms), schedulers: 1) { server in
                let narrow = "permessage-deflate; server_max_window_bits=10"
                let compressed =
                    try joined(server, "/once", 20) + joined(server, "/once", 10, offer: narrow)
                let own = try joined(server, "/takeover", 3)
                let plain = try (0..<5).map { _ in try opened(server, "/off") }
                for number in 1...6 {
                    let text = prose(5_000, seed: UInt64(number))
                    #expect(rooms.publish(SharedMessage(text), to: "a"))
                    for client in compressed + own {
                        let frame = try client.receive()
                        #expect(frame.isCompressed && frame.opcode == 1 && frame.string == text)
                    }
                    for client in plain { #expect(try client.receive() == .text(text)) }
                    #expect(server.statistics.messagesCompressed == number * (2 + own.count))
                }
                #expect(rooms.publish(SharedMessage("short"), to: "a"))
                for client in compressed + own {
                    let frame = try client.receive()
                    #expect(!frame.isCompressed && frame.string == "short")
                }
                for client in plain { #expect(try client.receive() == .text("short")) }
                // What does not get smaller goes as it is.
                var generator = SeededGenerator(seed: 1)
                let noise = generator.noise(3_000)
                #expect(rooms.publish(SharedMessage(binary: noise), to: "a"))
                for client in compressed {
                    let frame = try client.receive()
                    #expect(!frame.isCompressed && frame.payload == noise)
                }
                for client in own { #expect(try client.receive().payload == noise) }
                for client in plain { #expect(try client.receive() == .binary(noise)) }
            }
        }

        @Test("a message too large for one turn is compressed in several; what follows stays behind it")
        func large() async throws {
            let rooms = Rooms()
            try await withServer(routes(rooms) { $0.outboundByteCountMax = 32 << 20 }, schedulers: 2) { server in
                let clients = try joined(server, "/once", 4) + joined(server, "/takeover", 2)
                let texts = [prose(2_000_000), "behind it", prose(70_000, seed: 2), "last"]
                for text in texts { while !rooms.publish(SharedMessage(text), to: "a") { await Task.yield() } }
                for client in clients { #expect(try client.texts(4) == texts) }
            }
        }

        @Test("what came while a callback waited is compressed with the member's context once it returns")
        func whileWaiting() async throws {
            let rooms = Rooms()
            let probe = Probe()
            // Nothing else wakes the connection.
            try await withServer(routes(rooms, probe) { $0.pingInterval = .zero }, schedulers: 1) { server in
                let client = try joined(server, "/takeover", 1)[0]
                try client.send("register")
                #expect(try client.receive().string == "registered")
                for round in 1...3 {
                    try client.send("wait")
                    #expect(try client.receive().string == "waiting")
                    let texts = (0..<5).map { prose(1_000, seed: UInt64(10 * round + $0)) }
                    for text in texts { #expect(rooms.publish(SharedMessage(text), to: "a")) }
                    try await eventually("they wait") { rooms.statistics.delivered == 5 * round }
                    probe.addresses[0].send("go")
                    #expect(try client.receive().string == "done")
                    #expect(try client.texts(5) == texts)
                }
            }
        }

        @Test("a member with a context of its own that reads is not taken for slow: its room waits for its process")
        func prompt() async throws {
            let rooms = Rooms()
            try await withServer(routes(rooms) { $0.outboundByteCountMax = 16 << 10 }, schedulers: 1) { server in
                let clients = try joined(server, "/takeover", 3)
                let publisher = try opened(server, "/off")
                let texts = (0..<400).map { prose(300, seed: UInt64($0)) }
                try publisher.send(texts.flatMap { Frame.text($0).encoded })
                for client in clients { #expect(try client.texts(texts.count) == texts) }
                #expect(rooms.statistics.dropped == 0 && rooms.statistics.delivered == 3 * texts.count)
            }
        }

        @Test("a silent client is pinged although messages wait for its handler")
        func pings() async throws {
            let rooms = Rooms()
            let probe = Probe()
            let routes = routes(rooms, probe) {
                $0.pingInterval = .milliseconds(100)
                $0.pongTimeout = .seconds(60)
            }
            try await withServer(routes, schedulers: 1) { server in
                let client = try joined(server, "/takeover", 1)[0]
                try client.send("register")
                #expect(try client.receive().string == "registered")
                try client.send("wait")
                #expect(try client.receive().string == "waiting")
                #expect(rooms.publish(SharedMessage("kept"), to: "a"))
                try await eventually("it waits") { rooms.statistics.delivered == 1 }
                // One may have been sent before.
                for _ in 0..<3 {
                    #expect(try client.receive().opcode == 9)
                    try client.send(.pong(""))
                }
                probe.addresses[0].send("go")
                var texts: [String] = []
                while texts.count < 2 {
                    let frame = try client.receive()
                    if frame.opcode == 1 { texts.append(frame.string) }
                }
                #expect(texts == ["done", "kept"])
            }
        }

        @Test("slow members: what waits stays in order, with context and without", arguments: ["/once", "/takeover"])
        func slow(path: String) async throws {
            let rooms = Rooms()
            try await withServer(routes(rooms) { $0.outboundByteCountMax = 64 << 20 }, schedulers: 1) { server in
                let slow = try joined(server, path, 1, receiveBuffer: 4_096)[0]
                let quick = try joined(server, path, 1)[0]
                let count = 300
                for number in 0..<count {
                    let bytes = blend(number)
                    while !rooms.publish(SharedMessage(binary: bytes + bytes + bytes), to: "a") { await Task.yield() }
                    #expect(try quick.receive().payload == bytes + bytes + bytes)
                }
                for number in 0..<count {
                    let bytes = blend(number)
                    #expect(try slow.receive().payload == bytes + bytes + bytes)
                }
            }
        }
    }
}
