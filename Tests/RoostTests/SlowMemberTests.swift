// SPDX-License-Identifier: Apache-2.0

import Roost
import RoostIO
import RoostTestHandlers
import RoostTestTLS
import Testing

/// A message that says which it is, and is filled with it.
private func numbered(_ number: Int, _ byteCount: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: byteCount)
    for index in 0..<4 { bytes[index] = UInt8(truncatingIfNeeded: number >> (8 * index)) }
    return bytes
}

private func number(_ frame: Frame) -> Int {
    (0..<4).reduce(0) { $0 | Int(frame.payload[$1]) << (8 * $1) }
}

extension ServerTests {
    @Suite struct SlowMembers {
        /// Publishes `count` messages and reads them as `quick`.
        private func flood(_ rooms: Rooms, _ quick: RawClient, _ count: Int, _ byteCount: Int) async throws {
            for number in 0..<count {
                let message = SharedMessage(binary: numbered(number, byteCount))
                while !rooms.publish(message, to: "a") { await Task.yield() }
                #expect(try quick.receive().payload == numbered(number, byteCount))
            }
        }

        /// The numbers of what comes until the last, each looked at; own sends of the handler are passed over.
        private func numbers(_ client: RawClient, until last: Int, _ byteCount: Int) throws -> [Int] {
            var found: [Int] = []
            while found.last != last {
                let frame = try client.receive()
                guard frame.opcode == 2, frame.payload.count == byteCount else { continue }
                #expect(frame.payload == numbered(number(frame), byteCount))
                found.append(number(frame))
            }
            return found
        }

