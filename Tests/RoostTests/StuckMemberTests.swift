// SPDX-License-Identifier: Apache-2.0

import Roost
import RoostTestHandlers
import RoostTestTLS
import Testing

extension ServerTests {
    /// Members whose handlers block in native code: their scheduler is handed over to another thread, whose deliverer
    /// goes on with them (B1, H1 to H3).
    @Suite struct StuckMembers {
        @Test(
            "a member stuck in native code is sent messages all the same, and goes on where it was",
            arguments: [false, true])
        func served(isSecure: Bool) async throws {
            let rooms = Rooms()
            try await withServer(
                roomRoutes(rooms), schedulers: 1,
                configure: {
                    if isSecure { $0.listeners[0].tls = TLSConfiguration(certificates: [TestCertificates.server]) }
                }
            ) { server in
                func joined() throws -> RawClient {
                    let client = try RawClient(server, "/in/a", tls: isSecure ? SecureOptions() : nil)
                    #expect(try client.receive().string == "opened")
                    return client
                }
                let stuck = try joined()
                let others = try (0..<4).map { _ in try joined() }
                let latch = Latch()
                for round in 1...3 {
                    // What it publishes in the turn in which it blocks is not stuck with it.
                    try stuck.send(.text("first"), .text(latch.block()))
                    #expect(try stuck.receive() == .text("blocking"))
                    for client in others { #expect(try client.receive() == .text("first")) }
                    for number in 0..<50 { try others[0].send("number \(number)") }
                    let texts = (0..<50).map { "number \($0)" }
                    for client in others.dropFirst() + [stuck] { #expect(try client.texts(50) == texts) }
                    // The list of members changes around it.
                    #expect(try others[1].ask("leave a") == "left")
                    let guest = try joined()
                    #expect(try others[1].ask("join a") == "join true")
                    try others[0].send("late")
                    for client in others.dropFirst() + [stuck, guest] { #expect(try client.receive() == .text("late")) }
                    guest.reset()
                    try await eventually("it has left") { rooms.statistics.members == 5 }
                    #expect(server.runtime.statistics[0].handOvers >= round)
                    latch.open()
                    #expect(try stuck.receive() == .text("unblocked"))
                    try stuck.send("back")
                    for client in others { #expect(try client.receive() == .text("back")) }
                }
            }
        }

        @Test("its room changes in its hands when it is back: it leaves, publishes, closes, traps")
        func afterwards() async throws {
            let rooms = Rooms()
            try await withServer(roomRoutes(rooms), schedulers: 1) { server in
                let stuck = try opened(server)
                let other = try opened(server)
                let latch = Latch()
                func round(_ then: String) throws {
                    #expect(try stuck.ask(latch.block(then)) == "blocking")
                    try other.send("meanwhile")
                    #expect(try stuck.receive() == .text("meanwhile"))
                    latch.open()
                }
                try round("everyone here")
                #expect(try other.receive() == .text("here"))
                #expect(Set(try stuck.texts(2)) == ["here", "unblocked"])
                try round("leave a")
                #expect(try stuck.texts(2) == ["left", "unblocked"])
                try other.send("alone")
                #expect(try other.ask("join a") == "join true")
                #expect(try stuck.ask("join a") == "join true")
                try round("trap")
                #expect(try stuck.receive() == .text("opened"))
                try other.send("again")
                #expect(try stuck.receive() == .text("again"))
                try round("close")
                #expect(try other.receive() == .text("bye"))
                #expect(try stuck.closeCode() == 1_000)
                #expect(rooms.statistics.members == 1)
            }
        }

        @Test("what its socket does not take waits, and leaves in order when it is back", arguments: [true, false])
        func slow(staysWithinLimit: Bool) async throws {
            let rooms = Rooms()
            let limit = staysWithinLimit ? 32 << 20 : 300_000
            let routes = roomRoutes(rooms) {
                $0.outboundByteCountMax = limit
                $0.pingInterval = .zero
                $0.closeTimeout = .seconds(120)
            }
            try await withServer(routes, schedulers: 1) { server in
                let stuck = try opened(server, receiveBuffer: 4_096)
                let quick = try opened(server)
                let latch = Latch()
                #expect(try stuck.ask(latch.block()) == "blocking")
                let count = 200
                for number in 0..<count {
                    let message = SharedMessage(binary: [UInt8](repeating: UInt8(number), count: 50_000))
                    while !rooms.publish(message, to: "a") { await Task.yield() }
                    #expect(try quick.receive().payload.first == UInt8(number))
                }
                #expect((rooms.statistics.dropped > 0) == !staysWithinLimit)
                latch.open()
                var next = 0
                var hasReturned = false
                while next < count || !hasReturned {
                    let frame = try stuck.receive()
                    if frame.opcode == 8 {
                        #expect(frame.closeCode == 1_008 && !staysWithinLimit && next < count)
                        break
                    }
                    if frame == .text("unblocked") {
                        hasReturned = true
                    } else {
                        #expect(frame == .binary([UInt8](repeating: UInt8(next), count: 50_000)))
                        next += 1
                    }
                }
                try quick.send("and on")
            }
        }

        @Test("a publisher that is held up and stuck goes on when it is back, though its room was served meanwhile")
        func held() async throws {
            var limits = RoomLimits()
            limits.backlogByteCountMax = 1 << 10
            let rooms = Rooms(limits: limits)
            try await withServer(roomRoutes(rooms) { $0.pingInterval = .zero }, schedulers: 1) { server in
                let stuck = try opened(server)
                let members = try opened(20, server)
                let latch = Latch()
                for _ in 0..<3 {
                    try stuck.send(.text("fill " + latch.block()), .ping("on"))
                    #expect(try stuck.receive() == .text("blocking"))
                    for client in members { #expect(try client.receive().payload.count == 2_000) }
                    latch.open()
                    #expect(Set([try stuck.receive(), try stuck.receive()].map(\.string)) == ["unblocked", "on"])
                }
                #expect(rooms.statistics.publishersHeld == 3)
            }
        }

        @Test("members that are stuck at any time get each message once")
        func anyTime() async throws {
            let seed = UInt64.random(in: 0 ... .max)
            print("seed \(seed)")
            var generator = SeededGenerator(seed: seed)
            let rooms = Rooms()
            try await withServer(roomRoutes(rooms), schedulers: 2) { server in
                let members = try opened(12, server)
                let latches = members.map { _ in Latch() }
                var isStuck = members.map { _ in false }
                let publisher = try opened(server, "/out")
                let count = 300
                for number in 0..<count {
                    try publisher.send("to a \(number)")
                    guard number % 3 == 0 else { continue }
                    let index = Int.random(in: 0..<12, using: &generator)
                    if isStuck[index] {
                        latches[index].open()
                    } else {
                        try members[index].send(latches[index].block())
                    }
                    isStuck[index].toggle()
                }
                for index in members.indices where isStuck[index] { latches[index].open() }
                for member in members {
                    var next = 0
                    while next < count {
                        let text = try member.receive().string
                        if text == "blocking" || text == "unblocked" { continue }
                        #expect(text == "\(next)")
                        next += 1
                    }
                }
            }
        }
    }
}
