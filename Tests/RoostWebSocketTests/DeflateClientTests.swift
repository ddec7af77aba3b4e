import RoostHTTP
import RoostWebSocket
import Testing

/// RFC 7692 §5.1 and §7.1: what a client offers, and what it makes of the answer.
@Suite struct DeflateClientTests {
    static let frugal = DeflatePolicy()
    static let generous = DeflatePolicy(serverContextTakeover: true, clientContextTakeover: true)
    static let small = DeflatePolicy(
        serverContextTakeover: true, clientContextTakeover: true, serverMaxWindowBits: 10, clientMaxWindowBits: 9)

    static func check(_ values: [String], _ policy: DeflatePolicy?) throws -> DeflateParameters? {
        let client = try ClientHandshake(
            host: "localhost:9001", target: "/", random: ClientHandshakeTests.random, deflate: policy)
        let lines = values.map { "Sec-WebSocket-Extensions: \($0)\r\n" }.joined()
        return try client.check(try ClientHandshakeTests.response(extra: lines)).deflate
    }

    @Test("RFC 7692 §7.1: the offer says what the client wants")
    func offers() throws {
        #expect(
            DeflateNegotiation.offer(Self.frugal)
                == "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits")
        #expect(DeflateNegotiation.offer(Self.generous) == "permessage-deflate; client_max_window_bits")
        #expect(
            DeflateNegotiation.offer(Self.small)
                == "permessage-deflate; server_max_window_bits=10; client_max_window_bits=9")
        let client = try ClientHandshake(
            host: "h", target: "/", random: (1, 2), subprotocols: ["a"], deflate: Self.generous)
        #expect(
            String(decoding: client.request, as: UTF8.self).hasSuffix(
                "\r\nSec-WebSocket-Protocol: a\r\n"
                    + "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"))
    }

    @Test("an answer that matches the offer is taken")
    func takesAnswers() throws {
        func expect(
            _ answer: String, _ policy: DeflatePolicy, serverContext: Bool = true, clientContext: Bool = true,
            server: UInt8 = 15, client: UInt8 = 15, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let expected = DeflateParameters(
                serverNoContextTakeover: !serverContext, clientNoContextTakeover: !clientContext,
                serverMaxWindowBits: server, clientMaxWindowBits: client)
            let parameters = try Self.check(["permessage-deflate\(answer)"], policy)
            #expect(parameters == expected, sourceLocation: sourceLocation)
        }
        try expect("", Self.generous)
        // A server may limit itself, and the client, without being asked (RFC 7692 §7.1.1, §7.1.2.1).
        try expect("; server_no_context_takeover", Self.generous, serverContext: false)
        try expect("; client_no_context_takeover", Self.generous, clientContext: false)
        try expect("; server_max_window_bits=12", Self.generous, server: 12)
        try expect("; client_max_window_bits=12", Self.generous, client: 12)
        try expect("; server_max_window_bits=10", Self.small, server: 10, client: 9)
        try expect(#"; server_max_window_bits="8"; client_max_window_bits=8"#, Self.small, server: 8, client: 8)
        // What the client has said of itself holds without an answer (RFC 7692 §7.1.1.2, §7.1.2.2).
        try expect("; server_no_context_takeover", Self.frugal, serverContext: false, clientContext: false)
    }

    @Test("no header: the server has declined")
    func takesNoAnswer() throws {
        for policy in [Self.frugal, Self.generous, Self.small, nil] { #expect(try Self.check([], policy) == nil) }
    }

    @Test(
        "RFC 7692 §5.1: an answer that does not match the offer is refused",
        arguments: [
            ("permessage-deflate; unknown", generous), ("permessage-deflate; client_max_window_bits", generous),
            ("permessage-deflate; server_max_window_bits", generous),
            ("permessage-deflate; server_max_window_bits=16", generous),
            ("permessage-deflate; server_max_window_bits=7", generous),
            ("permessage-deflate; client_max_window_bits=08", generous),
            ("permessage-deflate; server_no_context_takeover=1", generous),
            ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", generous),
            ("permessage-deflate", frugal), ("permessage-deflate; client_no_context_takeover", frugal),
            ("permessage-deflate", small), ("permessage-deflate; server_max_window_bits=11", small),
            ("permessage-deflate; server_max_window_bits=10; client_max_window_bits=10", small),
        ])
    func refusesAnswers(answer: String, policy: DeflatePolicy) {
        let error = ClientHandshakeError.deflateAnswerInvalid(answer)
        #expect(throws: error) { try Self.check([answer], policy) }
        #expect(error.description.contains("'\(answer)'") && error.description.contains("(RFC 7692 §5.1"))
    }

    @Test("RFC 6455 §4.1: an extension that was not offered is refused, and permessage-deflate twice")
    func refusesOtherExtensions() {
        for values in [
            ["x-webkit-deflate-frame"], ["permessage-deflate, mux"], ["mux", "permessage-deflate"],
            ["permessage-deflate, permessage-deflate"], ["permessage-deflate", "permessage-deflate"],
        ] {
            #expect(throws: ClientHandshakeError.extensionNotOffered) { try Self.check(values, Self.generous) }
        }
        #expect(throws: ClientHandshakeError.extensionNotOffered) { try Self.check(["permessage-deflate"], nil) }
    }

    @Test("RFC 6455 §9.1: a malformed answer is refused", arguments: ["", ",", "permessage-deflate;", "=", "a b"])
    func refusesMalformedAnswers(value: String) {
        #expect(throws: ClientHandshakeError.extensionsMalformed) { try Self.check([value], Self.generous) }
        #expect(ClientHandshakeError.extensionsMalformed.description.contains("(RFC 6455 §9.1)"))
    }

    @Test("every client and every server agree on the same, and no window is larger than either wants")
    func bothSidesAgree() throws {
        var policies: [DeflatePolicy] = []
        for takeover in 0..<4 {
            for (serverBits, clientBits) in [(15, 15), (8, 15), (15, 8), (9, 12), (12, 9)] as [(UInt8, UInt8)] {
                policies.append(
                    DeflatePolicy(
                        serverContextTakeover: takeover & 1 != 0, clientContextTakeover: takeover & 2 != 0,
                        serverMaxWindowBits: serverBits, clientMaxWindowBits: clientBits))
            }
        }
        for offered in policies {
            let headers = try DeflateNegotiationTests.headers([DeflateNegotiation.offer(offered)])
            for policy in policies {
                let agreed = try #require(DeflateNegotiation.accept(headers, policy: policy))
                let checked = try #require(try Self.check([agreed.responseValue], offered))
                #expect(checked.serverNoContextTakeover == agreed.parameters.serverNoContextTakeover)
                #expect(checked.clientNoContextTakeover == agreed.parameters.clientNoContextTakeover)
                #expect(checked.clientMaxWindowBits == agreed.parameters.clientMaxWindowBits)
                #expect(checked.serverMaxWindowBits >= agreed.parameters.serverMaxWindowBits, "cannot be inflated")
                #expect(checked.serverMaxWindowBits <= offered.serverMaxWindowBits)
                #expect(agreed.parameters.clientMaxWindowBits <= policy.clientMaxWindowBits)
            }
        }
    }
}
