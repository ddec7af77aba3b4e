import RoostHTTP
import RoostWebSocket
import Testing

/// RFC 6455 §4, both sides.
@Suite struct HandshakeTests {
    /// The request of RFC 6455 §1.3, header by header.
    static let headers: [(String, String)] = [
        ("Host", "server.example.com"), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Origin", "http://example.com"),
        ("Sec-WebSocket-Version", "13"),
    ]

    static func request(
        _ line: String = "GET /chat HTTP/1.1", without name: String? = nil, plus extra: [(String, String)] = []
    ) throws -> RequestHead {
        let lines = (headers.filter { $0.0 != name } + extra).map { "\($0.0): \($0.1)\r\n" }.joined()
        let bytes = Array("\(line)\r\n\(lines)\r\n".utf8)
        var parser = RequestHeadParser()
        guard case .head(let head, bytes.count) = parser.parse(bytes.span) else {
            throw RequestNotParsed(text: "\(line)\r\n\(lines)")
        }
        return head
    }

    struct RequestNotParsed: Error { let text: String }

    static func replacing(_ name: String, with value: String) throws -> RequestHead {
        try request(without: name, plus: [(name, value)])
    }

    @Test("RFC 6455 §1.3: the example is accepted with the value of the text")
    func acceptsTheExample() throws {
        let outcome = ServerHandshake.evaluate(try Self.request())
        guard case .accept(let acceptance) = outcome else {
            Issue.record("refused: \(outcome)")
            return
        }
        #expect(acceptance.acceptValue == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        #expect(acceptance.subprotocol == nil)
        let expected =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        #expect(String(decoding: ServerHandshake.response(acceptance), as: UTF8.self) == expected)
    }

    @Test(
        "names and tokens in any case, lists with other elements",
        arguments: [
            ("Upgrade", "WebSocket"), ("Upgrade", "h2c, WEBSOCKET"), ("Connection", "keep-alive, Upgrade"),
            ("Connection", "upgrade"), ("Connection", ",, UPGRADE ,"),
        ])
    func acceptsLists(name: String, value: String) throws {
        guard case .accept = ServerHandshake.evaluate(try Self.replacing(name, with: value)) else {
            Issue.record("refused")
            return
        }
    }

