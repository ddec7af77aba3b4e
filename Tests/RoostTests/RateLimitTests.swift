// SPDX-License-Identifier: Apache-2.0

import Roost
import Testing

/// Closes at the message `close`.
private struct Closer: ConnectionHandler {
    func text(_ text: UTF8Span, _ connection: borrowing Connection<Never>) {
        if String(copying: text) == "close" { connection.close() }
    }
}

extension ServerTests {
    @Suite struct RateLimits {
        private static func limits(_ policy: RateLimitPolicy) -> ConnectionLimits {
            var limits = ConnectionLimits()
            limits.messagesPerSecond = 1
            limits.rateLimit = policy
            // No deadline ends what the closing handshake does not.
            limits.closeTimeout = .seconds(3_600)
            return limits
        }

        @Test("a client that is held up is heard when it answers our close frame (RFC 6455 §5.5.1)")
        func closeOfHeldClient() async throws {
            try await withServer([Route("/", limits: Self.limits(.delay)) { _ in Closer() }]) { server in
                let client = try RawClient(server)
                try client.send(.text("a"), .text("close"), .text("c"))
                #expect(try client.closeCode() == 1000)
                try client.send(.close(1000))
                #expect(client.isEnded())
            }
        }

        @Test("a client that is closed for its rate is heard when it answers: its close frame is within any rate")
        func closeOverRate() async throws {
            try await withServer([Route("/", limits: Self.limits(.close)) { _ in EchoHandler() }]) { server in
                let client = try RawClient(server)
                try client.send(.text("a"), .text("b"), .text("c"))
                #expect(try client.closeCode() == 1008)
                try client.send(.close(1008))
                #expect(client.isEnded())
            }
        }
    }
}
