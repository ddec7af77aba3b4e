import RoostHTTP
import RoostWebSocket
import Testing

/// RFC 7692 §5.1 and §7.1: what the server makes of an offer.
@Suite struct DeflateNegotiationTests {
    static let frugal = DeflatePolicy()
    static let generous = DeflatePolicy(serverContextTakeover: true, clientContextTakeover: true)
    static let small = DeflatePolicy(
        serverContextTakeover: true, clientContextTakeover: true, serverMaxWindowBits: 10, clientMaxWindowBits: 9)

    static func headers(_ values: [String]) throws -> HeaderFields {
        try HandshakeTests.request(plus: values.map { ("Sec-WebSocket-Extensions", $0) }).headers
    }

    static func accept(_ values: [String], _ policy: DeflatePolicy) throws -> String? {
        DeflateNegotiation.accept(try headers(values), policy: policy)?.responseValue
    }

    @Test(
        "what clients offer is accepted",
        arguments: [
            ("Chrome, Edge, Safari, ws for Node", "permessage-deflate; client_max_window_bits"),
            ("Firefox", "permessage-deflate"),
            ("websockets for Python", "permessage-deflate; client_max_window_bits"),
            ("aiohttp", "permessage-deflate; client_max_window_bits"),
            ("Gorilla for Go", "permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
            ("websockets for Python before 8.0", "permessage-deflate; client_max_window_bits=15"),
            (
                "Autobahn",
                "permessage-deflate; client_no_context_takeover; client_max_window_bits, permessage-deflate; "
                    + "client_no_context_takeover"
            ),
            ("old Safari", "x-webkit-deflate-frame, permessage-deflate"),
        ])
    func acceptsRealClients(client: String, offer: String) throws {
        let agreed = try #require(DeflateNegotiation.accept(try Self.headers([offer]), policy: Self.frugal))
        #expect(
            agreed.responseValue == "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "\(client)")
        let expected = DeflateParameters(
            serverNoContextTakeover: true, clientNoContextTakeover: true, serverMaxWindowBits: 15,
            clientMaxWindowBits: 15)
        #expect(agreed.parameters == expected)
    }

    struct Rule: Sendable {
        let section: String
        let offers: [String]
        let policy: DeflatePolicy
        let response: String
        let parameters: DeflateParameters

        init(
            _ section: String, _ offer: String, _ policy: DeflatePolicy, _ response: String,
            serverContext: Bool = true, clientContext: Bool = true, server: UInt8 = 15, client: UInt8 = 15
        ) {
            self.section = section
            self.offers = [offer]
            self.policy = policy
            self.response = response
            self.parameters = DeflateParameters(
                serverNoContextTakeover: !serverContext, clientNoContextTakeover: !clientContext,
                serverMaxWindowBits: server, clientMaxWindowBits: client)
        }
    }

    static let rules: [Rule] = [
        Rule("7.1: nothing asked, nothing limited", "", generous, ""),
        Rule("7.1.1.1", "; server_no_context_takeover", generous, "; server_no_context_takeover", serverContext: false),
        Rule("7.1.1.2", "; client_no_context_takeover", generous, "; client_no_context_takeover", clientContext: false),
        Rule(
            "7.1.1.1: unasked", "", DeflatePolicy(clientContextTakeover: true), "; server_no_context_takeover",
            serverContext: false),
        Rule(
            "7.1.1.2: unasked", "", DeflatePolicy(serverContextTakeover: true), "; client_no_context_takeover",
            clientContext: false),
        Rule("7.1.2.1: same", "; server_max_window_bits=12", generous, "; server_max_window_bits=12", server: 12),
        Rule(
            "7.1.2.1: smaller", "; server_max_window_bits=12", small, "; server_max_window_bits=10", server: 10,
            client: 15),
        Rule("7.1.2.1: smallest", "; server_max_window_bits=8", generous, "; server_max_window_bits=8", server: 8),
        Rule("7.1.2.1: largest", "; server_max_window_bits=15", generous, "; server_max_window_bits=15"),
        Rule("7.1.2.1: not asked, not told", "", small, "", server: 10),
        Rule("7.1.2.2: not offered, so not limited", "", small, "", server: 10),
        Rule(
            "7.1.2.2: offered", "; client_max_window_bits", small, "; client_max_window_bits=9", server: 10, client: 9),
        Rule("7.1.2.2: not limited", "; client_max_window_bits", generous, ""),
        Rule("7.1.2.2: hint", "; client_max_window_bits=11", generous, "; client_max_window_bits=11", client: 11),
        Rule(
            "7.1.2.2: below the hint", "; client_max_window_bits=11", small, "; client_max_window_bits=9", server: 10,
            client: 9),
        Rule(
            "7.1.2.2: below the policy", "; client_max_window_bits=8", small, "; client_max_window_bits=8", server: 10,
            client: 8),
        Rule(
            "9.1 of RFC 6455: quoted", #"; server_max_window_bits="10""#, generous, "; server_max_window_bits=10",
            server: 10),
        Rule(
            "9.1 of RFC 6455: quoted pairs", #"; server_max_window_bits="\1\0""#, generous,
            "; server_max_window_bits=10", server: 10),
        Rule("spaces", " \t;  server_max_window_bits = 10 \t", generous, "; server_max_window_bits=10", server: 10),
        Rule("no spaces", ";server_max_window_bits=10", generous, "; server_max_window_bits=10", server: 10),
        Rule(
            "everything",
            "; client_max_window_bits; server_max_window_bits=9; client_no_context_takeover; "
                + "server_no_context_takeover",
            small,
            "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; "
                + "client_max_window_bits=9",
            serverContext: false, clientContext: false, server: 9, client: 9),
    ]

    @Test("RFC 7692 §7.1: each parameter is answered as it may be", arguments: rules)
    func answers(rule: Rule) throws {
        let offers = rule.offers.map { "permessage-deflate\($0)" }
        let agreed = try #require(DeflateNegotiation.accept(try Self.headers(offers), policy: rule.policy))
        #expect(agreed.responseValue == "permessage-deflate\(rule.response)", "§\(rule.section)")
        #expect(agreed.parameters == rule.parameters, "§\(rule.section)")
    }

    @Test(
        "RFC 7692 §5.1, §7.1: an offer that is wrong is declined, and the next one looked at",
        arguments: [
            "unknown", "unknown=1", "server_no_context_takeover; server_no_context_takeover",
            "server_no_context_takeover=1", "client_no_context_takeover; client_no_context_takeover",
            "client_no_context_takeover=true", #"client_no_context_takeover="x""#, "server_max_window_bits",
            "server_max_window_bits=7", "server_max_window_bits=16", "server_max_window_bits=08",
            "server_max_window_bits=0", "server_max_window_bits=1", "server_max_window_bits=010",
            "server_max_window_bits=1a", "server_max_window_bits=a", "server_max_window_bits=-9",
            "server_max_window_bits=+9", "server_max_window_bits=99", "server_max_window_bits=265",
            "server_max_window_bits=10; server_max_window_bits=10", "client_max_window_bits=7",
            "client_max_window_bits=16", "client_max_window_bits=09", "client_max_window_bits=100000000000000000000",
            "client_max_window_bits; client_max_window_bits", "client_max_window_bits; client_max_window_bits=10",
            "client_max_window_bits=10; client_max_window_bits", "Server_no_context_takeover",
        ])
    func declines(parameters: String) throws {
        let wrong = "permessage-deflate; \(parameters)"
        #expect(try Self.accept([wrong], Self.generous) == nil)
        let right = "permessage-deflate; server_max_window_bits=9"
        #expect(try Self.accept(["\(wrong), \(right)"], Self.generous) == right)
        #expect(try Self.accept([wrong, right], Self.generous) == right)
        #expect(try Self.accept(["\(right), \(wrong)"], Self.generous) == right)
    }

    @Test("RFC 7692 §5.1: the client's order decides, over all headers; other extensions are passed over")
    func keepsTheOrder() throws {
        func accepted(_ values: String...) throws -> String? { try Self.accept(values, Self.generous) }
        let nine = "permessage-deflate; server_max_window_bits=9"
        let ten = "permessage-deflate; server_max_window_bits=10"
        #expect(try accepted("\(nine), \(ten)") == nine)
        #expect(try accepted("\(ten), \(nine)") == ten)
        #expect(try accepted(ten, nine) == ten)
        #expect(try accepted(#"mux; max-channels="4"; flow-control, \#(nine)"#) == nine)
        #expect(try accepted("permessage-bzip2", ten) == ten)
        #expect(try accepted(",, \(ten) ,,") == ten)
        #expect(try accepted("") == nil)
        #expect(try accepted("permessage-bzip2, perframe-deflate, permessage-deflate2") == nil)
        #expect(try accepted() == nil)
    }

    @Test(
        "RFC 6455 §9.1: nothing is accepted from a list that is malformed",
        arguments: [
            "permessage-deflate;", "permessage-deflate; ;", "permessage-deflate; =1", "permessage-deflate x",
            "permessage-deflate; server_max_window_bits=", "permessage-deflate; server_max_window_bits= ,",
            #"permessage-deflate; server_max_window_bits="10"#, #"permessage-deflate; server_max_window_bits="""#,
            #"permessage-deflate; server_max_window_bits="1 0""#, #"permessage-deflate; server_max_window_bits="10\"#,
            #"permessage-deflate; server_max_window_bits="10"1"#, "permessage-deflate; server_max_window_bits=10 11",
            "permessage-deflate, ;", "permessage-deflate, a/b", "permessage-deflate; é", "=", "\"permessage-deflate\"",
        ])
    func refusesMalformedLists(value: String) throws {
        #expect(try Self.accept([value], Self.generous) == nil)
        #expect(try Self.accept(["permessage-deflate", value], Self.generous) == nil)
    }

    @Test("at most 16 elements are looked at, in one header or several")
    func isBounded() throws {
        let fifteen = [String](repeating: "other; a=b", count: 15)
        let sixteen = fifteen + ["other"]
        #expect(try Self.accept([fifteen.joined(separator: ",") + ", permessage-deflate"], Self.generous) != nil)
        #expect(try Self.accept([sixteen.joined(separator: ",") + ", permessage-deflate"], Self.generous) == nil)
        #expect(try Self.accept(fifteen + ["permessage-deflate"], Self.generous) != nil)
        #expect(try Self.accept(sixteen + ["permessage-deflate"], Self.generous) == nil)
        #expect(DeflateNegotiation.offerCountMax == 16)
    }

    @Test("parameters are small, and tell each direction")
    func parameters() async {
        #expect(MemoryLayout<DeflateParameters>.stride <= 4)
        let parameters = DeflateParameters(
            serverNoContextTakeover: true, clientNoContextTakeover: false, serverMaxWindowBits: 9,
            clientMaxWindowBits: 12)
        #expect(parameters.windowBits(of: .server) == 9)
        #expect(parameters.windowBits(of: .client) == 12)
        #expect(!parameters.keepsContext(of: .server))
        #expect(parameters.keepsContext(of: .client))
        await #expect(processExitsWith: .failure) { _ = DeflatePolicy(serverMaxWindowBits: 7) }
        await #expect(processExitsWith: .failure) { _ = DeflatePolicy(clientMaxWindowBits: 16) }
    }

    @Test("the server writes what it agreed to, and only if it has a policy")
    func serverHandshake() throws {
        let request = try HandshakeTests.request(plus: [
            ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
        ])
        func acceptance(_ policy: DeflatePolicy?) throws -> ServerHandshake.Acceptance {
            guard case .accept(let acceptance) = ServerHandshake.evaluate(request, deflate: policy) else {
                throw HandshakeTests.RequestNotParsed(text: "refused")
            }
            return acceptance
        }
        let compressed = try acceptance(Self.small)
        #expect(compressed.deflate?.clientMaxWindowBits == 9)
        let response = String(decoding: ServerHandshake.response(compressed), as: UTF8.self)
        #expect(
            response.hasSuffix(
                "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9\r\n\r\n"))
        let plain = try acceptance(nil)
        #expect(plain.deflate == nil)
        #expect(!String(decoding: ServerHandshake.response(plain), as: UTF8.self).contains("Extensions"))
    }
}
