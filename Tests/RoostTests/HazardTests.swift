// SPDX-License-Identifier: Apache-2.0

import Roost
import RoostTestHandlers
import Testing

extension ServerTests {
    @Suite struct Hazards {
        /// Other connections of the same scheduler that send and receive without pause.
        private func hammer(_ clients: [RawClient], rounds: Int) throws {
            for round in 0..<rounds {
                let payload = [UInt8](repeating: UInt8(truncatingIfNeeded: round &* 37), count: 3_000 + round)
                for client in clients { try client.send(.binary(payload)) }
                for client in clients { #expect(try client.receive() == .binary(payload)) }
            }
        }

        @Test(
            "hazard 1: lent bytes are the same after a wait, while 50 others use the scheduler",
            arguments: [10, 125, 4_000, 65_536, 300_000])
        func lentBytesSurviveAWait(byteCount: Int) async throws {
            let probe = Probe()
            try await withServer(script(probe), schedulers: 1) { server in
                let others = try (0..<50).map { _ in try RawClient(server) }
                let client = try RawClient(server)
                #expect(try client.ask("register") == "registered")
                let bytes: [UInt8] = [0xEE] + (1..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 7) }
                try client.send(
                    .text("keep " + String(repeating: "ü", count: byteCount / 2)), .binary(bytes), .text("after"))
                try await probe.waitFor("waiting")
                try hammer(others, rounds: 5)
                probe.addresses[0].send("go")
                #expect(try client.receive() == .text("same"))
                try await probe.waitFor("waiting", count: 2)
                try hammer(others, rounds: 5)
                probe.addresses[0].send("go")
                #expect(try client.receive() == .binary(bytes))
                #expect(try client.receive() == .text("after"))
            }
        }

