// SPDX-License-Identifier: Apache-2.0

import Roost
import RoostTestHandlers
import Synchronization
import Testing

/// The connections that a test sends messages to.
private final class Audience: Sendable {
    private let list = Mutex<[Address<SharedMessage>]>([])

    func join(_ address: Address<SharedMessage>) { withoutPreemption { list.withLock { $0.append(address) } } }

    func send(_ message: SharedMessage) {
        for address in list.withLock({ $0 }) { #expect(address.send(message)) }
    }
}

private struct Listening: ConnectionHandler {
    typealias Message = SharedMessage
    let audience: Audience

    func opened(_ connection: borrowing Connection<SharedMessage>) {
        audience.join(connection.address)
        connection.send("joined")
    }
    func text(_ text: UTF8Span, _ connection: borrowing Connection<SharedMessage>) { connection.send(text) }
    func receive(_ message: SharedMessage, _ connection: borrowing Connection<SharedMessage>) {
        connection.send(message)
    }
}

private let offers = ["permessage-deflate", "permessage-deflate; server_max_window_bits=10"]

extension ServerTests {
    @Suite struct SharedMessages {
        private func routes(_ audience: Audience) -> [Route] {
            var takeover = CompressionPolicy(.takeover)
            takeover.level = 6
            return [
                Route("/") { _ in Listening(audience: audience) },
                Route("/takeover", compression: takeover) { _ in Listening(audience: audience) },
                Route("/off", compression: .off) { _ in Listening(audience: audience) },
            ]
        }

        private func joined(_ server: RoostServer, _ count: Int, offer: String = offers[0], _ path: String = "/")
            throws -> [DeflateClient]
        {
            try (0..<count).map { _ in
                let client = try DeflateClient(server, path, offer: offer)
                #expect(try client.receive().string == "joined")
                return client
            }
        }

        @Test("compressed once for all connections of any scheduler; text and binary", arguments: [true, false])
        func once(isText: Bool) async throws {
            let audience = Audience()
            try await withServer(routes(audience), schedulers: 4) { server in
                let clients = try joined(server, 60)
                for number in 1...5 {
                    let text = prose(3_000, seed: UInt64(number))
                    audience.send(isText ? SharedMessage(text) : SharedMessage(binary: Array(text.utf8)))
                    for client in clients {
                        let frame = try client.receive()
                        #expect(frame.opcode == (isText ? 1 : 2) && frame.isCompressed && frame.string == text)
                    }
                    #expect(server.statistics.messagesCompressed == number)
                }
            }
        }

        @Test("each agreement has one compression of its own; who keeps a context has its own; who has none, none")
        func agreements() async throws {
            let audience = Audience()
            try await withServer(routes(audience)) { server in
                let wide = try joined(server, 10)
                let narrow = try joined(server, 10, offer: offers[1])
                let keeping = try joined(server, 3, "/takeover")
                let plain = try (0..<10).map { _ in try RawClient(server) }
                let off = try (0..<10).map { _ in try RawClient(server, "/off") }
                for client in plain + off { #expect(try client.receive() == .text("joined")) }
                for number in 1...10 {
                    let text = prose(20_000, seed: 5)
                    audience.send(SharedMessage(text))
                    for client in wide + narrow + keeping {
                        let frame = try client.receive()
                        #expect(frame.isCompressed && frame.string == text)
                    }
                    for client in plain + off { #expect(try client.receive() == .text(text)) }
                    #expect(server.statistics.messagesCompressed == number * (1 + 1 + keeping.count))
                }
                // What was said in between goes through the same contexts.
                for client in keeping { #expect(try client.ask(prose(500)) == prose(500)) }
            }
        }

        @Test("below the threshold, or where it does not get smaller, it is sent as it is")
        func plain() async throws {
            let audience = Audience()
            try await withServer(routes(audience)) { server in
                let clients = try joined(server, 5)
                for (byteCount, isCompressed) in [(0, false), (255, false), (256, true), (257, true)] {
                    let text = prose(byteCount)
                    audience.send(SharedMessage(text))
                    for client in clients {
                        let frame = try client.receive()
                        #expect(frame.string == text && frame.isCompressed == isCompressed, "\(byteCount) bytes")
                    }
                }
                #expect(server.statistics.messagesCompressed == 2)
                var generator = SeededGenerator(seed: 3)
                let noise = generator.noise(5_000)
                let message = SharedMessage(binary: noise)
                #expect(message.byteCount == 5_000)
                for _ in 0..<3 {
                    audience.send(message)
                    for client in clients { #expect(try client.receive() == .binary(noise)) }
                }
                #expect(server.statistics.messagesCompressed == 3, "it was tried once")
            }
        }

        @Test(
            "sent by several threads at once, each message reaches everybody whole",
            arguments: [2_000, 64 << 10, 300 << 10])
        func concurrent(byteCount: Int) async throws {
            let audience = Audience()
            try await withServer(routes(audience), schedulers: 4) { server in
                let clients = try joined(server, 12)
                let texts = (0..<8).map { prose(byteCount, seed: UInt64($0)) }
                let messages = texts.map { SharedMessage($0) }
                await withTaskGroup(of: Void.self) { group in
                    for message in messages { group.addTask { audience.send(message) } }
                }
                for client in clients {
                    #expect(try Set(client.texts(texts.count)) == Set(texts))
                }
                let compressed = server.statistics.messagesCompressed
                // A large one is compressed without a lock: by each scheduler, at the worst.
                let most = byteCount > 64 << 10 ? 4 * texts.count : texts.count
                #expect((texts.count...most).contains(compressed), "\(compressed)")
            }
        }

        @Test("routes whose policies differ have one compression each")
        func policies() async throws {
            let audience = Audience()
            var weak = CompressionPolicy()
            weak.memoryLevel = 1
            let policies = [CompressionPolicy(), weak]
            try await withServer(
                policies.enumerated().map { index, policy in
                    Route("/\(index)", compression: policy) { _ in Listening(audience: audience) }
                }
            ) { server in
                let clients = try joined(server, 3, "/0") + joined(server, 3, "/1")
                audience.send(SharedMessage(prose(9_000)))
                for client in clients { #expect(try client.receive().string == prose(9_000)) }
                #expect(server.statistics.messagesCompressed == policies.count)
            }
        }
    }
}
