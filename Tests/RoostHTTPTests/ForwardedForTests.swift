import RoostHTTP
import Testing

/// RFC 7239 and its unwritten predecessor: who is behind the proxies.
@Suite struct ForwardedForTests {
    /// What is told to a server that trusts 10.0.0.0/8 and fd00::/8, by a peer at 10.0.0.1.
    static func client(
        _ lines: [String], _ header: ForwardedFor.Header, peer: String? = "10.0.0.1",
        trusted: [String] = ["10.0.0.0/8", "fd00::/8"]
    ) throws -> String? {
        let name = header == .forwarded ? "Forwarded" : "X-Forwarded-For"
        let head = head(request("/", headers: "Host: a\r\n" + lines.map { "\(name): \($0)\r\n" }.joined()))
        return ForwardedFor.client(
            in: head.headers, header: header, peer: try peer.map { try #require(IPAddress($0)) },
            trusted: try AddressRanges(trusted)
        )?.description
    }

    @Test(
        "X-Forwarded-For: the nearest address that is not trusted",
        arguments: [
            ([], nil), ([""], nil), (["192.0.2.1"], "192.0.2.1"), (["198.51.100.1, 192.0.2.1"], "192.0.2.1"),
            (["192.0.2.1, 10.0.0.2"], "192.0.2.1"), (["192.0.2.1,10.0.0.3,10.0.0.2"], "192.0.2.1"),
            (["10.0.0.3, 10.0.0.2"], "10.0.0.3"), (["192.0.2.1", "10.0.0.2"], "192.0.2.1"),
            (["10.0.0.2", "192.0.2.1"], "192.0.2.1"), (["a, 192.0.2.1", "10.0.0.3 ,\t10.0.0.2"], "192.0.2.1"),
            (["192.0.2.1, , 10.0.0.2,,"], "192.0.2.1"), ([", ,"], nil), (["192.0.2.1:80"], "192.0.2.1"),
            (["2001:db8::1"], "2001:db8::1"), (["[2001:db8::1]"], "2001:db8::1"), (["[2001:db8::1]:80"], "2001:db8::1"),
            (["192.0.2.1, fd00::1"], "192.0.2.1"), (["192.0.2.1, ::ffff:10.0.0.2"], "192.0.2.1"),
            (["::ffff:192.0.2.1"], "192.0.2.1"),
        ] as [([String], String?)])
    func xForwardedFor(lines: [String], client: String?) throws {
        #expect(try Self.client(lines, .xForwardedFor) == client)
    }

    @Test(
        "X-Forwarded-For: nothing beyond garbage is believed",
        arguments: [
            "unknown", "_hidden", "x", "192.0.2", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:a", "192.0.2.1 10.0.0.9",
            "[192.0.2.1]", "[::1", "::1]", "[::1]x", "[::1]:", "[::1]80", "[]", ":80", ":", "\"192.0.2.1\"", "1:2:80",
            "192.0.2.1;80", "é", "for=192.0.2.1", "[::1%eth0]", "-",
        ])
    func xForwardedForStops(garbage: String) throws {
        #expect(try Self.client(["192.0.2.1, \(garbage)"], .xForwardedFor) == nil)
        #expect(try Self.client(["192.0.2.1, \(garbage), 10.0.0.2"], .xForwardedFor) == "10.0.0.2")
        #expect(try Self.client(["192.0.2.1", garbage, "10.0.0.2"], .xForwardedFor) == "10.0.0.2")
        #expect(try Self.client(["\(garbage), 192.0.2.1, 10.0.0.2"], .xForwardedFor) == "192.0.2.1")
    }

    @Test(
        "Forwarded: the nearest address that is not trusted",
        arguments: [
            ([], nil), ([""], nil), (["for=192.0.2.43"], "192.0.2.43"), (["For=\"192.0.2.43:47011\""], "192.0.2.43"),
            (["FOR=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17"), (["for=\"[2001:DB8::1]\""], "2001:db8::1"),
            (["for=192.0.2.60;proto=http;by=203.0.113.43"], "192.0.2.60"),
            (["proto=https;for=192.0.2.60"], "192.0.2.60"),
            (["for=192.0.2.43, for=198.51.100.17"], "198.51.100.17"), (["for=192.0.2.43,for=10.0.0.2"], "192.0.2.43"),
            (["for=192.0.2.43", "for=10.0.0.2"], "192.0.2.43"), (["for=10.0.0.3, for=10.0.0.2"], "10.0.0.3"),
            (["for=192.0.2.1; proto=https ;host=\"a,b;c\\\"\""], "192.0.2.1"),
            (["for=\"192.0.2.1:_port\""], "192.0.2.1"),
            (["for=\"\\1\\92.0.2.1\""], "192.0.2.1"), ([";for=192.0.2.1;"], "192.0.2.1"),
            (["for=192.0.2.1;host=\"for=192.0.2.2, for=192.0.2.3\""], "192.0.2.1"),
            (["for=\"192.0.2.1, 10.0.0.2\", for=10.0.0.2"], "10.0.0.2"),
            (["for=192.0.2.1,, for=10.0.0.2 ,"], "192.0.2.1"),
            (["for=192.0.2.1;x=\"\\\\\", for=10.0.0.2"], "192.0.2.1"), (["for=\"[::ffff:192.0.2.1]\""], "192.0.2.1"),
        ] as [([String], String?)])
    func forwarded(lines: [String], client: String?) throws {
        #expect(try Self.client(lines, .forwarded) == client)
    }

    @Test(
        "Forwarded: nothing beyond garbage, or what tells no address, is believed",
        arguments: [
            "for=unknown", "for=_hidden", "for=\"_gazonk:80\"", "proto=https", "for=", "for", "=", "=192.0.2.1",
            "for =192.0.2.1", "for= 192.0.2.1", "for=192.0.2.1:80", "for=[2001:db8::1]", "for=\"2001:db8::1\"",
            "for=\"192.0.2.1:\"", "for=\"192.0.2.1:_\"", "for=\"192.0.2.1:_~\"", "for=\"192.0.2.1:123456\"",
            "for=\"[192.0.2.1]\"", "for=\"\"", "for=192.0.2.1;for=192.0.2.1", "for=192.0.2.1;FOR=192.0.2.2",
            "for=192.0.2.1 proto=https", "for=192.0.2.1;proto=", "for=192.0.2.1;;=", "for=192.0.2.1\"", "\"", "\"\"",
            "for=\"192.0.2.1\"x", "for=\"192.0.2.1\";x=\"", "for=192.0.2.1;é=1", "192.0.2.1", "fo=192.0.2.1",
            "for=\"192.0.2.1 \"", "for='192.0.2.1'",
        ])
    func forwardedStops(garbage: String) throws {
        #expect(try Self.client(["for=192.0.2.1, \(garbage)"], .forwarded) == nil)
        #expect(try Self.client(["for=192.0.2.1, \(garbage), for=10.0.0.2"], .forwarded) == "10.0.0.2")
        #expect(try Self.client(["for=192.0.2.1", garbage, "for=10.0.0.2"], .forwarded) == "10.0.0.2")
    }

    @Test(
        "what a client sends cannot swallow what the proxy puts behind it",
        arguments: [
            "\"", "for=\"", "for=\"192.0.2.9", "x=\"\\", "for=192.0.2.9;host=\"a", "for=\"\\\"", "\\\"", "\\", ";", ",",
        ])
    func proxiesWin(sent: String) throws {
        #expect(try Self.client(["\(sent), for=192.0.2.1"], .forwarded) == "192.0.2.1")
        #expect(try Self.client(["\(sent), for=\"[2001:db8::1]:80\";proto=https"], .forwarded) == "2001:db8::1")
        #expect(try Self.client([sent, "for=192.0.2.1"], .forwarded) == "192.0.2.1")
        #expect(try Self.client(["\(sent), for=192.0.2.1, for=10.0.0.2"], .forwarded) == "192.0.2.1")
        #expect(try Self.client(["\(sent), 192.0.2.1"], .xForwardedFor) == "192.0.2.1")
    }

    @Test("who is not trusted is not believed")
    func requiresTrust() throws {
        for header in [ForwardedFor.Header.forwarded, .xForwardedFor] {
            let line = header == .forwarded ? "for=192.0.2.1" : "192.0.2.1"
            #expect(try Self.client([line], header, peer: "198.51.100.1") == nil)
            #expect(try Self.client([line], header, trusted: []) == nil)
            #expect(try Self.client([line], header, peer: "::ffff:10.0.0.1") == "192.0.2.1")
            #expect(try Self.client([line], header, peer: nil) == nil)
            #expect(try Self.client([line], header, peer: nil, trusted: ["unix"]) == "192.0.2.1")
            #expect(try Self.client([line], header, trusted: ["unix"]) == nil)
        }
    }

    @Test("only the header that the proxies write is looked at")
    func looksAtOneHeader() throws {
        #expect(try Self.client(["192.0.2.1"], .forwarded) == nil)
        let both = head(
            request("/", headers: "Host: a\r\nX-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.2\r\n")
        ).headers
        let peer = try #require(IPAddress("10.0.0.1"))
        let trusted = try AddressRanges(["10.0.0.1"])
        let old = ForwardedFor.client(in: both, header: .xForwardedFor, peer: peer, trusted: trusted)
        #expect(old?.description == "192.0.2.1")
        let new = ForwardedFor.client(in: both, header: .forwarded, peer: peer, trusted: trusted)
        #expect(new?.description == "192.0.2.2")
    }

    @Test("as many elements as there can be proxies are looked at", arguments: [-1, 0, 1])
    func limitsElements(difference: Int) throws {
        let trustedCount = ForwardedFor.elementCountMax + difference - 1
        let trusted = (0..<trustedCount).map { "10.0.1.\($0)" }
        let expected = difference <= 0 ? "192.0.2.1" : "10.0.1.0"
        #expect(try Self.client([(["192.0.2.1"] + trusted).joined(separator: ",")], .xForwardedFor) == expected)
        #expect(try Self.client(["192.0.2.1"] + trusted, .xForwardedFor) == expected)
        #expect(
            try Self.client(["192.0.2.1"] + trusted.map { "for=\($0)" }, .forwarded)
                == (difference <= 0 ? trusted.first : expected))
        let empties = "192.0.2.1" + String(repeating: ",", count: trustedCount)
        #expect(try Self.client([empties], .xForwardedFor) == (difference <= 0 ? "192.0.2.1" : nil))
    }
}
