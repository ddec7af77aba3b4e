// SPDX-License-Identifier: Apache-2.0

import Roost
import RoostTestHandlers
import Testing

extension ServerTests {
    @Suite struct Rates {
        @Test(
            "rate-limit delay: a client that sends too fast is held up, and loses nothing; others are not held up",
            arguments: ["messages", "bytes", "compressed"])
        func delays(kind: String) async throws {
            let probe = Probe()
            let routes = script(probe) { limits in
                if kind == "messages" { limits.messagesPerSecond = 400 } else { limits.bytesPerSecond = 40_000 }
            }
            try await withServer(routes + [Route("/free") { _ in EchoHandler() }]) { server in
                let other = try RawClient(server, "/free")
                var generator = SeededGenerator(seed: 9)
                let payloads = (0..<500).map { _ in [0] + generator.noise(99) }  // 0: nothing that the script knows
                let frames = payloads.map { Frame.binary($0) }
                if kind == "compressed" {
                    // The bytes that count are those that were sent.
                    let client = try DeflateClient(server)
                    try client.send(frames)
                    for payload in payloads { #expect(try client.receive().payload == payload) }
                } else {
                    let client = try RawClient(server)
                    try client.send(frames.flatMap(\.encoded))
                    for frame in frames { #expect(try client.receive() == frame) }
                }
                #expect(try other.ask("free") == "free")
                #expect(server.statistics.throttled >= 1)
                #expect(server.statistics.ended[.rateLimited] == nil)
            }
        }

        @Test("as many messages as the rate has in a second are not held up", arguments: [1, 10, 1_000])
        func burst(rate: Int) async throws {
            let probe = Probe()
            try await withServer(script(probe) { $0.messagesPerSecond = rate }) { server in
                let client = try RawClient(server)
                for index in 0..<rate { #expect(try client.ask("\(index)") == "\(index)") }
                #expect(server.statistics.throttled == 0)
            }
        }

        @Test("rate-limit close: n messages pass, and one more is 1008", arguments: [1, 10])
        func closes(rate: Int) async throws {
            let probe = Probe()
            let routes = script(probe) {
                $0.bytesPerSecond = rate
                $0.rateLimit = .close
            }
            try await withServer(routes) { server in
                let client = try RawClient(server)
                for _ in 0..<rate { try client.send("x") }
                // More than is earned while the test runs.
                try client.send(.text(String(repeating: "y", count: 100 * rate)))
                #expect(try client.texts(rate) == Array(repeating: "x", count: rate))
                #expect(try client.closeCode() == 1008)
                #expect(server.statistics.throttled == 0)
            }
        }
    }
}
