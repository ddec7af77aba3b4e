import RoostHTTP
import Testing

/// RFC 6454, RFC 6455 §10.2: which pages may connect.
@Suite struct OriginPatternTests {
    static func matches(_ pattern: String, _ origin: String, host: String? = nil, isTLS: Bool = false) throws -> Bool {
        try OriginPattern(pattern).matches(origin: origin, host: host, isTLS: isTLS)
    }

    @Test(
        "an exact origin holds for itself alone",
        arguments: [
            ("https://example.com", "https://example.com", true),
            ("https://example.com", "https://example.com:443", true),
            ("https://example.com:443", "https://example.com", true),
            ("HTTPS://Example.COM", "https://example.com", true),
            ("https://example.com", "HTTPS://EXAMPLE.com", true),
            ("http://localhost:8080", "http://localhost:8080", true),
            ("http://a", "http://a:80", true), ("ws://a", "ws://a:80", true), ("wss://a:443", "wss://a", true),
            ("http://[::1]:8080", "http://[::1]:8080", true), ("http://[2001:DB8::1]", "http://[2001:db8::1]", true),
            ("chrome-extension://abcdef", "chrome-extension://abcdef", true), ("app://a:1", "app://a:1", true),
            ("https://example.com", "http://example.com", false),
            ("https://example.com", "https://example.com:80", false),
            ("https://example.com", "https://example.com:8443", false), ("http://a", "http://a:443", false),
            ("https://example.com", "https://example.com.evil.com", false),
            ("https://example.com", "https://evilexample.com", false),
            ("https://example.com", "https://a.example.com", false),
            ("https://example.com", "https://example.co", false),
            ("https://example.com", "https://example.com.", false), ("https://example.com", "null", false),
            ("app://a", "app://a:80", false), ("https://a", "wss://a", false),
        ])
    func exact(pattern: String, origin: String, isMatch: Bool) throws {
        #expect(try Self.matches(pattern, origin) == isMatch)
    }

    @Test(
        "a wildcard holds for one or more labels before the domain",
        arguments: [
            ("https://a.example.com", true), ("https://a.b.example.com", true), ("https://A.Example.Com", true),
            ("https://a.example.com:443", true), ("https://a-b_c.example.com", true), ("https://example.com", false),
            ("https://evilexample.com", false), ("https://.example.com", false), ("https://a..example.com", false),
            ("https://..example.com", false), ("http://a.example.com", false), ("https://a.example.com:8443", false),
            ("https://a.example.com.evil.com", false), ("https://a.example.com.", false),
            ("https://*.example.com", false),
            ("https://evil.com/.example.com", false), ("https://evil.com#.example.com", false),
            ("https://evil.com?.example.com", false), ("https://evil.com\\.example.com", false),
            ("https://evil.com%2f.example.com", false), ("https://evil.com:80.example.com", false),
            ("https://user@a.example.com", false), ("https://a.example.org", false), ("null", false),
        ])
    func wildcard(origin: String, isMatch: Bool) throws {
        #expect(try Self.matches("https://*.example.com", origin) == isMatch)
        #expect(try Self.matches("HTTPS://*.EXAMPLE.com:443", origin) == isMatch)
        #expect(try !Self.matches("https://*.example.com:444", origin))
    }

    @Test("a wildcard's port must match")
    func wildcardPort() throws {
        #expect(try Self.matches("http://*.localhost:8080", "http://a.localhost:8080"))
        #expect(try !Self.matches("http://*.localhost:8080", "http://a.localhost"))
    }

    @Test(
        "null holds only where it is listed, and for nothing else",
        arguments: ["https://a", "https://*.a", "same", "null"])
    func null(pattern: String) throws {
        #expect(try Self.matches(pattern, "null", host: "null") == (pattern == "null"))
        #expect(try !Self.matches("null", "https://a", host: "a"))
        #expect(try !Self.matches("null", "NULL"), "no origin is spelled so")
        #expect(try !Self.matches("null", "https://null"))
    }

