import RoostHTTP
import Testing

/// RFC 9112 §2-5: lines, request line, header lines.
@Suite struct RequestHeadParserTests {
    static let upgrade =
        "GET /chat?room=1 HTTP/1.1\r\nHost: example.com:8080\r\nUpgrade: websocket\r\nConnection:Upgrade\r\n"
        + "X-Empty:\r\nX-Padded: \t two words \t\r\nX-Latin: caf\u{00E9}\r\n\r\n"

    static let upgradeFields = Parsed.Fields(
        method: "GET", path: "/chat", query: "room=1", version: .http11, host: "example.com:8080",
        headers: [
            "Host=example.com:8080", "Upgrade=websocket", "Connection=Upgrade", "X-Empty=", "X-Padded=two words",
            "X-Latin=caf\u{00E9}",
        ])

    @Test("a head is read whole; what follows it is left alone")
    func readsAHead() {
        let byteCount = Self.upgrade.utf8.count
        #expect(parse(Self.upgrade) == .head(Self.upgradeFields, consumedByteCount: byteCount))
        #expect(parse(Self.upgrade + "\u{81}\u{00}\n") == .head(Self.upgradeFields, consumedByteCount: byteCount))
    }

    @Test("every split into two and three pieces, and byte by byte")
    func anySplitMeansTheSame() {
        let bytes = Array(Self.upgrade.utf8)
        let expected = Parsed.head(Self.upgradeFields, consumedByteCount: bytes.count)
        for first in 0..<bytes.count {
            #expect(parse(bytes, pieceEnds: [first]) == .needsMoreBytes)
            #expect(parse(bytes, pieceEnds: [first, bytes.count]) == expected, "split at \(first)")
            for second in stride(from: first, to: bytes.count, by: 5) {
                if parse(bytes, pieceEnds: [first, second, bytes.count]) != expected {
                    Issue.record("split at \(first) and \(second)")
                }
            }
        }
        #expect(parse(bytes, pieceEnds: Array(0...bytes.count)) == expected)
    }

    @Test("the two ways to pass bytes agree")
    func parsesRawBuffers() {
        let bytes = Array(Self.upgrade.utf8)
        var parser = RequestHeadParser()
        // Safe: the buffer is used during the call only.
        let outcome = unsafe bytes.withUnsafeBytes { unsafe parser.parse($0) }
        #expect(Parsed(outcome) == .head(Self.upgradeFields, consumedByteCount: bytes.count))
    }

    @Test("one empty line before the request is forgiven, two are not (RFC 9112 §2.2)")
    func forgivesOneEmptyLine() {
        let once = "\r\n" + Self.upgrade
        #expect(parse(once) == .head(Self.upgradeFields, consumedByteCount: once.utf8.count))
        #expect(parse("\r\n\r\n" + Self.upgrade) == .failure(.malformedRequestLine))
    }

    @Test(
        "request lines that are not method SP target SP version",
        arguments: [
            ("GET", HTTPError.malformedRequestLine), ("GET /", .malformedRequestLine),
            ("GET  / HTTP/1.1", .malformedRequestLine),
            (" GET / HTTP/1.1", .malformedRequestLine), ("G@T / HTTP/1.1", .malformedRequestLine),
            ("GET /\u{0B}HTTP/1.1", .controlCharacter(0x0B)), ("GET /\tHTTP/1.1", .malformedRequestLine),
            ("GET / HTTP/1.1\t", .malformedVersion), ("GET / HTTP/11.1", .malformedVersion),
            ("GET / HTTP/1.", .malformedVersion), ("GET / HTTP/01.1", .malformedVersion),
            ("GET / HTTP/1.1HTTP/1.1", .malformedVersion), ("GET / HTTP/1.1 HTTP/1.1", .malformedVersion),
            ("GET / Http/1.1", .malformedVersion), ("GET / HTTPS/1.1", .malformedVersion),
            ("GET / HTTP/+1.1", .malformedVersion), ("GET / HTTP/3.0", .unsupportedVersion(major: 3, minor: 0)),
            ("GET / HTTP/1.9", .unsupportedVersion(major: 1, minor: 9)), ("", .malformedRequestLine),
            ("GET:/ HTTP/1.1", .malformedRequestLine), ("GET / HTTP/1.1 ", .malformedVersion),
            ("GET /  HTTP/1.1", .malformedVersion),
            ("GET / a HTTP/1.1", .malformedVersion), ("GET / HTTP/1", .malformedVersion),
            ("GET / http/1.1", .malformedVersion),
            ("GET / HTTP/1.10", .malformedVersion), ("GET / HTTP/a.1", .malformedVersion),
            ("GET / HTTQ/1.1", .malformedVersion),
            ("GET / HTTP/1,1", .malformedVersion), ("GET / ", .malformedVersion),
            ("GET\t/\tHTTP/1.1", .malformedRequestLine),
            ("GET / HTTP/2.0", .unsupportedVersion(major: 2, minor: 0)),
            ("GET / HTTP/0.9", .unsupportedVersion(major: 0, minor: 9)),
            ("GET / HTTP/1.2", .unsupportedVersion(major: 1, minor: 2)),
            ("PRI * HTTP/2.0", .unsupportedVersion(major: 2, minor: 0)),
        ])
    func refusesRequestLines(line: String, error: HTTPError) {
        #expect(parse("\(line)\r\nHost: a\r\n\r\n") == .failure(error))
    }

