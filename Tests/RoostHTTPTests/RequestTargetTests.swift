import RoostHTTP
import Testing

/// RFC 9112 §3.2 and RFC 3986: path, query and their decoding.
@Suite struct RequestTargetTests {
    @Test(
        "targets are taken apart",
        arguments: [
            ("/", "/", nil), ("/a/b", "/a/b", nil), ("/a?b=c", "/a", "b=c"), ("/?", "/", ""), ("/a?b?c", "/a", "b?c"),
            ("/%41%2f%C3%A9", "/A/é", nil), ("/a+b", "/a+b", nil), ("/%25zz", "/%zz", nil),
            ("//double", "//double", nil),
            ("/a:b@c", "/a:b@c", nil), ("//http://h/", "//http://h/", nil), ("/?a=../b", "/", "a=../b"),
            ("/?%zz", "/", "%zz"), ("/{x}|^`\"<>\\", "/{x}|^`\"<>\\", nil),
        ] as [(String, String, String?)])
    func takesApart(target: String, path: String, query: String?) {
        let head = head(request(target))
        #expect(head.path == path)
        #expect(head.query == query)
    }

    @Test("the path as sent is there too")
    func encodedPath() {
        #expect(head(request("/%41%2f?x")).encodedPath == "/%41%2f")
    }

    @Test(
        "targets that are refused",
        arguments: [
            ("*", HTTPError.asteriskTarget), ("**", .targetWithoutSlash), ("?a", .targetWithoutSlash),
            ("a:80", .targetWithoutSlash), ("a/b", .targetWithoutSlash), ("user@h:80", .targetWithoutSlash),
            ("http://h", .absoluteTarget), ("http://h/", .absoluteTarget), ("HTTPS://h:1/p?q", .absoluteTarget),
            ("ws://h/", .absoluteTarget), ("wss://[::1]/x", .absoluteTarget), ("ftp://h/", .absoluteTarget),
            ("http://", .absoluteTarget), ("http:///p", .absoluteTarget), ("http://user@h/", .absoluteTarget),
            ("http:/h", .targetWithoutSlash), ("http:", .targetWithoutSlash), ("\\a", .targetWithoutSlash),
            ("%2f", .targetWithoutSlash), ("..", .targetWithoutSlash),
            ("/a#b", .invalidTargetCharacter(0x23)), ("/é", .invalidTargetCharacter(0xC3)),
            ("/%", .invalidPercentEncoding), ("/%4", .invalidPercentEncoding), ("/%4g", .invalidPercentEncoding),
            ("/%g4", .invalidPercentEncoding), ("/%%41", .invalidPercentEncoding),
            ("/a%?b=41", .invalidPercentEncoding),
            ("/%00", .controlCharacterInPath(0)), ("/a%0d%0aX", .controlCharacterInPath(0x0D)),
            ("/%1f", .controlCharacterInPath(0x1F)), ("/%7F", .controlCharacterInPath(0x7F)),
            ("/%ff", .pathNotUTF8), ("/%C3", .pathNotUTF8), ("/%C0%80", .pathNotUTF8), ("/%ED%A0%80", .pathNotUTF8),
        ])
    func refuses(target: String, error: HTTPError) {
        #expect(parse(request(target)) == .failure(error))
        #expect(error.status == .badRequest)
    }

    @Test(
        "RFC 3986 §5.2.4: dot segments are refused in any spelling, so that no path matches another route",
        arguments: [
            "/.", "/..", "/./", "/../", "/a/../b", "/a/./b", "/a/..", "/a/.", "//..", "/..//", "/%2e", "/%2E%2e/b",
            "/.%2e/b", "/a/%2e%2e/b", "/a%2f..%2fb", "/a%2F%2e%2E", "/..?q", "/a/..?q=/b",
        ])
    func refusesDotSegments(target: String) {
        #expect(parse(request(target)) == .failure(.dotSegmentInPath))
    }

