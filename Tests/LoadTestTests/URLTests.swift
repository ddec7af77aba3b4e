// SPDX-License-Identifier: Apache-2.0

import Roost
import Testing

@Suite struct URLTests {
    @Test(
        "a URL is read into host and target",
        arguments: [
            ("ws://127.0.0.1:9001/echo", WebSocketURL.Host.network(name: "127.0.0.1", port: 9001), "/echo"),
            ("ws://example.org", .network(name: "example.org", port: 80), "/"),
            ("WS://[::1]:8080?a=b", .network(name: "::1", port: 8080), "/?a=b"),
            ("wss://example.org/x", .network(name: "example.org", port: 443), "/x"),
            ("WSS://[::1]:8443/", .network(name: "::1", port: 8443), "/"),
            ("ws://[::1]/", .network(name: "::1", port: 80), "/"),
            ("ws://h/p?q=http://x:1/", .network(name: "h", port: 80), "/p?q=http://x:1/"),
            ("ws+unix:/run/r.sock:/echo?x=1", .unix(path: "/run/r.sock"), "/echo?x=1"),
            ("unix:/run/r.sock", .unix(path: "/run/r.sock"), "/"),
        ])
    func read(text: String, host: WebSocketURL.Host, target: String) throws {
        let url = try WebSocketURL(text)
        #expect(url.host == host)
        #expect(url.target == target)
        #expect(url.isSecure == text.lowercased().hasPrefix("wss:"))
        #expect(url.description == text)
    }

    @Test(
        "a wrong URL is refused with the rule that it breaks",
        arguments: [
            ("http://h/", "the scheme 'http' is not WebSocket's"),
            ("h:9001", "must begin with ws://"),
            ("ws://h:0/", "'0' is no port"), ("ws://h:70000/", "'70000' is no port"), ("ws://:80/", "is no host"),
            ("ws://::1/", "in brackets"), ("ws://u:p@h/", "user names"), ("ws://h/a#b", "no fragment"),
            ("ws://h/a b", "percent-encoded"), ("ws+unix::/x", "unix socket"),
        ])
    func refuse(text: String, rule: String) {
        let error = #expect(throws: ClientError.self) { try WebSocketURL(text) }
        #expect(error?.description.contains(rule) == true, "\(error?.description ?? "")")
    }
}
