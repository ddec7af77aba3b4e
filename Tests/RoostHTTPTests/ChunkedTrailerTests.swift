import RoostHTTP
import Testing

/// RFC 9112 §7.1.2: trailers are checked as headers are, and discarded.
@Suite struct ChunkedTrailerTests {
    @Test(
        "trailers are skipped",
        arguments: ["", "X: 1\r\n", "X: 1\r\nX: 2\r\nEmpty:\r\nETag:\t\"a\" \r\n", "Hosts: a\r\n"])
    func skipsTrailers(trailers: String) {
        let text = "0\r\n\(trailers)\r\n"
        #expect(decodeBody(text + "G") == DecodedBody(end: .end(consumedByteCount: text.utf8.count)))
    }

    @Test(
        "malformed trailers are refused as headers are",
        arguments: [
            (" X: 1", HTTPError.foldedHeader), ("\tX: 1", .foldedHeader), ("X: 1\r\n 2", .foldedHeader),
            ("X : 1", .whitespaceBeforeColon), (": 1", .emptyHeaderName), ("X", .headerWithoutColon),
            ("X(: 1", .invalidHeaderNameCharacter(0x28)), ("X: a\nb", .bareLineFeed), ("X: a\rb", .bareCarriageReturn),
            ("X: a\0", .controlCharacter(0)), ("GET / HTTP/1.1", .invalidHeaderNameCharacter(0x20)),
            ("\n", .bareLineFeed), ("0", .headerWithoutColon),
        ])
    func refusesMalformedTrailers(line: String, error: HTTPError) {
        #expect(decodeBody("0\r\n\(line)\r\n\r\n") == DecodedBody(end: .failure(error)))
        #expect(decodeBody("0\r\nA: 1\r\n\(line)\r\n\r\n") == DecodedBody(end: .failure(error)))
    }

    @Test(
        "RFC 9110 §6.5.1: what decides about the message cannot stand in its trailers",
        arguments: [
            "Content-Length: 5", "content-length: 0", "Transfer-Encoding: chunked", "HOST: a", "Connection: close",
            "Upgrade: websocket", "Trailer: X", "TE: trailers", "Expect: 100-continue", "Content-Type: text/plain",
            "Content-Encoding: gzip", "Content-Range: bytes 0-1/2", "Authorization: Basic eA==", "Cookie: a=b",
            "Set-Cookie: a=b", "Cache-Control: no-store", "Max-Forwards: 1", "Keep-Alive: timeout=1", "Origin: null",
            "Proxy-Authorization: Basic eA==", "Proxy-Connection: close", "Forwarded: for=192.0.2.1",
            "X-Forwarded-For: 192.0.2.1",
        ])
    func refusesForbiddenTrailers(line: String) {
        #expect(decodeBody("0\r\n\(line)\r\n\r\n").error == .forbiddenTrailer)
        #expect(decodeBody("0\r\nA: 1\r\n\(line)\r\n").error == .forbiddenTrailer, "told before the end")
        #expect(HTTPError.forbiddenTrailer.status == .badRequest)
    }

    @Test("trailers as a whole: 431", arguments: [10, 100], [-1, 0, 1])
    func limitsTrailers(limit: Int, difference: Int) {
        let trailers = "X: " + String(repeating: "x", count: limit + difference - 7) + "\r\n\r\n"
        #expect(trailers.utf8.count == limit + difference)
        let limits = HTTPLimits(headByteCountMax: limit)
        let bytes = Array("0\r\n\(trailers)GET".utf8)
        for ends in [[bytes.count], Array(0...bytes.count)] {
            let body = decodeBody(bytes, pieceEnds: ends, limits: limits)
            #expect(body.isEnded == (difference <= 0))
            if difference > 0 { #expect(body.error == .trailersTooLarge(limit: limit)) }
        }
    }

    @Test("the number of trailers: 431", arguments: [1, 2, 100], [-1, 0, 1])
    func limitsTheNumber(limit: Int, difference: Int) {
        let trailers = String(repeating: "X: 1\r\n", count: limit + difference)
        let bytes = Array("0\r\n\(trailers)\r\n".utf8)
        for ends in [[bytes.count], Array(0...bytes.count)] {
            let body = decodeBody(bytes, pieceEnds: ends, limits: HTTPLimits(headerCountMax: limit))
            #expect(body.isEnded == (difference <= 0))
            if difference > 0 { #expect(body.error == .tooManyHeaders(limit: limit)) }
        }
    }

    @Test("trailers that never end are refused when the limit is reached, not later")
    func refusesEndlessTrailers() {
        let limits = HTTPLimits(headByteCountMax: 50)
        let bytes = Array("0\r\nX: ".utf8) + [UInt8](repeating: 0x78, count: 100)
        #expect(decodeBody(bytes, pieceEnds: [52], limits: limits).end == .none)
        #expect(decodeBody(bytes, pieceEnds: [52, 53], limits: limits).error == .trailersTooLarge(limit: 50))
    }
}
