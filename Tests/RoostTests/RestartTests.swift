// SPDX-License-Identifier: Apache-2.0

import Roost
import RoostRuntime
import RoostTestHandlers
import Synchronization
import Testing

extension ServerTests {
    @Suite struct Restarts {
        @Test("a crash leaves a fresh handler on the same socket", arguments: ["throw", "trap", "hoard"])
        func fresh(how: String) async throws {
            let probe = Probe()
            try await withServer(script(probe) { $0.heapByteCountMax = 4 << 20 }) { server in
                let client = try RawClient(server)
                #expect(try client.ask("count") == "count 1")
                #expect(try client.ask("count") == "count 2")
                try client.send(how)
                #expect(try client.ask("count") == "count 1")
                #expect(probe.events.filter { $0 == "opened" }.count == 2)
                #expect(probe.events.filter { $0 == "did \(how)" }.count == 1)
                #expect(probe.terminations == [])
                try client.send(.close(1000))
                #expect(try client.closeCode() == 1000)
                try await probe.waitFor("terminated client_closed 1000")
                #expect(probe.terminations.count == 1)
                #expect(server.statistics.handlerCrashes == 1)
            }
        }

        @Test(
            "what came behind the crash in the same segment is handled in order; what crashed is not tried again",
            arguments: ["throw", "trap", "hoard"])
        func messagesAfterTheCrashAreHandled(how: String) async throws {
            let probe = Probe()
            try await withServer(script(probe) { $0.heapByteCountMax = 4 << 20 }) { server in
                let client = try RawClient(server)
                let bytes = [UInt8](repeating: 7, count: 200_000)
                try client.send(
                    .text("a"), .text(how), .text("b"), .binary(bytes), .text("c"), .text(how), .text("d"), .text(how),
                    .text("e"))
                #expect(try client.receive() == .text("a"))
                #expect(try client.receive() == .text("b"))
                #expect(try client.receive() == .binary(bytes))
                #expect(try client.texts(3) == ["c", "d", "e"])
                #expect(probe.events.filter { $0 == "did \(how)" }.count == 3)
            }
        }

        @Test("a crash with a message half received: the rest of it makes it whole")
        func insideAMessage() async throws {
            let probe = Probe()
            try await withServer(script(probe)) { server in
                let client = try RawClient(server)
                let frame = Frame.binary([UInt8](repeating: 9, count: 100_000)).encoded
                try client.send(Frame.text("trap").encoded + frame[..<50_000])
                try await probe.waitFor("opened", count: 2)
                try client.send(Array(frame[50_000...]))
                #expect(try client.receive() == .binary([UInt8](repeating: 9, count: 100_000)))
            }
        }

        @Test("links and monitors of the old pid fire; the new process has another", arguments: ["throw", "trap"])
        func linksAndMonitors(how: String) async throws {
            let probe = Probe()
            let linked = Probe()
            try await withServer(script(probe)) { server in
                let client = try RawClient(server)
                #expect(try client.ask("register") == "registered")
                let old = probe.addresses[0]
                server.runtime.spawn { me in
                    let reference = me.monitor(old.pid)
                    linked.note("monitoring")
                    if let down = try me.receiveDown(of: reference) { linked.note("down \(down.reason.label)") }
                }
                let tied = server.runtime.spawn(receiving: String.self) { me in
                    me.link(old.pid)
                    linked.note("linked")
                    _ = try me.receive()
                }
                try await linked.waitFor("monitoring")
                try await linked.waitFor("linked")
                try client.send(how)
                try await linked.waitFor("down \(how == "throw" ? "error" : "trapped")")
                let reason = await server.runtime.exitReason(of: tied.pid)
                #expect(["error", "trapped", "no_process"].contains(reason.label))
                #expect(!old.send("lost"))
                #expect(try client.ask("register") == "registered")
                #expect(probe.addresses[1].pid != old.pid)
                probe.addresses[1].send("hello")
                #expect(try client.receive() == .text("hello"))
            }
        }

