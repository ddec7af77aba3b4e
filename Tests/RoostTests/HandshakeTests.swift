// SPDX-License-Identifier: Apache-2.0

import Roost
import RoostTestHandlers
import Testing

/// Tells in its first message what `connect` saw.
private struct Witness: ConnectionHandler {
    let seen: String
    func opened(_ connection: borrowing Connection<Never>) {
        connection.send(seen + " subprotocol=\(connection.subprotocol ?? "-")")
    }
}

extension ServerTests {
    @Suite struct Handshakes {
        @Test("connect sees path, rest of the path, query and headers as they came")
        func request() async throws {
            let route = Route("/rooms/*", subprotocols: ["chat.v2", "chat.v1"]) { request in
                Witness(
                    seen:
                        "\(request.path)|\(request.pathRemainder)|\(request.query ?? "-")|"
                        + "\(request.headers.first("x-token") ?? "-")|"
                        + "\(request.peer?.host ?? "-")")
            }
            try await withServer([route, Route("/rooms/exact") { _ in Witness(seen: "exact") }]) { server in
                let headers = ["X-Token:  a b ", "Sec-WebSocket-Protocol: chat.v1, chat.v2"]
                let client = try RawClient(server, "/rooms/b%C3%BCro/2?a=1&b=%20", headers: headers)
                #expect(client.header("Sec-WebSocket-Protocol") == "chat.v2")
                #expect(
                    try client.receive().string == "/rooms/büro/2|büro/2|a=1&b=%20|a b|127.0.0.1 subprotocol=chat.v2")
                try #expect(RawClient(server, "/rooms/exact").receive().string == "exact subprotocol=-")
                try #expect(RawClient(server, "/rooms", mustOpen: false).status == 404)
            }
        }

        @Test(
            "subprotocols: the server's first that the client offers, else none",
            arguments: [
                ("b, a", "a"), ("b", "b"), ("c", nil), ("A", nil), ("c, b", "b"),
            ] as [(String, String?)])
        func subprotocol(offered: String, chosen: String?) async throws {
            try await withServer([Route("/", subprotocols: ["a", "b"]) { _ in EchoHandler() }]) { server in
                let client = try RawClient(server, headers: ["Sec-WebSocket-Protocol: \(offered)"])
                #expect(client.header("Sec-WebSocket-Protocol") == chosen)
                #expect(try client.ask("x") == "x")
            }
        }

        @Test("an origin that is not allowed: 403; none at all: no page")
        func origin() async throws {
            try await withServer([Route("/", allowedOrigins: ["https://a.example"]) { _ in EchoHandler() }]) { server in
                try #expect(RawClient(server, headers: ["Origin: https://b.example"], mustOpen: false).status == 403)
                try #expect(RawClient(server, headers: ["Origin: https://a.example"]).ask("x") == "x")
                try #expect(RawClient(server).ask("x") == "x")
                try #expect(
                    RawClient(
                        server, headers: ["Origin: https://a.example", "Origin: https://b.example"], mustOpen: false
                    ).status
                        == 403)
            }
        }

        @Test("connect may refuse, with its status and reason")
        func refuses() async throws {
            let route = Route("/") { request in
                if request.query == "plain" { throw ConnectionRefused() }
                if request.query != nil { throw ConnectionRefused(.unauthorized, reason: "no token") }
                return EchoHandler()
            }
            try await withServer([route]) { server in
                do {
                    let client = try RawClient(server, "/?x", mustOpen: false)
                    #expect(client.status == 401)
                    #expect(String(decoding: try client.rest(), as: UTF8.self) == "no token\n")
                }
                try #expect(RawClient(server, "/?plain", mustOpen: false).status == 403)
                try #expect(RawClient(server).ask("x") == "x")
                try await eventually("all refusals ended") { server.statistics.ended[.handshakeRefused] == 2 }
            }
        }

        @Test("connect that throws or traps: 500, and the server goes on", arguments: ["throw", "trap"])
        func crashes(kind: String) async throws {
            let route = Route("/") { request in
                if let kind = request.query { try misbehave(kind) }
                return EchoHandler()
            }
            try await withServer([route]) { server in
                for _ in 0..<20 {
                    let client = try RawClient(server, "/?\(kind)", mustOpen: false)
                    #expect(client.status == 500)
                    _ = try client.rest()
                }
                #expect(server.statistics.handlerCrashes == 20)
                try #expect(RawClient(server).ask("x") == "x")
            }
        }

        @Test("frames in the segment of the request are handled after opened, in order")
        func early() async throws {
            let probe = Probe()
            try await withServer(script(probe, whenOpened: "opening")) { server in
                let client = try RawClient(
                    server, early: [.text("one"), .ping("two"), .text("wait"), .text("three"), .close(1000)])
                #expect(try client.texts(4) == ["opening", "one", "two", "waiting"])
                try await probe.waitFor("waiting")
            }
        }
    }
}
