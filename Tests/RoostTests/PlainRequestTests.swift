// SPDX-License-Identifier: Apache-2.0

import Roost
import RoostHTTP
import RoostTestHandlers
import Testing

private func get(_ path: String, _ fields: String...) -> String {
    "GET \(path) HTTP/1.1\r\nHost: localhost\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"
}

private func post(_ path: String, _ body: String, _ fields: String...) -> String {
    "POST \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(body.utf8.count)\r\n"
        + fields.map { $0 + "\r\n" }.joined() + "\r\n" + body
}

private func chunked(_ path: String, _ chunks: [String]) -> String {
    "POST \(path) HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunks.map { "\(String($0.utf8.count, radix: 16))\r\n\($0)\r\n" }.joined() + "0\r\n\r\n"
}

/// A route that does what the rest of its path says.
private func routes(_ probe: Probe) -> [Route] {
    [Route(http: "/do/*", methods: ["GET", "POST"]) { try answer($0, probe) }]
}

extension ServerTests {
    @Suite struct PlainRequests {
        @Test(
            "a responder that throws or traps: 500, the connection ends, and the crash is logged with its route",
            arguments: ["throw", "trap"])
        func crashes(how: String) async throws {
            let probe = Probe()
            let lines = LogLines()
            try await withServer(routes(probe), logger: lines.logger) { server in
                let bystander = try RawClient.silent(server)
                for round in 1...3 {
                    let client = try RawClient.silent(server)
                    try client.send(raw: get("/do/well") + get("/do/\(how)") + get("/do/never"))
                    #expect(try client.response() == "GET well")
                    #expect(try client.response() == "the handler crashed\n")
                    #expect(client.status == 500 && client.header("Connection") == "close")
                    #expect(client.isEnded())
                    client.endWriting()
                    try await eventually("logged") {
                        lines.all.count { $0.hasPrefix("warning handler crashed") } == round
                    }
                    try bystander.send(raw: get("/do/well"))
                    #expect(try bystander.response() == "GET well")
                }
                let line = try #require(lines.all.first)
                #expect(line.contains("route.path=/do/*") && line.contains("crash.action=answered with 500"), "\(line)")
                #expect(line.contains("process.reason=\(how == "throw" ? "error" : "trapped")"), "\(line)")
                try await eventually("counted") { server.statistics.ended[.handlerCrashed] == 3 }
                #expect(server.statistics.handlerCrashes == 3)
                #expect(!probe.events.contains("asked never"))
            }
        }

        @Test(
            "a responder that loops is preempted, and others are served on its scheduler", arguments: ["spin", "wait"])
        func loops(how: String) async throws {
            let probe = Probe()
            try await withServer(routes(probe), schedulers: 1) { server in
                let client = try RawClient.silent(server)
                try client.send(raw: get("/do/\(how)"))
                try await probe.waitFor("asked \(how)")
                let other = try RawClient.silent(server)
                for _ in 0..<10 {
                    try other.send(raw: get("/do/well"))
                    #expect(try other.response() == "GET well")
                }
                probe.isOpen = true
                #expect(try client.response() == "GET \(how)")
            }
        }

