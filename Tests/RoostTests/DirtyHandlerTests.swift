// SPDX-License-Identifier: Apache-2.0

import Roost
import RoostTestHandlers
import Testing

extension ServerTests {
    @Suite struct DirtyHandlers {
        @Test(
            "hazard 3: while a callback waits for work elsewhere, pings are answered and messages wait in order",
            arguments: ["dirty", "await"])
        func isNotDeaf(how: String) async throws {
            let probe = Probe()
            try await withServer(script(probe), schedulers: 1) { server in
                let client = try RawClient(server)
                let other = try RawClient(server)
                try client.send(.text(how), .ping("one"), .text("m0"))
                #expect(try client.receive() == .text("working"))
                #expect(try client.receive() == .pong("one"))
                for index in 1..<100 { try client.send(.text("m\(index)"), .ping("p\(index)")) }
                for index in 1..<100 { #expect(try client.receive() == .pong("p\(index)")) }
                #expect(try other.ask("mine") == "mine")
                #expect(!probe.events.contains("did m0"))
                probe.isOpen = true
                #expect(try client.receive() == .text(how == "dirty" ? "worked" : "awaited"))
                #expect(try client.texts(100) == (0..<100).map { "m\($0)" })
            }
        }

        @Test("a trap elsewhere leaves a fresh handler on the same socket")
        func trapElsewhere() async throws {
            let probe = Probe()
            try await withServer(script(probe)) { server in
                let client = try RawClient(server)
                #expect(try client.ask("count") == "count 1")
                try client.send(.text("dirty trap"), .text("count"))
                #expect(try client.receive() == .text("working"))
                probe.isOpen = true
                #expect(try client.receive() == .text("count 1"))
                #expect(probe.events.filter { $0 == "opened" }.count == 2)
                #expect(server.statistics.handlerCrashes == 1)
            }
        }

        @Test("a client that goes away while its callback waits for work elsewhere: the work is cancelled")
        func goesAway() async throws {
            let probe = Probe()
            let routes = script(probe) { $0.closeTimeout = .milliseconds(100) }
            try await withServer(routes, schedulers: 1) { server in
                let awaiting = try RawClient(server)
                try awaiting.send("await")
                try await probe.waitFor("waiting")
                awaiting.reset()
                try await probe.waitFor("cancelled")
                let computing = try RawClient(server)
                try computing.send("dirty")
                try await probe.waitFor("waiting", count: 2)
                computing.reset()
                try await eventually("the job has ended") {
                    server.runtime.dirtyStatistics(of: .io).doneCount == 1
                }
                #expect(server.runtime.abandonedCount == 0)
            }
        }
    }
}
