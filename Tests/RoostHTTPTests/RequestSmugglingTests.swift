import RoostHTTP
import Testing

/// Heads that two parties could read differently: who the request is for, and where it ends.
@Suite struct RequestSmugglingTests {
    @Test(
        "lengths that contradict each other are refused (RFC 9112 §6, CVE-2026-39805)",
        arguments: [
            ("Content-Length: 5\r\nContent-Length: 5\r\n", HTTPError.repeatedContentLength),
            ("Content-Length: 5\r\ncontent-length: 6\r\n", .repeatedContentLength),
            ("Content-Length: 5, 5\r\n", .invalidContentLength), ("Content-Length: +5\r\n", .invalidContentLength),
            ("Content-Length: -5\r\n", .invalidContentLength), ("Content-Length: 0x5\r\n", .invalidContentLength),
            ("Content-Length:\r\n", .invalidContentLength), ("Content-Length: 5 5\r\n", .invalidContentLength),
            ("Content-Length: 5;\r\n", .invalidContentLength), ("Content-Length: 5,\r\n", .invalidContentLength),
            ("Content-Length: 5.0\r\n", .invalidContentLength), ("Content-Length: 5e0\r\n", .invalidContentLength),
            ("Content-Length: \"5\"\r\n", .invalidContentLength), ("Content-Length: 5\t5\r\n", .invalidContentLength),
            ("Content-Length: \u{665}\r\n", .invalidContentLength), ("Content-Length: 5_0\r\n", .invalidContentLength),
            ("Content-Length: - 5\r\n", .invalidContentLength), ("Content-Length: 5,6\r\n", .invalidContentLength),
            ("Content-Length:\r\nContent-Length: 5\r\n", .repeatedContentLength),
            ("Content-Length: x\r\nTransfer-Encoding: x\r\n", .contentLengthWithTransferEncoding),
            ("Content-Length: 9223372036854775808\r\n", .invalidContentLength),
            ("Content-Length: 99999999999999999999999\r\n", .invalidContentLength),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", .contentLengthWithTransferEncoding),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", .contentLengthWithTransferEncoding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", .unsupportedTransferEncoding),
            ("Transfer-Encoding: chunked\r\ntransfer-encoding: identity\r\n", .unsupportedTransferEncoding),
            ("Transfer-Encoding: chunked, chunked\r\n", .unsupportedTransferEncoding),
            ("Transfer-Encoding: chunked,\r\n", .unsupportedTransferEncoding),
            ("Transfer-Encoding: ,chunked\r\n", .unsupportedTransferEncoding),
            ("Transfer-Encoding: xchunked\r\n", .unsupportedTransferEncoding),
            ("Transfer-Encoding: chunkedx\r\n", .unsupportedTransferEncoding),
            ("Transfer-Encoding: identity, chunked\r\n", .unsupportedTransferEncoding),
            ("Transfer-Encoding: chunked, identity\r\n", .unsupportedTransferEncoding),
            ("Transfer-Encoding: chunked;q=1\r\n", .unsupportedTransferEncoding),
            ("Transfer-Encoding: chunked;\r\n", .unsupportedTransferEncoding),
            ("Transfer-Encoding: chun ked\r\n", .unsupportedTransferEncoding),
            ("Transfer-Encoding: chunked\tx\r\n", .unsupportedTransferEncoding),
            ("Transfer-Encoding: \u{FF43}hunked\r\n", .unsupportedTransferEncoding),
            ("Transfer-Encoding: gzip, chunked\r\n", .unsupportedTransferEncoding),
            ("Transfer-Encoding: identity\r\n", .unsupportedTransferEncoding),
            ("Transfer-Encoding: \"chunked\"\r\n", .unsupportedTransferEncoding),
            ("Transfer-Encoding:\r\n", .unsupportedTransferEncoding),
        ])
    func refusesContradictions(headers: String, error: HTTPError) {
        #expect(parse("POST / HTTP/1.1\r\nHost: a\r\n\(headers)\r\n") == .failure(error))
    }

    @Test(
        "names that hide a length from one party are refused",
        arguments: [
            "Content-Length ", "Content-Length\t", " Content-Length", "\tContent-Length", "Content-Length\0",
            "X: y\rContent-Length", "X: y\nContent-Length", "X: y\r\n Content-Length", "X\nContent-Length",
            "Content-Length\u{0B}", "\u{0C}Content-Length", "Content-Length\r", "Content Length", "Content-Length:\n",
            "Content-Length: 4\n", "Content-\u{212A}ength", "X:\u{0B}Transfer-Encoding", "\"Content-Length\"",
        ])
    func refusesHiddenNames(name: String) {
        #expect(parse("POST / HTTP/1.1\r\nHost: a\r\n\(name): 5\r\n\r\n").error?.status == .badRequest)
    }

