import RoostHTTP
import Testing

/// RFC 9112 §4: responses written and read.
@Suite struct ResponseTests {
    static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test("responses are written byte for byte")
    func writes() throws {
        let fields = [try HeaderField("X-A", "1"), try HeaderField("X-B", "")]
        #expect(
            Self.text(ResponseEncoder.encode(status: .notFound, fields: fields, body: "né"))
                == "HTTP/1.1 404 Not Found\r\nX-A: 1\r\nX-B: \r\nContent-Length: 3\r\n\r\nné")
        #expect(
            Self.text(ResponseEncoder.encodeHead(status: .switchingProtocols, fields: []))
                == "HTTP/1.1 101 Switching Protocols\r\n\r\n")
        let unnamed = try #require(HTTPStatus(rawValue: 599))
        #expect(Self.text(ResponseEncoder.encodeHead(status: unnamed, fields: [])) == "HTTP/1.1 599 \r\n\r\n")
    }

    @Test(
        "a header that could add a line cannot be made",
        arguments: ["a\r\nX: b", "a\n", "\r", "a\0b", "\u{7F}", "\u{1B}"])
    func refusesInjection(value: String) {
        #expect(throws: HeaderFieldError.invalidValue(name: "X")) { try HeaderField("X", value) }
    }

    @Test("a name that is not a token cannot be made", arguments: ["", "a b", "a:", "a\r\n", "é", "(a)"])
    func refusesNames(name: String) {
        #expect(throws: HeaderFieldError.invalidName(name)) { try HeaderField(name, "1") }
        #expect(HeaderFieldError.invalidName(name).description.contains("RFC 9110 §5.1"))
    }

    @Test("text beyond ASCII and tabs may stand in a value")
    func acceptsValues() throws {
        #expect(try HeaderField("X", "a\té").description == "X: a\té")
    }

    @Test(
        "status codes have three digits",
        arguments: [(99, false), (100, true), (599, true), (600, false), (0, false)] as [(UInt16, Bool)])
    func statusCodes(code: UInt16, isValid: Bool) {
        #expect((HTTPStatus(rawValue: code) != nil) == isValid)
    }

    @Test("a response head is read back in any pieces")
    func reads() throws {
        let fields = [try HeaderField("Upgrade", "websocket"), try HeaderField("X", "a, b")]
        let bytes = ResponseEncoder.encodeHead(status: .switchingProtocols, fields: fields)
        for split in 0..<bytes.count {
            var parser = ResponseHeadParser()
            guard case .needsMoreBytes = parser.parse(bytes.span.extracting(0..<split)),
                case .head(let head, bytes.count) = parser.parse((bytes + [0x81]).span)
            else {
                Issue.record("split at \(split)")
                continue
            }
            #expect(head.statusCode == 101)
            #expect(head.version == .http11)
            #expect(head.headers.first("upgrade") == "websocket")
            #expect(head.headers.contains(token: "b", in: "x"))
        }
    }

    @Test(
        "status lines",
        arguments: [
            ("HTTP/1.1 200 OK", nil), ("HTTP/1.0 200 ", nil), ("HTTP/1.1 200", nil), ("HTTP/1.1 404 Not  Found", nil),
            ("HTTP/1.1 20", HTTPError.malformedStatusLine), ("HTTP/1.1 2000", .malformedStatusLine),
            ("HTTP/1.1 2x0 OK", .malformedStatusLine), ("HTTP/1.1 099 X", .malformedStatusLine),
            ("HTTP/1.1  200", .malformedStatusLine), ("HTTP/2.0 200 OK", .unsupportedVersion(major: 2, minor: 0)),
            ("http/1.1 200 OK", .malformedVersion), ("", .malformedStatusLine), ("<html><body>", .malformedStatusLine),
        ] as [(String, HTTPError?)])
    func statusLines(line: String, error: HTTPError?) {
        let bytes = Array("\(line)\r\nX: 1\r\n\r\n".utf8)
        var parser = ResponseHeadParser()
        switch parser.parse(bytes.span) {
        case .head(let head, let byteCount):
            #expect(error == nil)
            #expect(byteCount == bytes.count)
            #expect(head.statusCode == 200 || head.statusCode == 404)
        case .failure(let actual): #expect(actual == error)
        case .needsMoreBytes: Issue.record("wants more")
        }
    }

    @Test("limits hold for responses too")
    func limits() {
        let bytes = Array("HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n\r\n".utf8)
        func outcome(_ limits: HTTPLimits) -> HTTPError? {
            var parser = ResponseHeadParser(limits: limits)
            guard case .failure(let error) = parser.parse(bytes.span) else { return nil }
            return error
        }
        #expect(outcome(HTTPLimits(headByteCountMax: bytes.count)) == nil)
        #expect(outcome(HTTPLimits(headByteCountMax: bytes.count - 1)) == .headTooLarge(limit: bytes.count - 1))
        #expect(outcome(HTTPLimits(headerCountMax: 2)) == nil)
        #expect(outcome(HTTPLimits(headerCountMax: 1)) == .tooManyHeaders(limit: 1))
    }
}
