// SPDX-License-Identifier: Apache-2.0

import Glibc
import Roost
import RoostTestHandlers
import Testing

/// A client of plain requests over a blocking socket. Every read has a deadline.
private final class PlainClient {
    private let descriptor: CInt
    private var buffer: [UInt8] = []

    init(_ server: RoostServer, listener: Int = 0) throws {
        descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        var timeout = timeval(tv_sec: 15, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = UInt16(server.addresses[listener].port!).bigEndian
        target.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let code = withUnsafePointer(to: &target) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard code == 0 else { throw ClientError.failed(errno) }
    }

    deinit { Glibc.close(descriptor) }

    func send(_ text: String) throws {
        let bytes = Array(text.utf8)
        let count = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
        guard count == bytes.count else { throw ClientError.failed(errno) }
    }

    func ask(_ path: String, _ fields: String...) throws {
        try send((["GET \(path) HTTP/1.1", "Host: localhost"] + fields).joined(separator: "\r\n") + "\r\n\r\n")
    }

    /// Status and body of the next response.
    func response() throws -> String {
        while true {
            if let end = buffer.firstRange(of: Array("\r\n\r\n".utf8)) {
                let lines = String(decoding: buffer[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
                let length = lines.first { $0.lowercased().hasPrefix("content-length: ") }
                let count = length.flatMap { Int($0.dropFirst(16)) } ?? 0
                if buffer.count - end.upperBound >= count {
                    let body = String(decoding: buffer[end.upperBound..<end.upperBound + count], as: UTF8.self)
                    buffer.removeFirst(end.upperBound + count)
                    return "\(lines[0].split(separator: " ")[1]) \(body)"
                }
            }
            try fill()
        }
    }

    /// All that comes until the server ends the stream.
    func rest() throws -> String {
        do {
            while true { try fill() }
        } catch ClientError.ended {}
        return String(decoding: buffer, as: UTF8.self)
    }

    private func fill() throws {
        var room = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &room, room.count, 0)
        if count == 0 || count < 0 && errno == ECONNRESET { throw ClientError.ended }
        if count < 0 { throw errno == EAGAIN ? ClientError.timedOut : ClientError.failed(errno) }
        buffer += room[..<count]
    }
}

extension ServerTests {
    @Suite struct RequestOrder {
        @Test("a request that comes while the responder computes is answered after it (RFC 9112 §9.3.2)")
        func requestDuringResponder() async throws {
            let probe = Probe()
            let routes = [Route(http: "/*", respond: spinningResponder(probe))]
            try await withServer(
                routes, schedulers: 1,
                configure: {
                    // No deadline has it looked at.
                    $0.listeners[0].handshakeTimeout = .seconds(3_600)
                    $0.listeners[0].http.keepAliveTimeout = .seconds(3_600)
                },
                { server in
                    let client = try PlainClient(server)
                    try client.ask("/spin")
                    try await probe.waitFor("spinning")
                    try client.ask("/next")
                    // The only scheduler has looked for events since: the request has been noticed.
                    try stillWell(server)
                    probe.isOpen = true
                    #expect(try client.response() == "200 /spin 127.0.0.1")
                    #expect(try client.response() == "200 /next 127.0.0.1")
                })
        }

        @Test("a request that begins behind another has its own time, not that between requests: 408")
        func partOfPipelinedRequest() async throws {
            let routes = [Route(http: "/*", respond: spinningResponder(Probe()))]
            try await withServer(
                routes,
                configure: {
                    $0.listeners[0].handshakeTimeout = .milliseconds(500)
                    $0.listeners[0].http.keepAliveTimeout = .seconds(3_600)
                },
                { server in
                    let client = try PlainClient(server)
                    try client.send("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\nGET /b HTT")
                    #expect(try client.response() == "200 /a 127.0.0.1")
                    #expect(try client.response().hasPrefix("408 "))
                })
        }

        @Test("each request of a trusted proxy's connection tells its own client (RFC 7239 §4)")
        func clientsOfOneProxyConnection() async throws {
            let routes = [Route(http: "/*", respond: spinningResponder(Probe()))]
            try await withServer(
                routes,
                configure: {
                    $0.listeners[0].proxy.trusted = ["127.0.0.1"]
                    $0.listeners[0].proxy.forwardedHeader = .xForwardedFor
                    $0.listeners[0].addressLimits.connectionCountMax = 1
                },
                { server in
                    let client = try PlainClient(server)
                    try client.ask("/a", "X-Forwarded-For: 192.0.2.1")
                    #expect(try client.response() == "200 /a 192.0.2.1")
                    try client.ask("/b", "X-Forwarded-For: 192.0.2.2")
                    #expect(try client.response() == "200 /b 192.0.2.2")
                    // The first is not counted any more, the second is.
                    let other = try PlainClient(server)
                    try other.ask("/c", "X-Forwarded-For: 192.0.2.1")
                    #expect(try other.response() == "200 /c 192.0.2.1")
                    try other.ask("/d", "X-Forwarded-For: 192.0.2.2")
                    #expect(try other.response().hasPrefix("429 "))
                })
        }

        @Test("a client that a proxy behind a PROXY header speaks for is counted once, and let go")
        func proxyBehindProxy() async throws {
            let routes = [Route(http: "/*", respond: spinningResponder(Probe()))]
            var proxied = ListenerConfiguration(address: "127.0.0.1:0", routes: routes)
            proxied.proxy.trusted = ["127.0.0.1", "10.0.0.0/8"]
            proxied.proxy.requiresProxyProtocol = true
            proxied.proxy.forwardedHeader = .xForwardedFor
            proxied.addressLimits.connectionCountMax = 1
            // The first listener is the harness's: it sends no PROXY header.
            try await withServer([], configure: { $0.listeners.append(proxied) }) { server in
                for round in 1...2 {
                    do {
                        let client = try PlainClient(server, listener: 1)
                        try client.send("PROXY TCP4 10.0.0.1 10.0.0.2 1000 80\r\n")
                        try client.ask("/\(round)", "X-Forwarded-For: 192.0.2.1", "Connection: close")
                        #expect(try client.response() == "200 /\(round) 192.0.2.1")
                    }
                    try await eventually("it is let go") { server.connectionCount == 0 }
                }
            }
        }

        @Test("HEAD gets no body, whatever the answer (RFC 9110 §9.3.2)")
        func refusedHead() async throws {
            try await withServer([Route(http: "/a", methods: ["POST"]) { _ in HTTPResponse() }]) { server in
                for path in ["/a", "/nothing", "/still-well"] {
                    let client = try PlainClient(server)
                    try client.send("HEAD \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    #expect(try client.rest().hasSuffix("\r\n\r\n"), "a body behind the head of \(path)")
                }
            }
        }
    }
}