        @Test(
            "policy close: 1008 behind whole messages; the others get all", arguments: [1_000, 100_000], [false, true])
        func close(byteCount: Int, isSecure: Bool) async throws {
            let rooms = Rooms()
            let routes = roomRoutes(rooms) {
                $0.outboundByteCountMax = 300_000
                $0.pingInterval = .zero
                $0.closeTimeout = .seconds(120)
            }
            try await withServer(
                routes,
                configure: {
                    if isSecure { $0.listeners[0].tls = TLSConfiguration(certificates: [TestCertificates.server]) }
                }
            ) { server in
                let tls = isSecure ? SecureOptions() : nil
                let slow = try RawClient(server, "/in/a", receiveBuffer: 4_096, tls: tls)
                let quick = try RawClient(server, "/in/a", tls: tls)
                for client in [slow, quick] { #expect(try client.receive().string == "opened") }
                let count = 10_000_000 / byteCount
                try await flood(rooms, quick, count, byteCount)
                try await eventually("dropped") { rooms.statistics.dropped > 0 }
                var expected = 0
                while true {
                    let frame = try slow.receive()
                    if frame.opcode == 8 {
                        #expect(frame.closeCode == 1_008)
                        break
                    }
                    #expect(frame.payload == numbered(expected, byteCount))
                    expected += 1
                }
                #expect(expected < count)
                try slow.send(.close(1_008))
                try await eventually("closed") { server.statistics.ended[.slowConsumer] == 1 }
                #expect(rooms.statistics.members == 1)
                #expect(server.statistics.droppedMessages == rooms.statistics.dropped)
            }
        }

        @Test(
            "policy drop-oldest: whole messages in order, the newest among them; what did not come was counted",
            arguments: [1_000, 40_000, 130_000], [false, true])
        func dropOldest(byteCount: Int, isSecure: Bool) async throws {
            let rooms = Rooms()
            let routes = roomRoutes(rooms) {
                $0.outboundByteCountMax = 300_000
                $0.slowConsumer = .dropOldest
                $0.pingInterval = .zero
            }
            try await withServer(
                routes,
                configure: {
                    if isSecure { $0.listeners[0].tls = TLSConfiguration(certificates: [TestCertificates.server]) }
                }
            ) { server in
                let tls = isSecure ? SecureOptions() : nil
                let slow = try RawClient(server, "/in/a", receiveBuffer: 4_096, tls: tls)
                let quick = try RawClient(server, "/in/a", tls: tls)
                for client in [slow, quick] { #expect(try client.receive().string == "opened") }
                let count = 10_000_000 / byteCount
                try await flood(rooms, quick, count, byteCount)
                let found = try numbers(slow, until: count - 1, byteCount)
                #expect(found == Set(found).sorted())
                #expect(found.count < count)
                #expect(rooms.statistics.dropped == count - found.count)
                #expect(server.statistics.droppedMessages == count - found.count)
                #expect(server.statistics.slowConsumerEpisodes >= 1)
                // It reads again, and is sent messages straight away.
                try await flood(rooms, quick, 20, byteCount)
                #expect(try numbers(slow, until: 19, byteCount) == Array(0..<20))
            }
        }

        @Test("what waits for a slow member is no copy of its own, and counts as what it has not taken")
        func byReference() async throws {
            let rooms = Rooms()
            let probe = Probe()
            try await withServer(roomRoutes(rooms, probe) { $0.outboundByteCountMax = 8 << 20 }, schedulers: 1) {
                server in
                let slow = try opened(server, receiveBuffer: 4_096)
                let quick = try opened(server)
                let byteCount = 50_000
                let count = 200
                try await flood(rooms, quick, count, byteCount)
                try slow.send("figures")
                try await probe.waitForPrefix("figures ")
                let figures = probe.events.last!.split(separator: " ").dropFirst().map { Int($0)! }
                // What the kernels have taken is not more than a few megabytes.
                #expect(figures[0] > 1_000_000 && figures[0] < count * (byteCount + 4))
                #expect(figures[1] > 0 && figures[1] < 200_000, "its process holds \(figures[1]) bytes")
                #expect(try numbers(slow, until: count - 1, byteCount) == Array(0..<count))
                try await eventually("nothing waits") {
                    try? slow.send("figures")
                    return probe.events.last!.hasPrefix("figures 0 ")
                }
            }
        }

        @Test("small messages that wait count with what they take besides: memory is bounded, however small they are")
        func small() async throws {
            let rooms = Rooms()
            let routes = roomRoutes(rooms) {
                $0.outboundByteCountMax = 64 << 10
                $0.slowConsumer = .dropOldest
                $0.pingInterval = .zero
            }
            try await withServer(routes, schedulers: 1) { server in
                let slow = try opened(server, receiveBuffer: 4_096)
                let quick = try opened(server)
                // Until no socket takes any more.
                try await flood(rooms, quick, 200, 50_000)
                #expect(rooms.statistics.dropped > 0)
                let count = 5_000
                try await flood(rooms, quick, count, 4)
                let found = try numbers(slow, until: count - 1, 4)
                #expect(found == Array(found[0]..<count))
                #expect(found.count <= (64 << 10) / 80)
            }
        }

        @Test("frames of a room never break into a message of the handler's that has begun to leave")
        func besidesOwn() async throws {
            let rooms = Rooms()
            let probe = Probe()
            try await withServer(roomRoutes(rooms, probe) { $0.outboundByteCountMax = 64 << 20 }, schedulers: 1) {
                server in
                let slow = try opened(server, receiveBuffer: 4_096)
                let quick = try opened(server)
                try slow.send("burst 1000")
                try await probe.waitFor("burst")
                try await flood(rooms, quick, 500, 3_000)
                try slow.send(.ping("there?"), .text("burst 100"))
                try await probe.waitFor("burst", count: 2)
                var own = 0
                var next = 0
                var pongs = 0
                while own < 1_100 || next < 500 || pongs < 1 {
                    let frame = try slow.receive()
                    if frame.opcode == 10 {
                        pongs += 1
                    } else if frame.payload.count == 10_000 {
                        #expect(frame.payload == [UInt8](repeating: frame.payload[0], count: 10_000))
                        own += 1
                    } else {
                        #expect(frame == .binary(numbered(next, 3_000)))
                        next += 1
                    }
                }
            }
        }

        @Test("what waited for a member outlives its crash")
        func crash() async throws {
            let rooms = Rooms()
            try await withServer(roomRoutes(rooms) { $0.outboundByteCountMax = 32 << 20 }, schedulers: 1) { server in
                let slow = try opened(server, receiveBuffer: 4_096)
                let quick = try opened(server)
                try await flood(rooms, quick, 300, 50_000)
                try slow.send("throw")
                try await eventually("crashed and joined again") {
                    server.statistics.handlerCrashes == 1 && rooms.statistics.members == 2
                }
                #expect(try numbers(slow, until: 299, 50_000) == Array(0..<300))
            }
        }

        @Test("a member that is gone while messages wait for it frees them, and harms nobody")
        func gone() async throws {
            let rooms = Rooms()
            try await withServer(roomRoutes(rooms) { $0.outboundByteCountMax = 32 << 20 }) { server in
                let quick = try opened(server)
                for _ in 0..<5 {
                    let slow = try opened(server, receiveBuffer: 4_096)
                    try await flood(rooms, quick, 150, 50_000)
                    slow.reset()
                    try await eventually("it has left") { rooms.statistics.members == 1 }
                }
                try await flood(rooms, quick, 10, 50_000)
            }
        }
    }
}

extension Probe {
    func waitForPrefix(_ prefix: String) async throws {
        try await eventually(prefix) { self.events.last?.hasPrefix(prefix) == true }
    }
}