    @Test(
        "a control character cannot make a coding look like another",
        arguments: ["\u{0B}", "\0", "\u{0C}", "\u{7F}", "\u{08}"])
    func refusesControlCharacters(text: String) throws {
        let error = HTTPError.controlCharacter(try #require(text.utf8.first))
        for value in [text + "chunked", "chunked" + text, " \(text) chunked", "chun\(text)ked"] {
            #expect(parse("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \(value)\r\n\r\n") == .failure(error))
        }
    }

    @Test(
        "a name that only resembles one that counts does not count",
        arguments: ["Content_Length", "Transfer_Encoding", "X-Host"])
    func ignoresOtherNames(name: String) {
        #expect(head("POST / HTTP/1.1\r\nHost: a\r\n\(name): 5\r\n\r\n").bodyFraming == .none)
    }

    @Test("RFC 9110 §5.5: whitespace around a value, tabs too, is no part of it")
    func trimsValues() {
        func framing(_ header: String) -> RequestHead.BodyFraming {
            head("POST / HTTP/1.1\r\nHost:\ta\t\r\n\(header)\r\n\r\n").bodyFraming
        }
        #expect(framing("Content-Length: \t 5\t ") == .contentLength(5))
        #expect(framing("Content-Length:5") == .contentLength(5))
        #expect(framing("Transfer-Encoding:\tchunked \t") == .chunked)
    }

    @Test("RFC 9112 §6.1: Transfer-Encoding in HTTP/1.0 is refused")
    func refusesTransferEncodingInHTTP10() {
        let both = "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"
        #expect(parse("POST / HTTP/1.0\r\n\(both)\r\n") == .failure(.transferEncodingInHTTP10))
        #expect(parse("POST / HTTP/1.0\r\nTransfer-Encoding: identity\r\n\r\n") == .failure(.transferEncodingInHTTP10))
        #expect(
            parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == .failure(.transferEncodingInHTTP10))
    }

    @Test("lengths that are clear are told")
    func tellsTheBody() {
        func framing(_ headers: String) -> RequestHead.BodyFraming {
            head("POST / HTTP/1.1\r\nHost: a\r\n\(headers)\r\n").bodyFraming
        }
        #expect(framing("") == .none)
        #expect(framing("Content-Length: 0\r\n") == .contentLength(0))
        #expect(framing("CONTENT-LENGTH: 0042\r\n") == .contentLength(42))
        #expect(framing("Content-Length: 9223372036854775807\r\n") == .contentLength(Int.max))
        #expect(framing("Transfer-Encoding: Chunked\r\n") == .chunked)
    }

    @Test("RFC 9112 §3.2: exactly one Host in HTTP/1.1")
    func requiresOneHost() {
        #expect(parse("GET / HTTP/1.1\r\n\r\n") == .failure(.missingHost))
        #expect(parse("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n") == .failure(.repeatedHost))
        #expect(parse("GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n") == .failure(.repeatedHost))
        #expect(parse("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n") == .failure(.repeatedHost))
        #expect(parse("GET / HTTP/1.0\r\n\r\n").isHead)
    }

    @Test(
        "RFC 9110 §7.2: Host is one host with, at most, one port",
        arguments: [
            ("a", true), ("a.example:443", true), ("[::1]:80", true), ("192.0.2.1", true), ("a:", true), ("a:0", true),
            ("a:65535", true), ("[2001:DB8::1]", true), ("A_b-c.~d.", true), ("[::ffff:192.0.2.1]", true),
            ("", false), (" ", false), (":80", false), ("a:65536", false), ("a:100000", false), ("a:-1", false),
            ("a:+1", false), ("a:0x50", false), ("a:80:80", false), ("a: 80", false), ("a :80", false), ("::1", false),
            ("[::1", false), ("::1]", false), ("[]", false), ("[a]", false), ("[192.0.2.1]", false), ("[::1]a", false),
            ("[::1%25eth0]", false), ("[fe80::1%eth0]", false), ("[v1.a]", false), ("[::1]]", false),
            ("a b", false), ("a/b", false), ("user@a", false), ("user:word@a", false), ("@a", false), ("a?b", false),
            ("a#b", false), ("a\\b", false), ("é", false), ("a\"", false), ("a,b", false), ("a, b", false),
            ("a;b", false), ("a%2fb", false), ("a%00", false), ("%61", false), ("a<b", false), ("a(b)", false),
            ("http://a", false), ("*", false), ("a\tb", false),
        ])
    func judgesHosts(host: String, isValid: Bool) {
        let parsed = parse("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
        #expect(parsed.isHead == isValid)
        if !isValid { #expect(parsed.error == .invalidHost) }
        // HTTP/1.0 need not have one, but has no other rules for it.
        #expect(parse("GET / HTTP/1.0\r\nHost: \(host)\r\n\r\n").isHead == isValid)
    }

    @Test("RFC 9112 §3.2.2: two sources of a host are one too many, even if they agree")
    func refusesAbsoluteTargets() {
        #expect(parse(request("http://a/x", headers: "Host: a\r\n")) == .failure(.absoluteTarget))
        #expect(parse(request("http://b/x", headers: "Host: a\r\n")) == .failure(.absoluteTarget))
        #expect(parse("GET http://a/ HTTP/1.0\r\n\r\n") == .failure(.absoluteTarget))
        #expect(HTTPError.absoluteTarget.description.contains("no proxy"))
        #expect(head(request("/x", headers: "Host: other\r\n")).host == "other")
    }
}