    @Test("HTTP/0.9 is refused at the end of its line")
    func refusesHTTP09() {
        #expect(parse("GET /\r\n") == .failure(.malformedRequestLine))
        #expect(parse("GET / \r\n") == .failure(.malformedVersion))
    }

    @Test("RFC 9113 §3.4: the preface of HTTP/2 is answered with 505")
    func refusesHTTP2() {
        let error = parse("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").error
        #expect(error?.status == .httpVersionNotSupported)
    }

    @Test(
        "header lines that are not name ':' value",
        arguments: [
            ("X y: 1", HTTPError.invalidHeaderNameCharacter(0x20)), ("X : 1", .whitespaceBeforeColon),
            ("X\t: 1", .whitespaceBeforeColon), (": 1", .emptyHeaderName), ("X", .headerWithoutColon),
            ("X  ", .headerWithoutColon), (" X: 1", .foldedHeader), ("\tX: 1", .foldedHeader),
            ("X(: 1", .invalidHeaderNameCharacter(0x28)), ("X\u{00E9}: 1", .invalidHeaderNameCharacter(0xC3)),
            ("\"X\": 1", .invalidHeaderNameCharacter(0x22)), ("X: 1\r\n 2", .foldedHeader),
        ])
    func refusesHeaderLines(line: String, error: HTTPError) {
        #expect(parse("GET / HTTP/1.1\r\nHost: a\r\n\(line)\r\n\r\n") == .failure(error))
        #expect(parse("GET / HTTP/1.1\r\n\(line)\r\nHost: a\r\n\r\n") == .failure(error))
    }

    @Test("every byte that is not a token character is refused in a name, every other accepted")
    func namesAreTokens() {
        let tokens = Set("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
        for byte in UInt8.min...UInt8.max where byte != UInt8(ascii: ":") {
            let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\nx".utf8) + [byte] + Array("x: 1\r\n\r\n".utf8)
            #expect(parse(bytes).isHead == tokens.contains(byte), "\(byte)")
            let method = Array("G".utf8) + [byte] + Array(" / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
            #expect(parse(method).isHead == tokens.contains(byte), "\(byte) in a method")
        }
    }

    @Test("every control character but tab is refused in a value (RFC 9110 §5.5)")
    func valuesHaveNoControlCharacters() {
        for byte in UInt8.min...UInt8.max {
            let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\nX: b".utf8) + [byte] + Array("c\r\n\r\n".utf8)
            let isAllowed = byte == 0x09 || (byte >= 0x20 && byte != 0x7F)
            #expect(parse(bytes).isHead == isAllowed, "\(byte)")
        }
    }

    @Test(
        "a bare LF or CR is refused as soon as it is there",
        arguments: ["GET / HTTP/1.1", "GET / HTTP/1.1\r\nHost: a", ""])
    func refusesBareLineEnds(start: String) {
        #expect(parse(start + "\n") == .failure(.bareLineFeed))
        #expect(parse(start + "\rX") == .failure(.bareCarriageReturn))
        #expect(parse(start + "\r\r\n") == .failure(.bareCarriageReturn))
        #expect(parse(start + "\r") == .needsMoreBytes)
        #expect(parse(start + "\0") == .failure(.controlCharacter(0)))
    }

    @Test("a TLS greeting on a plain port is refused at its first byte")
    func refusesTLS() {
        #expect(parse([0x16]) == .failure(.controlCharacter(0x16)))
    }

    @Test("what is wrong is told before the head is whole")
    func refusesEarly() {
        #expect(parse("GET nowhere HTTP/1.1\r\n") == .failure(.targetWithoutSlash))
        #expect(parse("GET / HTTP/1.1\r\nHost : a\r\n") == .failure(.whitespaceBeforeColon))
    }

    @Test("random heads, whole or damaged, mean the same in any pieces", arguments: UInt64(0)..<400)
    func anyPiecesMeanTheSame(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var bytes = Array(Self.upgrade.utf8) + [0x81, 0x80]
        let interesting: [UInt8] = [0x00, 0x09, 0x0A, 0x0D, 0x20, 0x2C, 0x3A, 0x25, 0x2F, 0x3F, 0x41, 0x7F, 0x80, 0xFF]
        for _ in 0..<Int.random(in: 0...2, using: &generator) {
            bytes[Int.random(in: bytes.indices, using: &generator)] = interesting.randomElement(using: &generator)!
        }
        if generator.chance(1, in: 4) { bytes.removeLast(Int.random(in: 0...bytes.count, using: &generator)) }
        var ends = (0..<4).map { _ in Int.random(in: 0...bytes.count, using: &generator) }.sorted()
        ends.append(bytes.count)
        #expect(parse(bytes, pieceEnds: ends) == parse(bytes))
        #expect(parse(bytes, pieceEnds: Array(0...bytes.count)) == parse(bytes))
    }

    @Test("garbage never traps", arguments: UInt64(0)..<200)
    func survivesGarbage(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let alphabet: [UInt8] = Array("GET / HTTP/1.1\r\n\r\nHost: a%0?&=,;x\r\n".utf8)
        let byteCount = Int.random(in: 0...200, using: &generator)
        let tail = (0..<byteCount).map { _ in alphabet.randomElement(using: &generator)! }
        for start in ["", "GET /", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n"] {
            let bytes = Array(start.utf8) + tail
            #expect(parse(bytes, pieceEnds: Array(0...bytes.count)) == parse(bytes))
        }
    }
}