    @Test(
        "a header that is wrong is refused for its own reason",
        arguments: [
            ("Upgrade", "h2c", HandshakeRefusal.upgradeMissing), ("Upgrade", "websockets", .upgradeMissing),
            ("Upgrade", "", .upgradeMissing), ("Connection", "close", .connectionWithoutUpgrade),
            ("Connection", "Upgrade-Insecure", .connectionWithoutUpgrade),
            ("Connection", "", .connectionWithoutUpgrade),
            ("Sec-WebSocket-Version", "8", .versionUnsupported), ("Sec-WebSocket-Version", "12", .versionUnsupported),
            ("Sec-WebSocket-Version", "14", .versionUnsupported), ("Sec-WebSocket-Version", "", .versionUnsupported),
            ("Sec-WebSocket-Version", "13, 8", .versionUnsupported), ("Sec-WebSocket-Key", "", .keyInvalid),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=", .keyInvalid),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ===", .keyInvalid),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZ===", .keyInvalid),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQAA", .keyInvalid),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j-Q==", .keyInvalid),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBs SBub25jZQ==", .keyInvalid),
        ])
    func refusesWrongHeaders(name: String, value: String, refusal: HandshakeRefusal) throws {
        #expect(ServerHandshake.evaluate(try Self.replacing(name, with: value)) == .refuse(refusal))
    }

    @Test(
        "a header that is missing is refused for its own reason",
        arguments: [
            ("Upgrade", HandshakeRefusal.upgradeMissing), ("Connection", .connectionWithoutUpgrade),
            ("Sec-WebSocket-Version", .versionMissing), ("Sec-WebSocket-Key", .keyMissing),
        ])
    func refusesMissingHeaders(name: String, refusal: HandshakeRefusal) throws {
        #expect(ServerHandshake.evaluate(try Self.request(without: name)) == .refuse(refusal))
    }

    @Test(
        "a header that must come once is refused twice (RFC 6455 §11.3)",
        arguments: [
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", HandshakeRefusal.keyRepeated),
            ("Sec-WebSocket-Version", "13", .versionUnsupported),
        ])
    func refusesRepeatedHeaders(name: String, value: String, refusal: HandshakeRefusal) throws {
        #expect(ServerHandshake.evaluate(try Self.request(plus: [(name, value)])) == .refuse(refusal))
    }

    @Test("only GET opens a WebSocket", arguments: ["POST", "HEAD", "OPTIONS", "get", "PUT"])
    func refusesOtherMethods(method: String) throws {
        let request = try Self.request("\(method) /chat HTTP/1.1")
        #expect(ServerHandshake.evaluate(request) == .refuse(.methodNotAllowed))
    }

    @Test("RFC 9110 §7.8: Upgrade in an HTTP/1.0 request is ignored")
    func refusesHTTP10() throws {
        #expect(ServerHandshake.evaluate(try Self.request("GET /chat HTTP/1.0")) == .refuse(.upgradeMissing))
    }

    @Test("a request with a body is refused: its bytes would be taken for frames")
    func refusesBodies() throws {
        let length = try Self.request(plus: [("Content-Length", "5")])
        #expect(ServerHandshake.evaluate(length) == .refuse(.bodyNotAllowed))
        let chunked = try Self.request(plus: [("Transfer-Encoding", "chunked")])
        #expect(ServerHandshake.evaluate(chunked) == .refuse(.bodyNotAllowed))
        guard case .accept = ServerHandshake.evaluate(try Self.request(plus: [("Content-Length", "0")])) else {
            Issue.record("an empty body is no body")
            return
        }
    }

    @Test(
        "the server's first subprotocol that is offered is chosen",
        arguments: [
            (["chat"], "chat"), (["b, a"], "a"), (["c", "b"], "b"), (["A"], nil), (["x, y"], nil), ([",b,"], "b"),
            ([""], nil),
        ] as [([String], String?)])
    func choosesSubprotocol(offers: [String], chosen: String?) throws {
        let request = try Self.request(plus: offers.map { ("Sec-WebSocket-Protocol", $0) })
        let outcome = ServerHandshake.evaluate(request, supportedSubprotocols: ["a", "b", "chat"])
        guard case .accept(let acceptance) = outcome else {
            Issue.record("refused: \(outcome)")
            return
        }
        #expect(acceptance.subprotocol == chosen)
        let response = String(decoding: ServerHandshake.response(acceptance), as: UTF8.self)
        let line = chosen.map { "\r\nSec-WebSocket-Protocol: \($0)\r\n" }
        #expect(line.map(response.contains) ?? !response.contains("Protocol:"))
    }

    @Test("offers that are not tokens or come twice are refused", arguments: ["a b", "a, a", "a/b", "\"a\"", "é"])
    func refusesInvalidSubprotocols(offer: String) throws {
        let request = try Self.request(plus: [("Sec-WebSocket-Protocol", offer)])
        #expect(ServerHandshake.evaluate(request) == .refuse(.subprotocolInvalid))
    }

    @Test("RFC 9112 §11.1: a subprotocol that is echoed cannot add a line, even if the server supports such a name")
    func echoesNoLines() async throws {
        for name in ["a\r\nX: y", "a b", "a\n", ""] {
            let request = try Self.request(plus: [("Sec-WebSocket-Protocol", "a")])
            guard case .accept(let acceptance) = ServerHandshake.evaluate(request, supportedSubprotocols: [name]) else {
                Issue.record("refused")
                return
            }
            #expect(acceptance.subprotocol == nil, "only what a client can offer is chosen")
        }
    }

    @Test("every refusal is a whole response that tells what to do")
    func refusalResponses() {
        let refusals: [(HandshakeRefusal, String, String?)] = [
            (.methodNotAllowed, "405 Method Not Allowed", "Allow: GET"),
            (.upgradeMissing, "426 Upgrade Required", "Upgrade: websocket"),
            (.versionUnsupported, "426 Upgrade Required", "Sec-WebSocket-Version: 13"),
            (.versionMissing, "400 Bad Request", "Sec-WebSocket-Version: 13"),
            (.connectionWithoutUpgrade, "400 Bad Request", nil), (.keyMissing, "400 Bad Request", nil),
            (.keyRepeated, "400 Bad Request", nil), (.keyInvalid, "400 Bad Request", nil),
            (.bodyNotAllowed, "400 Bad Request", nil), (.subprotocolInvalid, "400 Bad Request", nil),
        ]
        for (refusal, status, field) in refusals {
            let response = String(decoding: refusal.response(), as: UTF8.self)
            #expect(response.hasPrefix("HTTP/1.1 \(status)\r\n"))
            if let field { #expect(response.contains("\r\n\(field)\r\n")) }
            #expect(response.contains("\r\nContent-Length: \(refusal.description.utf8.count + 1)\r\n"))
            #expect(response.hasSuffix("\r\n\r\n\(refusal.description)\n"))
        }
    }

    @Test("extra headers are written; the handshake's own cannot be replaced")
    func extraHeaders() async throws {
        let acceptance = try #require(Self.acceptance(try Self.request()))
        let response = ServerHandshake.response(acceptance, extraFields: [try HeaderField("Set-Cookie", "a=b")])
        #expect(String(decoding: response, as: UTF8.self).hasSuffix("\r\nSet-Cookie: a=b\r\n\r\n"))
        #expect(ServerHandshake.isReserved("sec-WebSocket-ACCEPT"))
        #expect(ServerHandshake.isReserved("Content-Length"))
        #expect(!ServerHandshake.isReserved("Set-Cookie"))
        await #expect(processExitsWith: .failure) {
            let acceptance = try #require(HandshakeTests.acceptance(try HandshakeTests.request()))
            _ = ServerHandshake.response(acceptance, extraFields: [try HeaderField("upgrade", "h2c")])
        }
    }

    static func acceptance(_ request: RequestHead) -> ServerHandshake.Acceptance? {
        guard case .accept(let acceptance) = ServerHandshake.evaluate(request) else { return nil }
        return acceptance
    }
}
