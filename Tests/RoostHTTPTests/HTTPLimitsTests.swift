import RoostHTTP
import Testing

/// Every limit at n - 1, n and n + 1, and that it strikes without waiting for the end.
@Suite struct HTTPLimitsTests {
    /// A head of exactly `byteCount` bytes.
    static func head(byteCount: Int) -> [UInt8] {
        let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n"
        return Array("GET / HTTP/1.1\r\nHost: a\r\nX: ".utf8)
            + [UInt8](repeating: 0x78, count: byteCount - frame.utf8.count) + Array("\r\n\r\n".utf8)
    }

    @Test("the head as a whole: 431", arguments: [100, 8_192, 65_535], [-1, 0, 1])
    func limitsTheHead(limit: Int, difference: Int) {
        let bytes = Self.head(byteCount: limit + difference)
        #expect(bytes.count == limit + difference)
        let limits = HTTPLimits(headByteCountMax: limit)
        for parsed in [
            parse(bytes, limits: limits), parse(bytes + [0x81, 0x80], limits: limits),
            parse(bytes, pieceEnds: Array(stride(from: 0, to: bytes.count, by: 7)) + [bytes.count], limits: limits),
        ] {
            #expect(parsed.isHead == (difference <= 0))
            if difference > 0 { #expect(parsed.error == .headTooLarge(limit: limit)) }
        }
    }

    @Test("a head that never ends is refused when the limit is reached, not later")
    func refusesEndlessHeads() {
        let limits = HTTPLimits(headByteCountMax: 100)
        let bytes = Array("GET / HTTP/1.1\r\nX: ".utf8) + [UInt8](repeating: 0x78, count: 200)
        #expect(parse(bytes, pieceEnds: [99], limits: limits) == .needsMoreBytes)
        #expect(parse(bytes, pieceEnds: [99, 100], limits: limits) == .failure(.headTooLarge(limit: 100)))
        #expect(HTTPError.headTooLarge(limit: 100).status == .requestHeaderFieldsTooLarge)
    }

    @Test("the target: 414", arguments: [1, 10, 4_096], [-1, 0, 1])
    func limitsTheTarget(limit: Int, difference: Int) {
        let byteCount = limit + difference
        guard byteCount > 0 else { return }
        let target = "/" + String(repeating: "x", count: byteCount - 1)
        let parsed = parse(request(target), limits: HTTPLimits(targetByteCountMax: limit))
        #expect(parsed.isHead == (difference <= 0))
        if difference > 0 { #expect(parsed.error == .targetTooLong(limit: limit)) }
    }

    @Test("a target that never ends is refused long before the head's limit")
    func refusesEndlessTargets() {
        let limits = HTTPLimits(targetByteCountMax: 100)
        let bytes = Array("GET /".utf8) + [UInt8](repeating: 0x78, count: 8_000)
        #expect(parse(bytes, pieceEnds: [104], limits: limits) == .needsMoreBytes)
        #expect(parse(bytes, pieceEnds: [104, 200], limits: limits) == .failure(.targetTooLong(limit: 100)))
        #expect(HTTPError.targetTooLong(limit: 100).status == .uriTooLong)
    }

    @Test("a request line that fills the whole head counts as too long a target")
    func targetFillsTheHead() {
        let limits = HTTPLimits(headByteCountMax: 50, targetByteCountMax: 1_000)
        let parsed = parse("GET /" + String(repeating: "x", count: 100), limits: limits)
        #expect(parsed == .failure(.targetTooLong(limit: 50)))
    }

    @Test("the number of headers: 431", arguments: [1, 2, 100], [-1, 0, 1])
    func limitsHeaders(limit: Int, difference: Int) {
        let count = limit + difference
        guard count >= 1 else { return }
        let headers = "Host: a\r\n" + String(repeating: "X: 1\r\n", count: count - 1)
        let parsed = parse(request("/", headers: headers), limits: HTTPLimits(headerCountMax: limit))
        #expect(parsed.isHead == (difference <= 0))
        if difference > 0 { #expect(parsed.error == .tooManyHeaders(limit: limit)) }
    }

    @Test("the defaults are those of the documentation")
    func defaults() {
        let limits = HTTPLimits()
        #expect(limits.headByteCountMax == 8_192)
        #expect(limits.targetByteCountMax == 4_096)
        #expect(limits.headerCountMax == 100)
    }

    @Test("a limit that positions cannot hold traps")
    func trapsOnHugeLimit() async {
        await #expect(processExitsWith: .failure) { _ = HTTPLimits(headByteCountMax: 65_536) }
        await #expect(processExitsWith: .failure) { _ = HTTPLimits(headerCountMax: 0) }
    }
}