        @Test("past the intensity: 1011, nothing behind it, and the reason is counted")
        func intensity() async throws {
            let probe = Probe()
            try await withServer(script(probe, restart: .restart(intensity: 2, period: .seconds(600)))) { server in
                let client = try RawClient(server)
                for _ in 0..<2 {
                    try client.send("throw")
                    #expect(try client.ask("count") == "count 1")
                }
                try client.send(.text("trap"), .text("count"))
                #expect(try client.closeCode() == 1011)
                try client.send(.close(1011))
                #expect(client.isEnded())
                try await eventually("counted") { server.statistics.ended[.handlerCrashed] == 1 }
                #expect(probe.terminations == [])
                #expect(server.statistics.handlerCrashes == 3)
            }
        }

        @Test("policy close: 1011 at once, from any callback", arguments: ["throw", "trap", "timer 13", "timer 14"])
        func closes(how: String) async throws {
            let probe = Probe()
            try await withServer(script(probe, restart: .close)) { server in
                let client = try RawClient(server)
                try client.send(how)
                #expect(try client.closeCode() == 1011)
            }
        }

        @Test("a crash in opened is restarted up to the intensity, then 1011", arguments: ["throw", "trap"])
        func opening(how: String) async throws {
            let probe = Probe()
            try await withServer(script(probe, whenOpened: how)) { server in
                let client = try RawClient(server)
                #expect(try client.closeCode() == 1011)
                #expect(probe.events.filter { $0 == "opened" }.count == 4)
            }
        }

        @Test("a crash in timer and in receive is restarted; timers of the crashed handler are gone")
        func otherCallbacks() async throws {
            let probe = Probe()
            try await withServer(script(probe, restart: .restart(intensity: 10))) { server in
                let client = try RawClient(server)
                for id in [13, 14] {
                    #expect(try client.ask("timer \(id)") == "timer \(id)")
                    #expect(try client.ask("count") == "count 1")
                }
                for (index, how) in ["throw", "trap"].enumerated() {
                    #expect(try client.ask("register") == "registered")
                    probe.addresses[index].send(how)
                    try await probe.waitFor("opened", count: 4 + index)
                    #expect(try client.ask("count") == "count 1")
                }
            }
        }

        @Test(
            "a crash while the socket is blocked: every queued frame still leaves, whole", arguments: ["throw", "trap"])
        func blocked(how: String) async throws {
            let probe = Probe()
            try await withServer(script(probe) { $0.outboundByteCountMax = 64 << 20 }) { server in
                let client = try RawClient(server, receiveBuffer: 4_096)
                try client.send(.text("burst 1000"), .text(how), .text("burst 10"), .text("end"))
                try await probe.waitFor("did end")
                for index in 0..<1_000 {
                    #expect(
                        try client.receive()
                            == .binary([UInt8](repeating: UInt8(truncatingIfNeeded: index), count: 10_000)))
                }
                for index in 0..<10 {
                    #expect(try client.receive() == .binary([UInt8](repeating: UInt8(index), count: 10_000)))
                }
                #expect(try client.receive() == .text("end"))
            }
        }

        @Test("misuse of a connection ends its handler only", arguments: ["close 1005", "close 99", "timers 1001"])
        func misuse(how: String) async throws {
            let probe = Probe()
            try await withServer(script(probe)) { server in
                let client = try RawClient(server)
                try client.send(how)
                #expect(try client.ask("count") == "count 1")
                #expect(server.statistics.trapsContained == 1)
            }
        }

        @Test("a handler, and the copy that restarts begin with, are freed with the connection")
        func freed() async throws {
            let probe = Probe()
            try await withServer(script(probe)) { server in
                for how in ["", "throw", "close 1000", "sleep 1"] {
                    let client = try RawClient(server)
                    if !how.isEmpty { try client.send(how) }
                    try client.send(.text("x"), .close(1000))
                    _ = try client.closeCode()
                }
                for _ in 0..<20 { try RawClient(server).reset() }
                try await eventually("tokens are freed: \(probe.tokenCount) of \(probe.madeTokenCount)") {
                    probe.tokenCount == 0
                }
                #expect(probe.madeTokenCount == 24)
            }
        }
    }
}