        @Test("RFC 9112 §9.3.2: pipelined requests are answered in order, although a responder waits")
        func pipelined() async throws {
            let probe = Probe()
            try await withServer(routes(probe)) { server in
                let client = try RawClient.silent(server)
                let bodies = (0..<50).map { String(repeating: "\($0 % 10)", count: $0 * 100) }
                try client.send(raw: bodies.map { post("/do/echo", $0) }.joined())
                for body in bodies { #expect(try client.response() == body) }
                try client.send(
                    raw: get("/do/one") + get("/do/wait") + chunked("/do/echo", ["a", "bc"]) + get("/do/two"))
                #expect(try client.response() == "GET one")
                try await probe.waitFor("asked wait")
                try client.send(raw: get("/do/three"))
                #expect(!probe.events.contains("asked two"))
                probe.isOpen = true
                for expected in ["GET wait", "abc", "GET two", "GET three"] {
                    #expect(try client.response() == expected)
                }
                #expect(server.statistics.requests == 55)
            }
        }

        @Test("RFC 9112 §6: a request may come in any pieces")
        func pieces() async throws {
            let probe = Probe()
            try await withServer(routes(probe)) { server in
                let client = try RawClient.silent(server)
                let requests = post("/do/echo", "hello") + chunked("/do/echo", ["wor", "ld"]) + get("/do/end")
                for byte in requests.utf8 { try client.send([byte]) }
                for expected in ["hello", "world", "GET end"] { #expect(try client.response() == expected) }
            }
        }

        @Test("fields that are the server's to say are left out of a response, whatever their case; others stay")
        func reservedFields() async throws {
            let route = Route(http: "/fields") { _ in
                let fields = [
                    ("Content-Length", "999"), ("content-length", "1"), ("TRANSFER-ENCODING", "chunked"),
                    ("Connection", "upgrade"), ("X-Own", "kept"), ("X-Own", "twice"),
                ]
                return HTTPResponse(fields: try fields.map { try HeaderField($0.0, $0.1) }, body: Array("four".utf8))
            }
            try await withServer([route]) { server in
                let client = try RawClient.silent(server)
                for _ in 0..<2 {
                    try client.send(raw: get("/fields"))
                    #expect(try client.response() == "four")
                    #expect(client.headers("content-length") == ["4"])
                    #expect(client.headers("transfer-encoding") == [])
                    #expect(client.headers("connection") == [])
                    #expect(client.headers("x-own") == ["kept", "twice"])
                }
            }
        }

        @Test(
            "max-body-bytes: n-1 and n pass, n+1 is 413; in one piece or in chunks", arguments: [0, 1, 1_000, 300_000])
        func bodyLimit(limit: Int) async throws {
            let probe = Probe()
            try await withServer(routes(probe), configure: { $0.listeners[0].http.bodyByteCountMax = limit }) {
                server in
                var refusals = 0
                for byteCount in [limit - 1, limit, limit + 1] where byteCount >= 0 {
                    let body = String(repeating: "b", count: byteCount)
                    let half = body.prefix(byteCount / 2)
                    let pieces = [String(half), String(body.dropFirst(half.count))].filter { !$0.isEmpty }
                    for request in [post("/do/echo", body), chunked("/do/echo", pieces)] {
                        let client = try RawClient.silent(server)
                        try? client.send(raw: request)  // who is refused may not be listened to
                        let answer = try client.response()
                        if byteCount <= limit {
                            #expect(client.status == 200 && answer == body)
                        } else {
                            refusals += 1
                            #expect(client.status == 413 && client.header("Connection") == "close")
                        }
                    }
                }
                try await eventually("all refusals ended: \(server.statistics.ended)") {
                    server.statistics.ended[.requestInvalid] == refusals
                }
            }
        }

        @Test("RFC 9110 §9.3.2: HEAD is answered as GET is, without the body; what a route has not is 405")
        func methods() async throws {
            let probe = Probe()
            let pages = [Route(http: "/page") { HTTPResponse(text: "page for \($0.method)") }] + routes(probe)
            try await withServer(pages) { server in
                let client = try RawClient.silent(server)
                try client.send(raw: "HEAD /page HTTP/1.1\r\nHost: localhost\r\n\r\n" + get("/page"))
                #expect(try client.response(isHead: true) == "")
                #expect(client.status == 200 && client.header("Content-Length") == "\("page for HEAD".utf8.count)")
                #expect(try client.response() == "page for GET")
                try client.send(raw: post("/page", "x"))
                #expect(try client.response() == "use GET, HEAD\n")
                #expect(client.status == 405 && client.header("Allow") == "GET, HEAD")
                #expect(client.isEnded())
            }
        }

        @Test(
            "max-requests-per-connection: the last answer says close, and the connection ends", arguments: [1, 2, 10])
        func requestCount(limit: Int) async throws {
            let probe = Probe()
            try await withServer(routes(probe), configure: { $0.listeners[0].http.requestCountMax = limit }) { server in
                let client = try RawClient.silent(server)
                try client.send(raw: (0...limit).map { get("/do/\($0)") }.joined())
                for index in 0..<limit {
                    #expect(try client.response() == "GET \(index)")
                    #expect(client.header("Connection") == (index == limit - 1 ? "close" : nil))
                }
                #expect(client.isEnded())
                client.endWriting()
                #expect(server.statistics.requests == limit)
                try await eventually("counted") { server.statistics.ended == [.requestsServed: 1] }
            }
        }

        @Test("RFC 9112 §9.3: the connection goes on as client and server have agreed")
        func keepAlive() async throws {
            let probe = Probe()
            let old = "GET /do/old HTTP/1.0\r\n"
            try await withServer(routes(probe)) { server in
                for (request, goesOn) in [
                    (get("/do/x"), true), (get("/do/x", "Connection: close"), false),
                    (get("/do/x", "Connection: keep-alive, close"), false), (old + "\r\n", false),
                    (old + "Connection: keep-alive\r\n\r\n", true),
                ] {
                    let client = try RawClient.silent(server)
                    try client.send(raw: request)
                    try client.response()
                    #expect(client.status == 200)
                    if goesOn {
                        try client.send(raw: get("/do/more"))
                        #expect(try client.response() == "GET more")
                    } else {
                        #expect(client.isEnded())
                    }
                }
            }
            try await withServer(
                routes(probe), configure: { $0.listeners[0].http.keepAliveTimeout = .zero }
            ) { server in
                let client = try RawClient.silent(server)
                try client.send(raw: get("/do/x") + get("/do/y"))
                #expect(try client.response() == "GET x")
                #expect(client.header("Connection") == "close")
                #expect(client.isEnded())
            }
        }

        @Test("a connection that is silent for keep-alive-timeout ends as one whose requests were served")
        func keepAliveTimeout() async throws {
            let probe = Probe()
            try await withServer(
                routes(probe), configure: { $0.listeners[0].http.keepAliveTimeout = .milliseconds(50) }
            ) { server in
                let client = try RawClient.silent(server)
                try client.send(raw: get("/do/x"))
                try client.response()
                #expect(client.isEnded())
                try await eventually("counted") { server.statistics.ended == [.requestsServed: 1] }
            }
        }

        @Test("a WebSocket may follow requests on the same connection")
        func upgrade() async throws {
            let probe = Probe()
            try await withServer(routes(probe) + [Route("/echo") { _ in EchoHandler() }]) { server in
                let client = try RawClient.silent(server)
                let upgrade = get(
                    "/echo", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
                try client.send(Array((post("/do/echo", "body") + upgrade).utf8) + Frame.text("hello").encoded)
                #expect(try client.response() == "body")
                try client.response(isHead: true)
                #expect(client.status == 101)
                #expect(try client.receive() == .text("hello"))
                try client.send(.close(1000))
                #expect(try client.closeCode() == 1000)
                try await eventually("counted") { server.statistics.ended == [.clientClosed: 1] }
                #expect(server.statistics.requests == 1 && server.statistics.opened == 1)
            }
        }

        @Test("RFC 9110 §10.1.1: who waits for 100 is told to go on; who does not wait is not")
        func expectations() async throws {
            let probe = Probe()
            try await withServer(routes(probe)) { server in
                let client = try RawClient.silent(server)
                let head =
                    "POST /do/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
                try client.send(raw: head)
                try client.response(isHead: true)
                #expect(client.status == 100)
                try client.send(raw: "body")
                #expect(try client.response() == "body")
                try client.send(raw: head + "more")
                #expect(try client.response() == "more")
                #expect(client.status == 200)
            }
        }

        @Test("a drain closes idle connections at once, and lets those end that are being answered")
        func drain() async throws {
            let probe = Probe()
            try await withDrainedServer(
                routes(probe), configure: { $0.listeners[0].http.keepAliveTimeout = .seconds(86_400) }
            ) { server in
                let idle = try (0..<20).map { _ in try RawClient.silent(server) }
                for client in idle {
                    try client.send(raw: get("/do/x"))
                    try client.response()
                }
                let busy = try RawClient.silent(server)
                try busy.send(raw: get("/do/wait"))
                try await probe.waitFor("asked wait")
                async let left = server.drain()
                for client in idle { #expect(client.isEnded()) }
                try await eventually("only the busy one is left") { server.connectionCount == 1 }
                probe.isOpen = true
                #expect(try busy.response() == "GET wait")
                #expect(busy.header("Connection") == "close")
                #expect(busy.isEnded())
                #expect(await left == 0)
                #expect(server.statistics.ended == [.draining: 20, .requestsServed: 1])
            }
        }
    }
}
