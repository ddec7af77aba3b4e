import RoostHTTP
import Testing

/// RFC 9112 §3.2 and RFC 3986: path, query and their decoding.
@Suite struct RequestTargetTests {
    @Test(
        "targets are taken apart",
        arguments: [
            ("/", "/", nil), ("/a/b", "/a/b", nil), ("/a?b=c", "/a", "b=c"), ("/?", "/", ""), ("/a?b?c", "/a", "b?c"),
            ("/%41%2f%C3%A9", "/A/é", nil), ("/a+b", "/a+b", nil), ("/%25zz", "/%zz", nil), ("/..//.", "/..//.", nil),
            ("http://h", "/", nil), ("http://h?q", "/", "q"), ("HTTPS://h:1/p?q", "/p", "q"), ("ws://h/", "/", nil),
            ("wss://[::1]/x", "/x", nil), ("//double", "//double", nil), ("/a:b@c", "/a:b@c", nil),
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
        #expect(head(request("http://h")).encodedPath == "/")
    }

    @Test(
        "targets that are refused",
        arguments: [
            ("*", HTTPError.unsupportedTargetForm), ("a:80", .unsupportedTargetForm), ("a/b", .unsupportedTargetForm),
            ("ftp://h/", .unsupportedTargetForm), ("http:/h", .unsupportedTargetForm),
            ("http://", .unsupportedTargetForm),
            ("http:///p", .invalidTargetAuthority), ("http://?q", .invalidTargetAuthority),
            ("http://user@h/", .invalidTargetAuthority), ("http://h\\@evil/", .invalidTargetAuthority),
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
            let expected = "/" + String(UnicodeScalar(byte))
            #expect(head(request("/%\(digits)")).path == expected)
            #expect(head(request("/%\(digits.uppercased())")).path == expected)
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
