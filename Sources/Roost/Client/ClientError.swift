// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import RoostIO
internal import RoostRuntime
internal import RoostWebSocket

/// Why a client cannot even begin to connect. What fails later its handler hears: `CloseReason.Cause.connectFailed`.
public enum ClientError: Error, Equatable, Sendable, CustomStringConvertible {
    case invalidURL(String, String)
    case unsupportedScheme(String, scheme: String)
    case unknownHost(String, String)
    case invalidSource(String)
    /// A header, subprotocol or target that cannot stand in a request.
    case invalidRequest(String)
    case invalidLimits([String])
    /// Files of a `TLSClientConfiguration` that cannot be used.
    case invalidTLS([String])

    public var description: String {
        switch self {
        case .invalidURL(let url, let rule): "'\(url)' is no WebSocket URL: \(rule)"
        case .unsupportedScheme(let url, let scheme):
            "'\(url)': the scheme '\(scheme)' is not WebSocket's; use ws:// or wss://"
        case .unknownHost(let name, let cause):
            "host '\(name)' was not found: \(cause); check the name, or give an address"
        case .invalidSource(let text):
            "source address '\(text)' is no IPv4 or IPv6 address of this machine's; write one without a port"
        case .invalidRequest(let problem): problem
        case .invalidLimits(let problems), .invalidTLS(let problems): problems.joined(separator: "\n")
        }
    }
}

/// What a failed connection attempt is called, and what to do about it.
enum ConnectFailure {
    static func describe(_ address: SocketAddress?, from source: SocketAddress?, step: String, errno code: Int32)
        -> String
    {
        let target = address.map { "\($0)" } ?? "the server"
        if step.hasPrefix("bind"), let source {
            return "cannot connect from \(source.host): \(text(code)); \(bindRemedy(code))"
        }
        let origin = source.map { " from \($0.host)" } ?? ""
        return "cannot connect to \(target)\(origin): \(text(code)); \(remedy(code, isUnix: address?.port == nil))"
    }

    /// An answer that was not what it had to be. `location`: where a server that redirects says to go.
    static func describe(_ error: ClientHandshakeError, location: String?) -> String {
        guard case .status(let status) = error else { return "\(error)" }
        let remedy =
            switch status {
            case 401, 403: "the server wants credentials or another Origin: give the headers it asks for"
            case 404: "nothing is served there: check the URL's path"
            case 200..<300: "a page of a web server is there: check host, port and path"
            case 300..<400:
                "the server redirects: use the URL it names" + (location.map { ", \(String($0.prefix(200)))" } ?? "")
            case 400, 426:
                "the server does not take this as a WebSocket request: check that the URL is one of a WebSocket server"
            case 429, 503: "the server is full or shutting down: try again later or with fewer connections"
            case 500...: "look into the server's log"
            default: "check the URL"
            }
        return "\(error); \(remedy)"
    }

    private static func text(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }

    private static func bindRemedy(_ code: Int32) -> String {
        switch code {
        case EADDRINUSE:
            "all of its ports are in use: give further source addresses, or widen net.ipv4.ip_local_port_range"
        case EADDRNOTAVAIL: "this machine has no such address: use one that `ip address` shows"
        default: "check the source address"
        }
    }

    private static func remedy(_ code: Int32, isUnix: Bool) -> String {
        switch code {
        case ECONNREFUSED: "start the server, or correct the \(isUnix ? "path" : "port")"
        case EMFILE, ENFILE: "no descriptor is left: raise the limit with `ulimit -n`, or open fewer connections"
        case EADDRNOTAVAIL:
            "no local port is left: give further source addresses, or widen net.ipv4.ip_local_port_range"
        case EAGAIN: "its backlog is full: connect more slowly, or raise net.core.somaxconn"
        case ENOENT: "no socket is there: start the server, or correct the path"
        case EACCES, EPERM: "the socket, or a firewall, does not let this user in"
        case ENETUNREACH, EHOSTUNREACH, ETIMEDOUT: "check the address, the route and firewalls"
        case ECONNRESET: "the server broke the connection off: its backlog may be full"
        case ENOBUFS, ENOMEM: "the kernel is out of memory: open fewer connections"
        default: "check the URL"
        }
    }
}

extension ConnectFailure {
    static let noAnswerInTime =
        "no answer to the upgrade request in time; check that the server speaks WebSocket and is not overloaded"

    static func describeTimeout(_ address: SocketAddress?) -> String {
        let target = address.map { "\($0)" } ?? "the server"
        return "no connection to \(target) in time; check the address, the route and firewalls"
    }

    /// The server ended the connection, or sent `bytes` that are no answer to HTTP.
    static func describeNoAnswer(_ bytes: UnsafeRawBufferPointer?, _ cause: String, isSecure: Bool) -> String {
        // A record of TLS: an alert or a handshake, of version 3.x (RFC 8446 §5.1).
        if !isSecure, let bytes = unsafe bytes, bytes.count >= 2, unsafe (0x15...0x16).contains(bytes[0]),
            unsafe bytes[1] == 3
        {
            return "the server speaks TLS on this port; use wss://"
        }
        return "\(cause); check that it speaks WebSocket" + (isSecure ? "" : ", and use wss:// where it speaks TLS")
    }
}

/// Looks names up. Blocks the calling thread while the system's resolver works.
package enum NameLookup {
    package static func resolve(_ host: WebSocketURL.Host) throws(ClientError) -> SocketAddress {
        switch host {
        case .unix(let path):
            guard let address = try? SocketAddress("unix:\(path)") else {
                throw .unknownHost(path, "it is no path of a socket")
            }
            return address
        case .network(let name, let port):
            if let address = try? SocketAddress(name.contains(":") ? "[\(name)]:\(port)" : "\(name):\(port)") {
                return address
            }
            let found = try lookUp(name)
            guard let address = try? SocketAddress(found.contains(":") ? "[\(found)]:\(port)" : "\(found):\(port)")
            else {
                throw .unknownHost(name, "the address \(found) cannot be used")
            }
            return address
        }
    }

    /// A source address, without a port.
    static func source(_ text: String) throws(ClientError) -> SocketAddress {
        let bare = text.hasPrefix("[") && text.hasSuffix("]") ? String(text.dropFirst().dropLast()) : text
        guard !bare.isEmpty, let address = try? SocketAddress(bare.contains(":") ? "[\(bare)]:0" : "\(bare):0") else {
            throw .invalidSource(text)
        }
        return address
    }

    /// The first address of a name, as text (getaddrinfo(3), getnameinfo(3)).
    private static func lookUp(_ name: String) throws(ClientError) -> String {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(name, nil, &hints, &list)
        guard code == 0, let first = unsafe list else {
            throw .unknownHost(name, code == 0 ? "it has no address" : unsafe String(cString: gai_strerror(code)))
        }
        defer { unsafe freeaddrinfo(list) }
        var buffer = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        // Safe: the list is freed after this, and the buffer's size is given.
        let failed = unsafe getnameinfo(
            first.pointee.ai_addr, first.pointee.ai_addrlen, &buffer, socklen_t(buffer.count), nil, 0, NI_NUMERICHOST)
        guard failed == 0 else { throw .unknownHost(name, unsafe String(cString: gai_strerror(failed))) }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
