// SPDX-License-Identifier: Apache-2.0

/// Where a client connects to: `ws://host[:port][/path][?query]`, `wss://…` for TLS (RFC 6455 §3), or
/// `ws+unix:/path/of/socket:/path`.
public struct WebSocketURL: Sendable, Hashable, CustomStringConvertible {
    /// How the host is reached.
    public enum Host: Sendable, Hashable {
        /// A name, an IPv4 address, or an IPv6 address without its brackets.
        case network(name: String, port: UInt16)
        /// A unix socket's path.
        case unix(path: String)
    }

    public let host: Host
    /// The connection is made over TLS.
    public let isSecure: Bool
    /// Path and query as they stand in the request; at least `/`.
    public let target: String
    private let text: String

    public init(_ text: String) throws(ClientError) {
        self.text = text
        if let rest = Self.after("ws+unix:", in: text) ?? Self.after("unix:", in: text) {
            (host, target) = try Self.parseUnix(rest, text)
            isSecure = false
            return
        }
        let secureRest = Self.after("wss://", in: text)
        isSecure = secureRest != nil
        guard let rest = secureRest ?? Self.after("ws://", in: text) else {
            let scheme = text.firstRange(of: "://").map { String(text[..<$0.lowerBound]) }
            if let scheme { throw .unsupportedScheme(text, scheme: scheme) }
            throw .invalidURL(text, "it must begin with ws://, as in ws://127.0.0.1:9001/echo")
        }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        host = try Self.parseAuthority(
            String(rest[..<end]), text, defaultPort: secureRest == nil ? Self.defaultPort : Self.defaultSecurePort)
        target = try Self.checkTarget(rest[end...], text)
    }

    /// What the Host header says: the port is left out where it is the scheme's own (RFC 6455 §4.1).
    var hostHeader: String {
        switch host {
        case .network(let name, let port):
            let shown = name.contains(":") ? "[\(name)]" : name
            return port == (isSecure ? Self.defaultSecurePort : Self.defaultPort) ? shown : "\(shown):\(port)"
        case .unix: return "localhost"
        }
    }

    /// The name that a TLS server is to prove it has.
    var serverName: String {
        switch host {
        case .network(let name, _): name
        case .unix: "localhost"
        }
    }

    public var description: String { text }

    private static let defaultPort: UInt16 = 80
    private static let defaultSecurePort: UInt16 = 443

    private static func after(_ prefix: String, in text: String) -> Substring? {
        guard text.prefix(prefix.count).lowercased() == prefix else { return nil }
        return text.dropFirst(prefix.count)
    }

    private static func parseUnix(_ rest: Substring, _ text: String) throws(ClientError) -> (Host, String) {
        var rest = rest
        while rest.hasPrefix("//") { rest = rest.dropFirst() }
        let colon = rest.firstIndex(of: ":") ?? rest.endIndex
        let path = String(rest[..<colon])
        guard !path.isEmpty, path.utf8.count < 108 else {
            throw .invalidURL(
                text, "the path of a unix socket takes 1 to 107 bytes, as in ws+unix:/run/roost.sock:/echo")
        }
        return (.unix(path: path), try checkTarget(rest[colon...].dropFirst(), text))
    }

    private static func parseAuthority(
        _ authority: String, _ text: String, defaultPort: UInt16
    ) throws(ClientError) -> Host {
        guard !authority.contains("@") else {
            throw .invalidURL(text, "user names are not supported; send a header instead")
        }
        var name = authority[...]
        var port = defaultPort
        let bracket = authority.lastIndex(of: "]")
        if let colon = authority.lastIndex(of: ":"), bracket.map({ $0 < colon }) ?? true {
            guard let number = UInt16(authority[authority.index(after: colon)...]), number > 0 else {
                throw .invalidURL(text, "'\(authority[authority.index(after: colon)...])' is no port; use 1...65535")
            }
            name = authority[..<colon]
            port = number
        }
        if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
        guard !name.isEmpty, name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), bracket != nil || !name.contains(":")
        else {
            throw .invalidURL(
                text, "'\(authority)' is no host; write a name, an IPv4 address or an IPv6 address in brackets")
        }
        return .network(name: String(name), port: port)
    }

    private static func checkTarget(_ rest: Substring, _ text: String) throws(ClientError) -> String {
        let target = rest.hasPrefix("/") ? String(rest) : "/" + rest
        guard !target.contains("#") else {
            throw .invalidURL(text, "a WebSocket URL has no fragment; write # as %23 (RFC 6455 §3)")
        }
        guard target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw .invalidURL(text, "blanks and letters beyond ASCII must be percent-encoded")
        }
        return target
    }
}
