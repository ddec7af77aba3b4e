import RoostHTTP
import Testing

/// RFC 9110 §6, §8.6, §9.3.2 and RFC 9112 §6, §9: responses on connections that go on.
@Suite struct ResponseEncoderTests {
    static func encode(
        _ status: HTTPStatus = .ok, fields: [HeaderField] = [], body: String = "né", isHead: Bool = false,
        keepsAlive: Bool = true, version: HTTPVersion = .http11, date: HTTPDate? = nil
    ) -> String {
        ResponseTests.text(
            ResponseEncoder.encode(
                status: status, fields: fields, body: Array(body.utf8), isHead: isHead, keepsAlive: keepsAlive,
                version: version, date: date))
    }

    @Test("a response is written byte for byte")
    func writes() throws {
        let fields = [try HeaderField("X-A", "1"), try HeaderField("X-A", "2")]
        #expect(
            Self.encode(.notFound, fields: fields)
                == "HTTP/1.1 404 Not Found\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 3\r\n\r\nné")
        #expect(Self.encode(body: "") == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    }

    @Test("RFC 9110 §9.3.2: HEAD gets the length of the body, and no body")
    func answersHead() {
        #expect(Self.encode(isHead: true) == "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
        #expect(Self.encode(isHead: true).count < Self.encode(isHead: false).count)
    }

    @Test(
        "RFC 9110 §8.6: responses that end with their head tell no length",
        arguments: [HTTPStatus.noContent, .notModified, .continue, .switchingProtocols])
    func leavesBodiesOut(status: HTTPStatus) {
        let expected = "HTTP/1.1 \(status)\r\n\r\n"
        #expect(Self.encode(status) == expected)
        #expect(Self.encode(status, isHead: true) == expected)
        #expect(!status.mayHaveBody)
    }

    @Test(
        "RFC 9112 §9.3: the connection's future is told where it is not the default",
        arguments: [
            (true, HTTPVersion.http11, nil), (false, .http11, "close"), (true, .http10, "keep-alive"),
            (false, .http10, "close"),
        ] as [(Bool, HTTPVersion, String?)])
    func tellsTheConnection(keepsAlive: Bool, version: HTTPVersion, option: String?) {
        let line = option.map { "Connection: \($0)\r\n" } ?? ""
        #expect(
            Self.encode(keepsAlive: keepsAlive, version: version)
                == "HTTP/1.1 200 OK\r\n\(line)Content-Length: 3\r\n\r\nné")
    }

    @Test(
        "RFC 9110 §7.8: Upgrade is named in Connection",
        arguments: [
            (true, HTTPVersion.http11, "Upgrade"), (false, .http11, "Upgrade, close"),
            (true, .http10, "Upgrade, keep-alive"), (false, .http10, "Upgrade, close"),
        ])
    func namesUpgrade(keepsAlive: Bool, version: HTTPVersion, options: String) throws {
        let fields = [try HeaderField("upgrade", "websocket")]
        let response = Self.encode(.upgradeRequired, fields: fields, keepsAlive: keepsAlive, version: version)
        #expect(response.contains("\r\nConnection: \(options)\r\n"))
        #expect(response.hasPrefix("HTTP/1.1 426 Upgrade Required\r\nupgrade: websocket\r\n"))
    }

    @Test("RFC 9110 §6.6.1: a date is written if there is one")
    func writesDates() {
        let date = HTTPDate(secondsSince1970: 784_111_777)
        #expect(Self.encode(date: date).contains("\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"))
        #expect(!Self.encode().contains("Date"))
    }

    @Test("RFC 9110 §15.2: 100 tells a client to go on")
    func tellsToContinue() {
        #expect(ResponseTests.text(ResponseEncoder.continueResponse) == "HTTP/1.1 100 Continue\r\n\r\n")
    }

    @Test(
        "headers that tell where the response ends are the encoder's own",
        arguments: [
            "Content-Length", "content-length", "Transfer-Encoding", "CONNECTION", "Date", "Trailer", "Keep-Alive",
        ])
    func reserves(name: String) {
        #expect(ResponseEncoder.isReserved(name))
        #expect(!ResponseEncoder.isReserved("X-" + name))
    }

    @Test("a header of the encoder's own among the fields traps")
    func trapsOnReserved() async {
        await #expect(processExitsWith: .failure) {
            _ = ResponseEncoder.encode(
                status: .ok, fields: [HeaderField(known: "content-length", "5")], body: [], isHead: false,
                keepsAlive: true)
        }
    }

    @Test("what is written is read back, whatever stands in it", arguments: UInt64(0)..<200)
    func noValueAddsALine(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        // Everything that a caller may hand over: any text that a header is made from, any status, any body.
        let alphabet: [Character] = [
            "\r", "\n", "\r\n", "\0", ":", " ", "a", "é", "\t", "\u{7F}", "\u{2028}", "\u{85}",
        ]
        func text() -> String {
            String(
                (0..<Int.random(in: 0...6, using: &generator)).map { _ in alphabet.randomElement(using: &generator)! })
        }
        let fields =
            (0..<8).compactMap { _ in try? HeaderField(text(), text()) }
            + (0..<8).compactMap { _ in try? HeaderField("X", text()) }
        let status = try #require(HTTPStatus(rawValue: UInt16.random(in: 200...599, using: &generator)))
        let body = generator.bytes(count: Int.random(in: 0...9, using: &generator))
        let bytes = ResponseEncoder.encode(
            status: status, fields: fields, body: body, isHead: false, keepsAlive: false)
        var parser = ResponseHeadParser()
        guard case .head(let head, let byteCount) = parser.parse(bytes.span) else {
            Issue.record("does not parse: \(ResponseTests.text(bytes))")
            return
        }
        let ownCount = status.mayHaveBody ? 2 : 1
        #expect(head.statusCode == status.rawValue)
        #expect(head.headers.count == fields.count + ownCount)
        #expect(head.headers.map(\.name).prefix(fields.count) == fields.map(\.name)[...])
        #expect(bytes[byteCount...] == (status.mayHaveBody ? body[...] : []))
    }

    @Test("a path that is echoed, in a body or as Location, is visible ASCII")
    func echoesPaths() {
        for byte in UInt8.min...UInt8.max where byte != UInt8(ascii: "?") {
            let bytes = Array("GET /a".utf8) + [byte] + Array("%0d%0ab%e2%80%a8 HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
            var parser = RequestHeadParser()
            if case .head = parser.parse(bytes.span) { Issue.record("accepts an escaped line end beside \(byte)") }
            let plain = Array("GET /a".utf8) + [byte] + Array("b%c3%a9 HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
            parser = RequestHeadParser()
            guard case .head(let head, _) = parser.parse(plain.span) else { continue }
            #expect(head.encodedPath.utf8.allSatisfy { 0x21...0x7E ~= $0 })
            #expect((try? HeaderField("Location", head.encodedPath)) != nil)
        }
    }
}