        @Test("hazard 1: lent bytes are the same after many preemptions, while 50 others use the scheduler")
        func lentBytesSurvivePreemption() async throws {
            let probe = Probe()
            try await withServer(script(probe), schedulers: 1) { server in
                let others = try (0..<50).map { _ in try RawClient(server) }
                let client = try RawClient(server)
                let payloads = (0..<20).map { index -> [UInt8] in
                    [0xDD] + (0..<(100 + index * 777)).map { UInt8(truncatingIfNeeded: $0 &* (index + 3)) }
                }
                try client.send(payloads.flatMap { Frame.binary($0).encoded })
                try hammer(others, rounds: 10)
                for payload in payloads { #expect(try client.receive() == .binary(payload)) }
                #expect(server.runtime.statistics[0].preemptions > 20)
            }
        }

        @Test("hazard 1: what a callback sent before it waits has left before others run")
        func gatheredWritesLeave() async throws {
            let probe = Probe()
            try await withServer(script(probe), schedulers: 1) { server in
                let client = try RawClient(server)
                let other = try RawClient(server)
                #expect(try client.ask("register") == "registered")
                try client.send("wait")
                #expect(try client.receive() == .text("waiting"))
                #expect(try other.ask("mine") == "mine")
                probe.addresses[0].send("go")
                #expect(try client.receive() == .text("done wait"))
            }
        }

        @Test(
            "hazard 3: while a callback waits, pings are answered and messages wait in order",
            arguments: ["wait", "sleep 300"])
        func waitingIsNotDeaf(how: String) async throws {
            let probe = Probe()
            try await withServer(script(probe), schedulers: 1) { server in
                let client = try RawClient(server)
                #expect(try client.ask("register") == "registered")
                // The first ping comes with the command, the second later.
                try client.send(.text(how), .ping("one"), .text("m0"))
                #expect(try client.receive().string == (how == "wait" ? "waiting" : "sleeping"))
                #expect(try client.receive() == .pong("one"))
                for index in 1..<100 { try client.send(.text("m\(index)"), .ping("p\(index)")) }
                for index in 1..<100 { #expect(try client.receive() == .pong("p\(index)")) }
                #expect(!probe.events.contains("did m0"))
                probe.addresses[0].send("go")
                #expect(try client.receive().string == (how == "wait" ? "done wait" : "slept"))
                #expect(try client.texts(how == "wait" ? 100 : 101).filter { $0 != "go" } == (0..<100).map { "m\($0)" })
            }
        }

        @Test(
            "hazard 3: past the bound the socket is not read; what came is handled in order, however often it waits"
        )
        func waitingIsBounded() async throws {
            let probe = Probe()
            try await withServer(script(probe) { $0.waitingByteCountMax = 4_096 }, schedulers: 1) { server in
                let client = try RawClient(server)
                #expect(try client.ask("register") == "registered")
                try client.send("wait 0")
                #expect(try client.receive() == .text("waiting"))
                // Each waits again, with whole frames left behind by the pause in every place that they may lie.
                var frames: [Frame] = []
                for index in 1..<40 {
                    frames.append(.text("wait \(index)"))
                    for filler in 0..<37 {
                        frames.append(.text("\(index).\(filler) " + String(repeating: "x", count: index * 13)))
                    }
                }
                let bytes = frames.flatMap(\.encoded)
                var offset = 0
                for index in 0..<40 {
                    // A part while it waits, the rest of it later.
                    let end = index == 39 ? bytes.count : min(bytes.count, offset + bytes.count / 40 + index * 11)
                    try client.send(Array(bytes[offset..<end]))
                    offset = end
                    try await probe.waitFor("waiting", count: index + 1)
                    probe.addresses[0].send("go")
                    #expect(try client.receive() == .text("done wait \(index)"))
                    guard index < 39 else { break }
                    if index > 0 {
                        for filler in 0..<37 {
                            #expect(try client.receive().string.hasPrefix("\(index).\(filler) "))
                        }
                    }
                    #expect(try client.receive() == .text("waiting"))
                }
                for filler in 0..<37 { #expect(try client.receive().string.hasPrefix("39.\(filler) ")) }
            }
        }

        @Test("hazard 3: what came while a process's message was handled, put by or left undecoded, stays in order")
        func waitingInReceive() async throws {
            let probe = Probe()
            try await withServer(script(probe) { $0.waitingByteCountMax = 4_096 }, schedulers: 1) { server in
                let client = try RawClient(server)
                #expect(try client.ask("register") == "registered")
                for _ in 0..<10 {
                    probe.addresses[0].send("wait")
                    #expect(try client.receive() == .text("waiting"))
                    // Read in one go, and more than may be put by: the pong leaves when that has been done.
                    let texts = (0..<300).map { "m\($0) " + String(repeating: "x", count: 50) }
                    try client.send(([Frame.ping("now")] + texts.map { Frame.text($0) }).flatMap(\.encoded))
                    #expect(try client.receive() == .pong("now"))
                    probe.addresses[0].send("go")
                    #expect(try client.receive() == .text("done wait"))
                    #expect(try client.texts(300) == texts)
                }
            }
        }

        @Test("a client that never stops sending does not keep other processes' messages from its handler")
        func messagesHaveTheirTurn() async throws {
            let probe = Probe()
            try await withServer(script(probe), schedulers: 1) { server in
                let client = try RawClient(server)
                #expect(try client.ask("register") == "registered")
                let count = 300_000
                let frames = Array(repeating: Frame.binary([1, 2, 3, 4]).encoded, count: count).flatMap { $0 }
                // Safe: one task writes, the other reads.
                nonisolated(unsafe) let sender = client
                let sending = Task.detached { try sender.send(frames) }
                #expect(try client.receive().payload == [1, 2, 3, 4])
                probe.addresses[0].send("register")
                var echoCount = 1
                while try client.receive().string != "registered" { echoCount += 1 }
                #expect(echoCount < count, "the message came when the client had stopped")
                while echoCount < count { _ = try client.receive(); echoCount += 1 }
                try await sending.value
            }
        }

        @Test("hazard 3: a client that goes on sending to a waiting callback is not read without end")
        func waitingIsNotRead() async throws {
            let probe = Probe()
            try await withServer(script(probe), schedulers: 1) { server in
                let client = try RawClient(server)
                #expect(try client.ask("register") == "registered")
                #expect(try client.ask("wait") == "waiting")
                let frame = Frame.binary([UInt8](repeating: 3, count: 1_000)).encoded
                let sent = client.sendUntilBlocked(frame, atMost: 64 << 20)
                #expect(sent < 32 << 20, "\(sent) bytes were taken")
                probe.addresses[0].send("go")
                #expect(try client.receive() == .text("done wait"))
                for _ in 0..<(sent / frame.count) { #expect(try client.receive().payload.count == 1_000) }
            }
        }

        @Test("hazard 3: a close is answered while a callback waits; what came before it is handled first")
        func closeWhileWaiting() async throws {
            let probe = Probe()
            try await withServer(script(probe), schedulers: 1) { server in
                let client = try RawClient(server)
                #expect(try client.ask("register") == "registered")
                try client.send(.text("wait"), .text("before"), .close(1000))
                #expect(try client.receive() == .text("waiting"))
                #expect(try client.closeCode() == 1000)
                #expect(client.isEnded())
                #expect(probe.terminations == [])
                probe.addresses[0].send("go")
                try await probe.waitFor("terminated client_closed 1000")
                #expect(probe.events.suffix(2) == ["did before", "terminated client_closed 1000"])
            }
        }

        @Test(
            "a callback that waits past the close timeout after its client has gone is told to end",
            arguments: [true, false])
        func leftBehind(isOrderly: Bool) async throws {
            let probe = Probe()
            try await withServer(script(probe) { $0.closeTimeout = .milliseconds(100) }, schedulers: 1) { server in
                let client = try RawClient(server)
                #expect(try client.ask("sleep 600000") == "sleeping")
                if isOrderly { try client.send(.close(1000)) } else { client.endWriting() }
                try await eventually("terminated") { probe.terminations.count == 1 }
                #expect(
                    probe.terminations == ["terminated \(isOrderly ? "client_closed 1000" : "connection_lost 1006")"])
            }
        }

        @Test("data before the end of the stream is handled and answered, waiting or not", arguments: [true, false])
        func halfOpen(isWaiting: Bool) async throws {
            let probe = Probe()
            try await withServer(script(probe), schedulers: 1) { server in
                let client = try RawClient(server)
                #expect(try client.ask("register") == "registered")
                try client.send(.text(isWaiting ? "wait" : "no wait"), .text("last"))
                client.endWriting()
                if isWaiting {
                    try await probe.waitFor("waiting")
                    probe.addresses[0].send("go")
                }
                #expect(try client.texts(isWaiting ? 3 : 2).last == "last")
                #expect(client.isEnded())
                try await probe.waitFor("terminated connection_lost 1006")
            }
        }

        @Test("a silent client is pinged, and given up, also while a callback waits")
        func keepaliveWhileWaiting() async throws {
            let probe = Probe()
            let routes = script(probe) {
                $0.pingInterval = .milliseconds(100)
                $0.pongTimeout = .milliseconds(100)
                $0.closeTimeout = .milliseconds(100)
            }
            try await withServer(routes, schedulers: 1) { server in
                let client = try RawClient(server)
                #expect(try client.ask("sleep 600000") == "sleeping")
                #expect(try client.receive() == .ping(""))
                try client.send(.pong(""))
                #expect(try client.receive() == .ping(""))
                #expect(try client.closeCode() == 1001)
                try await probe.waitFor("terminated pong_timeout 1001")
            }
        }

        @Test("a preempted callback: pings are answered, a close is noticed", arguments: [true, false])
        func preempted(isTogether: Bool) async throws {
            let probe = Probe()
            try await withServer(script(probe) { $0.closeTimeout = .milliseconds(200) }, schedulers: 1) { server in
                let client = try RawClient(server)
                if isTogether {
                    try client.send(.text("spin"), .ping("busy?"))
                } else {
                    try client.send("spin")
                    try await probe.waitFor("did spin")
                    try client.send(.ping("busy?"))
                }
                #expect(try client.receive() == .pong("busy?"))
                try #expect(RawClient(server).ask("others") == "others")
                try client.send(.close(1000))
                #expect(try client.closeCode() == 1000)
                #expect(client.isEnded())
                try await eventually("the spinner is gone") { server.connectionCount == 0 }
                #expect(server.statistics.processesAbandoned == 1)
            }
        }

        @Test("processes that never stop sending do not make a connection deaf")
        func floodOfMessages() async throws {
            let probe = Probe()
            try await withServer(script(probe) { $0.outboundByteCountMax = 64 << 20 }) { server in
                let client = try RawClient(server)
                #expect(try client.ask("register") == "registered")
                let target = probe.addresses[0]
                let pids = (0..<2).map { _ in
                    server.runtime.spawn { me in
                        while true {
                            for _ in 0..<20 { target.send("f") }
                            try me.sleep(.microseconds(200))
                        }
                    }
                }
                defer { for pid in pids { server.runtime.exit(pid, .kill) } }
                for index in 0..<20 {
                    try client.send("mine \(index)")
                    while try client.receive().string != "mine \(index)" {}
                }
            }
        }
    }
}