    @Test(
        "same holds for pages of the host and port that the request is for",
        arguments: [
            ("http://a", "a", false, true), ("http://a", "a:80", false, true), ("http://a:80", "a", false, true),
            ("http://a:8080", "a:8080", false, true), ("HTTP://A", "a", false, true), ("http://a", "A:", false, true),
            ("http://[::1]:9001", "[::1]:9001", false, true), ("https://a", "a", true, true),
            ("https://a:443", "a", true, true), ("https://a", "a:443", true, true),
            ("https://a:8443", "a:8443", true, true),
            // A proxy has taken TLS off.
            ("https://a", "a", false, true), ("https://a", "a:443", false, true), ("https://a", "a:80", false, false),
            // A page that came without TLS may be anybody's.
            ("http://a", "a", true, false), ("http://a:8443", "a:8443", true, false),
            ("http://a", "b", false, false), ("http://a", "a:8080", false, false), ("http://a:8080", "a", false, false),
            ("http://a.b", "b", false, false), ("http://b", "a.b", false, false), ("http://a", "", false, false),
            ("http://a", nil, false, false), ("http://a", "u@a", false, false), ("http://a", "a,b", false, false),
            ("null", nil, false, false), ("ws://a", "a", false, false), ("app://a", "a", false, false),
        ] as [(String, String?, Bool, Bool)])
    func same(origin: String, host: String?, isTLS: Bool, isMatch: Bool) throws {
        #expect(try Self.matches("same", origin, host: host, isTLS: isTLS) == isMatch)
    }

    @Test(
        "malformed origins never match, not even themselves",
        arguments: [
            "", " ", "a", "a.b", "//a", "://a", "https:", "https:/a", "https://", "https:///", "https://a/",
            "https://a/b",
            "https://a?b", "https://a#b", "https://a:", "https://a:0x50", "https://a:65536", "https://a:b",
            "https://u@a",
            "https://a b", "https://a https://b", "https://a,https://b", "https://a, null", " https://a", "https://a ",
            "https://a\t", "1https://a", "https://[::1", "https://[a]", "https://é", "https://a%", "https://a\\b",
            "null null", "Null", "https://a:443:443", "https://a\0",
        ])
    func refusesOrigins(origin: String) throws {
        for pattern in ["https://a", "https://*.a", "same", "null"] {
            for host in [nil, "a", "a:443", "", origin] {
                for isTLS in [true, false] {
                    #expect(try !Self.matches(pattern, origin, host: host, isTLS: isTLS), "\(pattern)")
                }
            }
        }
    }

    @Test(
        "what is no pattern is refused by its text and with the remedy",
        arguments: [
            ("", OriginPatternError.missingScheme("")), ("example.com", .missingScheme("example.com")),
            ("example.com:443", .missingScheme("example.com:443")),
            ("https:example.com", .missingScheme("https:example.com")),
            ("Same", .missingScheme("Same")), ("NULL", .missingScheme("NULL")),
            ("https://example.com/", .path("https://example.com/")), ("https://a/b", .path("https://a/b")),
            ("https://a?b", .path("https://a?b")), ("https://", .invalidHost("https://")),
            ("https://a:", .invalidHost("https://a:")), ("https://a:70000", .invalidHost("https://a:70000")),
            ("https://u@a", .invalidHost("https://u@a")), ("https://a b", .invalidHost("https://a b")),
            ("*", .anyOrigin), ("https://*", .misplacedWildcard("https://*")),
            ("https://*:443", .misplacedWildcard("https://*:443")), ("https://a.*", .misplacedWildcard("https://a.*")),
            ("https://a*.b", .misplacedWildcard("https://a*.b")), ("https://*a.b", .misplacedWildcard("https://*a.b")),
            ("https://*.*.b", .misplacedWildcard("https://*.*.b")), ("*://a", .misplacedWildcard("*://a")),
            ("*.example.com", .misplacedWildcard("*.example.com")),
            ("https://*.a:*", .misplacedWildcard("https://*.a:*")),
            ("https://*.0.0.1", .misplacedWildcard("https://*.0.0.1")),
            ("https://*.[::1]", .misplacedWildcard("https://*.[::1]")),
            ("https://*..a", .misplacedWildcard("https://*..a")), ("https://*.", .invalidHost("https://*.")),
            ("https://*.a/b", .path("https://*.a/b")),
        ])
    func refusesPatterns(text: String, error: OriginPatternError) {
        #expect(throws: error) { try OriginPattern(text) }
        #expect(error.description.hasPrefix("'\(text)' "))
        #expect(error.description.contains(";"))
    }
}
