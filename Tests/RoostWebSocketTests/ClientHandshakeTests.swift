import RoostHTTP
import RoostWebSocket
import Testing

/// RFC 6455 §4.1.
@Suite struct ClientHandshakeTests {
    /// "the sample nonce" of RFC 6455 §1.3 as two words, its first byte the lowest.
    static let random: (UInt64, UInt64) = (0x706D_6173_2065_6874, 0x6563_6E6F_6E20_656C)

    static func handshake(subprotocols: [String] = []) throws -> ClientHandshake {
        try ClientHandshake(
            host: "localhost:9001", target: "/echo?a=b", random: random, subprotocols: subprotocols)
    }

    static func response(
        _ line: String = "HTTP/1.1 101 Switching Protocols", upgrade: String = "websocket",
        connection: String = "Upgrade", accept: String = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", extra: String = ""
    ) throws -> ResponseHead {
        let text =
            "\(line)\r\nUpgrade: \(upgrade)\r\nConnection: \(connection)\r\nSec-WebSocket-Accept: \(accept)\r\n"
            + "\(extra)\r\n"
        let bytes = Array(text.utf8)
        var parser = ResponseHeadParser()
        guard case .head(let head, bytes.count) = parser.parse(bytes.span) else { throw NotParsed(text: text) }
        return head
    }

    struct NotParsed: Error { let text: String }

    @Test("the request is what the RFC asks for, byte for byte")
    func writesTheRequest() throws {
        let handshake = try Self.handshake(subprotocols: ["a", "b"])
        let expected =
            "GET /echo?a=b HTTP/1.1\r\nHost: localhost:9001\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            + "Sec-WebSocket-Protocol: a, b\r\n\r\n"
        #expect(String(decoding: handshake.request, as: UTF8.self) == expected)
    }

    @Test("a server accepts the request and the client its answer", arguments: UInt64(0)..<30)
    func bothSidesAgree(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let client = try ClientHandshake(
            host: "h", target: "/", random: (generator.next(), generator.next()), subprotocols: ["x", "y"],
            extraFields: [try HeaderField("X-Test", "1")])
        var requestParser = RequestHeadParser()
        guard case .head(let request, _) = requestParser.parse(client.request.span),
            case .accept(let acceptance) = ServerHandshake.evaluate(request, supportedSubprotocols: ["y"])
        else {
            Issue.record("request refused")
            return
        }
        #expect(request.headers.first("x-test") == "1")
        var responseParser = ResponseHeadParser()
        let bytes = ServerHandshake.response(acceptance)
        guard case .head(let response, bytes.count) = responseParser.parse(bytes.span) else {
            Issue.record("response not parsed")
            return
        }
        #expect(try client.check(response) == ClientHandshake.Agreement(subprotocol: "y", deflate: nil))
    }

    @Test("a wrong answer is refused for its own reason")
    func refusesWrongAnswers() throws {
        let client = try Self.handshake(subprotocols: ["a"])
        #expect(try client.check(Self.response()).subprotocol == nil)
        #expect(try client.check(Self.response(extra: "Sec-WebSocket-Protocol: a\r\n")).subprotocol == "a")
        func expect(_ error: ClientHandshakeError, _ response: ResponseHead) {
            #expect(throws: error) { try client.check(response) }
        }
        expect(.status(200), try Self.response("HTTP/1.1 200 OK"))
        expect(.upgradeMissing, try Self.response("HTTP/1.0 101 Switching Protocols"))
        expect(.upgradeMissing, try Self.response(upgrade: "h2c"))
        expect(.connectionWithoutUpgrade, try Self.response(connection: "close"))
        expect(.acceptValueWrong, try Self.response(accept: "s3pPLMBiTxaQ9kYGzzhZRbK+xOO="))
        expect(.acceptValueWrong, try Self.response(accept: ""))
        expect(.extensionNotOffered, try Self.response(extra: "Sec-WebSocket-Extensions: permessage-deflate\r\n"))
        expect(.subprotocolNotOffered, try Self.response(extra: "Sec-WebSocket-Protocol: b\r\n"))
        expect(
            .subprotocolNotOffered,
            try Self.response(extra: "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n"))
    }

    @Test("what would break out of the request is refused")
    func refusesInjection() {
        #expect(throws: ClientHandshakeError.invalidTarget("/a b")) {
            try ClientHandshake(host: "h", target: "/a b", random: Self.random)
        }
        #expect(throws: ClientHandshakeError.invalidTarget("/\r\nX: y")) {
            try ClientHandshake(host: "h", target: "/\r\nX: y", random: Self.random)
        }
        #expect(throws: ClientHandshakeError.invalidTarget("")) {
            try ClientHandshake(host: "h", target: "", random: Self.random)
        }
        #expect(throws: ClientHandshakeError.invalidHost("h\r\nX: y")) {
            try ClientHandshake(host: "h\r\nX: y", target: "/", random: Self.random)
        }
        #expect(throws: ClientHandshakeError.invalidHost("")) {
            try ClientHandshake(host: "", target: "/", random: Self.random)
        }
        #expect(throws: ClientHandshakeError.invalidSubprotocol("a, b")) {
            try ClientHandshake(host: "h", target: "/", random: Self.random, subprotocols: ["a, b"])
        }
    }
}
