// SPDX-License-Identifier: Apache-2.0

internal import RoostHTTP
public import RoostIO

/// Which header tells a proxy's client (RFC 7239, or its older sibling).
public enum ForwardedHeader: String, Sendable, CaseIterable {
    /// Neither is looked at: the client is who is connected.
    case none
    /// `Forwarded: for=192.0.2.60` (RFC 7239).
    case forwarded
    /// `X-Forwarded-For: 192.0.2.60, 198.51.100.7`.
    case xForwardedFor = "x-forwarded-for"
}

/// Who stands before this server and may say whom it speaks for.
public struct ProxyPolicy: Sendable, Equatable {
    /// Addresses and ranges whose word is taken: `10.0.0.0/8`, `::1`, `unix` for any peer of a unix socket. Nobody
    /// else's is.
    public var trusted: [String] = []
    /// Every connection begins with a PROXY header, version 1 or 2, from a trusted address; any other is closed.
    public var requiresProxyProtocol = false
    /// The header of requests that is believed when a trusted address sent them.
    public var forwardedHeader = ForwardedHeader.none

    public init() {}
}

/// What one client address may do. An IPv6 client counts by its /64, which is what one customer gets.
public struct AddressLimits: Sendable, Equatable {
    /// Connections held at once. Past it: 429. 0: no limit.
    public var connectionCountMax = 0
    /// New connections a second, on average. Past it: 429. 0: no limit.
    public var connectsPerSecond = 0
    /// New connections at once after a pause. 0: as many as `connectsPerSecond`.
    public var connectBurst = 0

    public init() {}

    var isLimited: Bool { connectionCountMax > 0 || connectsPerSecond > 0 }
    var burst: Int { connectBurst > 0 ? connectBurst : connectsPerSecond }
}

/// Bounds of plain HTTP requests.
public struct HTTPRequestLimits: Sendable, Equatable {
    /// Bytes of a request's body. Past it: 413.
    public var bodyByteCountMax = 64 << 10
    /// How long a connection may be silent between requests. Zero: each connection has one request.
    public var keepAliveTimeout = Duration.seconds(60)
    /// Requests of one connection; the last is answered with `Connection: close`, so that load balancers can move it.
    public var requestCountMax = 1_000

    public init() {}
}

/// Where connections come from and what serves them.
public struct ListenerConfiguration: Sendable {
    /// `127.0.0.1:9001`, `[::1]:9001` or `unix:/run/roost.sock`. Port 0: any free one.
    public var address: String
    public var routes: [Route]
    /// Certificates and rules of TLS; nil: plain connections.
    public var tls: TLSConfiguration?
    public var proxy = ProxyPolicy()
    public var addressLimits = AddressLimits()
    public var http = HTTPRequestLimits()
    /// Sockets held at once, handshakes included. Past it a client is answered with 503 and `Retry-After`.
    public var connectionCountMax = 1_000_000
    /// From the accept to the complete first request, TLS and PROXY header included; and for each later request from
    /// its first byte to its last. Past it: 408.
    public var handshakeTimeout = Duration.seconds(10)
    /// Bytes of a request's head. Past it: 431.
    public var headByteCountMax = 8_192

    public init(address: String, routes: [Route]) {
        self.address = address
        self.routes = routes
    }

    func validate(_ problems: inout [String]) {
        do {
            _ = try SocketAddress(address)
        } catch {
            problems.append("listen: \(error)")
        }
        do throws(AddressRangeError) {
            _ = try AddressRanges(proxy.trusted)
        } catch {
            problems.append("trusted-proxies: \(error)")
        }
        if proxy.trusted.isEmpty, proxy.requiresProxyProtocol || proxy.forwardedHeader != .none {
            problems.append(
                "\(proxy.requiresProxyProtocol ? "proxy-protocol" : "forwarded-header") needs trusted-proxies: "
                    + "name the addresses whose word is taken, as in 127.0.0.1")
        }
        func check(_ key: String, _ value: Int, _ range: ClosedRange<Int>) {
            if !range.contains(value) {
                problems.append("\(key) is \(value); use \(range.lowerBound)...\(range.upperBound)")
            }
        }
        check("max-connections-per-address", addressLimits.connectionCountMax, 0...10_000_000)
        check("max-connect-rate-per-address", addressLimits.connectsPerSecond, 0...1_000_000)
        check("connect-burst-per-address", addressLimits.connectBurst, 0...1_000_000)
        check("max-body-bytes", http.bodyByteCountMax, 0...1 << 30)
        check("max-requests-per-connection", http.requestCountMax, 1...1_000_000_000)
        if http.keepAliveTimeout < .zero || http.keepAliveTimeout > .seconds(86_400) {
            problems.append("keep-alive-timeout is \(http.keepAliveTimeout); use 0 to 1 day")
        }
        if connectionCountMax < 1 { problems.append("max-connections is \(connectionCountMax); use 1 or more") }
        if handshakeTimeout < .milliseconds(100) || handshakeTimeout > .seconds(3_600) {
            problems.append("handshake-timeout is \(handshakeTimeout); use 100 ms to 1 hour")
        }
        if !(512...65_535).contains(headByteCountMax) {
            problems.append("max-head-bytes is \(headByteCountMax); use 512...65535")
        }
        if let tls {
            do throws(TLSError) {
                _ = try TLSContext(tls)
            } catch {
                problems += error.problems
            }
        }
        RouteTable.validate(routes, &problems)
    }
}
