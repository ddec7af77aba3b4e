// SPDX-License-Identifier: Apache-2.0

import Roost
import RoostTestHandlers
import Testing

extension ServerTests {
    @Suite struct Ends {
        @Test(
            "terminated is called exactly once, with the reason",
            arguments: [
                "client", "empty", "handler", "lost", "reset", "broken", "big", "idle", "pong", "slow",
            ])
        func terminated(how: String) async throws {
            let probe = Probe()
            let routes = script(probe) { limits in
                limits.messageByteCountMax = 1_000
                limits.outboundByteCountMax = 20_000
                limits.closeTimeout = .milliseconds(100)
                if how == "idle" { limits.idleTimeout = .milliseconds(100) }
                if how == "pong" { limits.pingInterval = .milliseconds(100) }
                limits.pongTimeout = .milliseconds(100)
            }
            try await withServer(routes) { server in
                let client = try RawClient(server, receiveBuffer: 4_096)
                #expect(try client.ask("register") == "registered")
                let expected: String
                switch how {
                case "client":
                    try client.send(.close(4_321))
                    expected = "client_closed 4321"
                case "empty":
                    try client.send(Frame(opcode: 8, payload: []))
                    expected = "client_closed 1005"
                case "handler":
                    try client.send("close 4000")
                    expected = "handler_closed 4000"
                case "lost":
                    client.endWriting()
                    expected = "connection_lost 1006"
                case "reset":
                    client.reset()
                    expected = "connection_lost 1006"
                case "broken":
                    try client.send(Frame(opcode: 3, payload: []))
                    expected = "protocol_error 1002"
                case "big":
                    try client.send(.binary([UInt8](repeating: 0, count: 1_001)))
                    expected = "message_too_big 1009"
                case "idle": expected = "idle_timeout 1001"
                case "pong": expected = "pong_timeout 1001"
                default:
                    try client.send("burst 2000")
                    expected = "slow_consumer 1008"
                }
                try await eventually("terminated: \(probe.events)") { probe.terminations.count == 1 }
                #expect(probe.terminations == ["terminated \(expected)"])
                try await eventually("none is left") { server.connectionCount == 0 }
                #expect(probe.terminations.count == 1)
                try await eventually("nobody is there") { !probe.addresses[0].send("nobody") }
                try await eventually("its token is freed") { probe.tokenCount == 0 }
                #expect(server.statistics.ended.values.reduce(0, +) == 1)
            }
        }

        @Test("send after close returns false and sends nothing; the client's answer ends it")
        func sendAfterClose() async throws {
            let probe = Probe()
            try await withServer(script(probe)) { server in
                let client = try RawClient(server)
                try client.send(.text("close 4000"), .text("more"))
                #expect(try client.receive() == Frame(opcode: 8, payload: [0x0F, 0xA0] + Array("as asked".utf8)))
                try client.send(.close(4_000))
                #expect(client.isEnded())
                #expect(probe.events.contains("send after close: false"))
            }
        }

        @Test("what was sent before a close leaves, although the client's close came with the request for it")
        func closesCross() async throws {
            let probe = Probe()
            try await withServer(script(probe) { $0.outboundByteCountMax = 64 << 20 }) { server in
                for count in [1, 1_000] {
                    let client = try RawClient(server, receiveBuffer: 4_096)
                    try client.send(.text("burst \(count)"), .text("close 4000"), .close(1000))
                    for _ in 0..<count { #expect(try client.receive().payload.count == 10_000) }
                    #expect(try client.receive().closeCode == 4_000)
                    #expect(client.isEnded())
                }
            }
        }

        @Test("messages of other processes, timers and the ends of monitored processes arrive")
        func otherEvents() async throws {
            let probe = Probe()
            try await withServer(script(probe)) { server in
                let client = try RawClient(server)
                #expect(try client.ask("register") == "registered")
                let address = probe.addresses[0]
                for index in 0..<1_000 { address.send("n\(index)") }
                #expect(try client.texts(1_000) == (0..<1_000).map { "n\($0)" })
                #expect(try client.ask("timer 7") == "timer 7")
                #expect(try client.ask("monitored") == "down error")
            }
        }

        @Test("a mailbox past its limit is a crash, not a heap without end")
        func mailbox() async throws {
            let probe = Probe()
            try await withServer(script(probe) { $0.mailboxCountMax = 100 }) { server in
                let client = try RawClient(server)
                #expect(try client.ask("register") == "registered")
                #expect(try client.ask("sleep 200") == "sleeping")
                for _ in 0..<1_000 { probe.addresses[0].send("f") }
                try await eventually("a crash") { server.statistics.handlerCrashes == 1 }
                #expect(try client.ask("count") == "count 1")
            }
        }

        @Test(
            "drop-oldest: a flood to a client that does not read drops whole messages, counted, and no control frame"
        )
        func dropOldest() async throws {
            let probe = Probe()
            let routes = script(probe) {
                $0.outboundByteCountMax = 100_000
                $0.slowConsumer = .dropOldest
            }
            try await withServer(routes) { server in
                let client = try RawClient(server, receiveBuffer: 4_096)
                try client.send(.text("burst 2000"), .ping("still?"), .text("burst 2000"), .text("end"))
                try await probe.waitFor("did end")
                var messages = 0
                var pongs: [String] = []
                while true {
                    let frame = try client.receive()
                    if frame.opcode == 10 {
                        pongs.append(frame.string)
                    } else if frame.opcode == 2 {
                        messages += 1
                        #expect(frame.payload == [UInt8](repeating: frame.payload[0], count: 10_000))
                    } else {
                        #expect(frame == .text("end"))
                        break
                    }
                }
                if pongs.isEmpty { pongs.append(try client.receive().string) }
                #expect(pongs == ["still?"])
                #expect(server.statistics.droppedMessages == 4_000 - messages)
                #expect(messages < 4_000)
                #expect(server.statistics.slowConsumerEpisodes >= 1)
                #expect(try client.ask("and on") == "and on")
            }
        }

        @Test("many connections are spread over the schedulers")
        func balance() async throws {
            let probe = Probe()
            try await withServer(script(probe)) { server in
                let before = server.runtime.statistics.map(\.spawns)
                let clients = try (0..<200).map { _ in try RawClient(server) }
                for client in clients { #expect(try client.ask("x") == "x") }
                let spawned = zip(server.runtime.statistics.map(\.spawns), before).map { $0 - $1 }
                #expect(spawned.allSatisfy { $0 >= 60 }, "\(spawned)")
            }
        }

        @Test("a drain closes its own server's connections with 1001 and no other's")
        func drain() async throws {
            let probe = Probe()
            let other = Probe()
            try await withServer(script(other)) { bystander in
                let unrelated = try RawClient(bystander)
                try await withDrainedServer(script(probe)) { server in
                    let clients = try (0..<20).map { _ in try RawClient(server) }
                    #expect(try clients[0].ask("wait") == "waiting")
                    try clients[1].send("spin")
                    async let left = server.drain()
                    for client in clients {
                        #expect(try client.closeCode() == 1001)
                        try client.send(.close(1001))
                    }
                    #expect(await left == 0)
                    #expect(throws: (any Error).self) { _ = try RawClient(server) }
                    #expect(probe.terminations.count == 19)  // not the spinner: it was abandoned
                    #expect(Set(probe.terminations) == ["terminated draining 1001"])
                    #expect(try unrelated.ask("still here") == "still here")
                }
            }
        }
    }
}