    @Test(
        "dots within a segment, and more than two, mean nothing",
        arguments: [
            "/...", "/.a", "/a.", "/..a", "/a..", "/a/....", "/.well-known/x", "/a..b/c", "/%2e%2e%2e", "/..;/a",
        ])
    func acceptsOtherDots(target: String) {
        #expect(head(request(target)).encodedPath == target)
    }

    @Test("a doubly encoded dot segment stays encoded")
    func decodesOnce() {
        #expect(head(request("/%252e%252e/a")).path == "/%2e%2e/a")
    }

    @Test(
        "RFC 9112 §3.2.3: CONNECT is for proxies, whatever its target",
        arguments: ["a:80", "a", "/", "http://a/", "*", "[::1]:443"])
    func refusesConnect(target: String) {
        #expect(parse("CONNECT \(target) HTTP/1.1\r\nHost: a\r\n\r\n") == .failure(.authorityTarget))
        #expect(HTTPError.authorityTarget.description.contains("RFC 9112 §3.2.3"))
    }

    @Test("only CONNECT is CONNECT: methods are case-sensitive (RFC 9110 §9.1)", arguments: ["connect", "CONNECTS"])
    func acceptsOtherMethods(method: String) {
        #expect(parse("\(method) / HTTP/1.1\r\nHost: a\r\n\r\n").isHead)
        #expect(parse("\(method) a:80 HTTP/1.1\r\nHost: a\r\n\r\n") == .failure(.targetWithoutSlash))
    }

    @Test("RFC 9112 §3.2.4: OPTIONS has no asterisk here")
    func refusesAsterisk() {
        #expect(parse("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n") == .failure(.asteriskTarget))
        #expect(HTTPError.asteriskTarget.status == .badRequest)
    }

    @Test("a tab, or anything beyond visible ASCII, is refused in a target")
    func refusesInvisibleBytes() {
        for byte in UInt8.min...UInt8.max {
            let bytes = Array("GET /a".utf8) + [byte] + Array("b HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
            let isAllowed = byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: "#") && byte != UInt8(ascii: "%")
            #expect(parse(bytes).isHead == isAllowed, "\(byte)")
        }
    }

    @Test("every escape of one ASCII byte decodes to it")
    func decodesEveryEscape() {
        for byte in UInt8(0x20)..<0x7F {
            let digits = String(byte, radix: 16)
            let expected = "/a" + String(UnicodeScalar(byte))
            #expect(head(request("/a%\(digits)")).path == expected)
            #expect(head(request("/a%\(digits.uppercased())")).path == expected)
        }
    }

    @Test(
        "queries are decoded as forms are",
        arguments: [
            ("a=1&b=2", ["a:1", "b:2"]), ("a", ["a:"]), ("a=", ["a:"]), ("=b", [":b"]), ("a=b=c", ["a:b=c"]),
            ("&&a=1&", ["a:1"]), ("", []), ("a+b=c+d", ["a b:c d"]), ("%61=%C3%A9%2B", ["a:é+"]),
            ("a=%&b=%4&c=%zz%41", ["a:%", "b:%4", "c:%zzA"]), ("a=%FF", ["a:\u{FFFD}"]), ("a=%00", ["a:\0"]),
            ("a=1&a=2", ["a:1", "a:2"]),
        ] as [(String, [String])])
    func decodesQueries(query: String, items: [String]) {
        let head = head(request("/?" + query))
        #expect(head.queryItems.map { "\($0.name):\($0.value)" } == items)
    }

    @Test("a query item is found by its name")
    func findsQueryItems() {
        let head = head(request("/?a=1&token=x%20y&a=2"))
        #expect(head.queryItems.first("token") == "x y")
        #expect(head.queryItems.first("a") == "1")
        #expect(head.queryItems.first("b") == nil)
        #expect(Array(RoostHTTPTests.head(request("/")).queryItems.map(\.name)).isEmpty)
    }
}
