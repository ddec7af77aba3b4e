import RoostHTTP
import Testing

/// What a request asks of the connection.
@Suite struct RequestHeadConnectionTests {
    static func request(_ version: String, _ headers: [String]) -> RequestHead {
        head("GET / HTTP/\(version)\r\nHost: a\r\n" + headers.map { $0 + "\r\n" }.joined() + "\r\n")
    }

    @Test(
        "RFC 9112 §9.3: HTTP/1.1 stays unless told otherwise, HTTP/1.0 goes unless told otherwise",
        arguments: [
            ("1.1", [], true), ("1.1", ["Connection: keep-alive"], true), ("1.1", ["Connection: close"], false),
            ("1.1", ["connection: CLOSE"], false), ("1.1", ["Connection: Upgrade, close"], false),
            ("1.1", ["Connection: keep-alive, close"], false), ("1.1", ["Connection: a", "Connection: close"], false),
            ("1.1", ["Connection:"], true), ("1.1", ["Connection: closed"], true),
            ("1.1", ["Connection: \"close\""], true),
            ("1.1", ["X: close"], true), ("1.0", [], false), ("1.0", ["Connection: keep-alive"], true),
            ("1.0", ["Connection: Keep-Alive, X"], true), ("1.0", ["Connection: keep-alive, close"], false),
            ("1.0", ["Keep-Alive: timeout=5"], false), ("1.0", ["Connection: close"], false),
        ] as [(String, [String], Bool)])
    func keepsAlive(version: String, headers: [String], isKept: Bool) {
        #expect(Self.request(version, headers).keepsAlive == isKept)
    }

    @Test(
        "RFC 9110 §10.1.1: 100-continue is the only expectation, and HTTP/1.0 has none",
        arguments: [
            ("1.1", [], .none), ("1.1", ["Expect: 100-continue"], .continue),
            ("1.1", ["EXPECT: 100-Continue"], .continue),
            ("1.1", ["Expect:"], .none), ("1.1", ["Expect: 200-maybe"], .unknown),
            ("1.1", ["Expect: 100-continue, x"], .unknown), ("1.1", ["Expect: 100-continue", "Expect: x=y"], .unknown),
            ("1.1", ["Expect: 100-continue", "Expect: 100-continue"], .continue),
            ("1.1", ["Expect: 100-continue;a=b"], .unknown), ("1.1", ["Expect: \"100-continue\""], .unknown),
            ("1.0", ["Expect: 100-continue"], .none), ("1.0", ["Expect: x"], .none),
        ] as [(String, [String], RequestHead.Expectation)])
    func expects(version: String, headers: [String], expectation: RequestHead.Expectation) {
        #expect(Self.request(version, headers).expectsContinue == expectation)
    }

    @Test(
        "RFC 9110 §7.8: a WebSocket is wanted by both headers, in HTTP/1.1",
        arguments: [
            ("1.1", ["Upgrade: websocket", "Connection: Upgrade"], true),
            ("1.1", ["upgrade: WebSocket", "connection: keep-alive, upgrade"], true),
            ("1.1", ["Upgrade: h2c, websocket", "Connection: x", "Connection: upgrade"], true),
            ("1.1", ["Upgrade: websocket"], false), ("1.1", ["Connection: Upgrade"], false),
            ("1.1", ["Upgrade: h2c", "Connection: Upgrade"], false),
            ("1.1", ["Upgrade: websocket/13", "Connection: Upgrade"], false),
            ("1.1", ["Upgrade: websocket", "Connection: close"], false),
            ("1.1", ["Upgrade: websockets", "Connection: Upgrade"], false),
            ("1.0", ["Upgrade: websocket", "Connection: Upgrade"], false), ("1.1", [], false),
        ] as [(String, [String], Bool)])
    func wantsUpgrade(version: String, headers: [String], isWanted: Bool) {
        #expect(Self.request(version, headers).wantsUpgrade == isWanted)
    }
}
