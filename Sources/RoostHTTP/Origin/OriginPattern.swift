/// Which web pages may connect, by the Origin header that browsers send (RFC 6454 §7, RFC 6455 §10.2).
package struct OriginPattern: Sendable, Equatable {
    private enum Kind: Sendable, Equatable {
        case exact(scheme: String, host: String, port: UInt16?)
        /// Hosts with one or more labels before `suffix`, which starts with its dot.
        case subdomains(scheme: String, suffix: String, port: UInt16?)
        case null
        case same
    }
    private let kind: Kind

    /// Reads `https://example.com`, `http://localhost:8080`, `https://*.example.com`, `null` or `same`.
    ///
    /// - `https://*.example.com` holds for `a.example.com` and `a.b.example.com`, not for `example.com`.
    /// - `null` is what pages without an origin send, such as sandboxed frames and files: any page can get it.
    /// - `same` holds for pages from the host and port that the request is for.
    package init(_ text: String) throws(OriginPatternError) {
        switch text {
        case "null": kind = .null
        case "same": kind = .same
        case "*": throw .anyOrigin
        default: kind = text.utf8.contains(UInt8(ascii: "*")) ? try Self.wildcard(text) : try Self.exact(text)
        }
    }

    private static func exact(_ text: String) throws(OriginPatternError) -> Kind {
        guard let origin = WebOrigin(text) else { throw refusal(of: text) }
        return .exact(scheme: origin.scheme, host: origin.host, port: origin.port)
    }

    private static func wildcard(_ text: String) throws(OriginPatternError) -> Kind {
        let parts = text.split(separator: "://*.", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[1].utf8.contains(UInt8(ascii: "*")) else { throw .misplacedWildcard(text) }
        guard let origin = WebOrigin("\(parts[0])://\(parts[1])") else { throw refusal(of: text) }
        // The last label of a name is no number; that of an IPv4 address is, and *.0.0.1 is no domain.
        let isAddress = origin.host.split(separator: ".").last?.utf8.allSatisfy { $0 &- 0x30 < 10 } ?? true
        guard !isAddress, !origin.host.hasPrefix("["), !origin.host.hasPrefix(".") else {
            throw .misplacedWildcard(text)
        }
        return .subdomains(scheme: origin.scheme, suffix: ".\(origin.host)", port: origin.port)
    }

    private static func refusal(of text: String) -> OriginPatternError {
        guard let schemeEnd = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { return .missingScheme(text) }
        let rest = text[schemeEnd...].dropFirst()
        guard rest.hasPrefix("//") else { return .missingScheme(text) }
        let isPath = rest.dropFirst(2).utf8.contains { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") }
        return isPath ? .path(text) : .invalidHost(text)
    }

    /// True if a page of `origin`, the value of the request's only Origin header, may connect.
    ///
    /// `host` is the request's Host. `isTLS` says that the client is known to have come by TLS: `same` then holds for
    /// `https` pages only. Otherwise either scheme will do, as a proxy may have taken TLS off; a Host without port
    /// stands for the default of the page's scheme.
    package func matches(origin: String, host: String?, isTLS: Bool) -> Bool {
        if origin == "null" { return kind == .null }
        guard let origin = WebOrigin(origin) else { return false }
        switch kind {
        case .null: return false
        case .exact(let scheme, let host, let port):
            return origin.scheme == scheme && origin.host == host && origin.port == port
        case .subdomains(let scheme, let suffix, let port):
            return origin.scheme == scheme && origin.port == port && Self.isSubdomain(origin.host, of: suffix)
        case .same: return Self.isSame(origin, host: host, isTLS: isTLS)
        }
    }

    private static func isSubdomain(_ host: String, of suffix: String) -> Bool {
        guard host.hasSuffix(suffix) else { return false }
        return host.dropLast(suffix.count).split(separator: ".", omittingEmptySubsequences: false)
            .allSatisfy { !$0.isEmpty }
    }

    private static func isSame(_ origin: WebOrigin, host: String?, isTLS: Bool) -> Bool {
        guard origin.scheme == "https" || (origin.scheme == "http" && !isTLS) else { return false }
        guard let host else { return false }
        let bytes = Array(host.utf8)
        guard let authority = Authority(bytes[...]) else { return false }
        let requested = WebOrigin(
            scheme: origin.scheme, host: WebOrigin.lowercased(bytes[authority.host]), port: authority.port)
        return origin == requested
    }
}

/// Why a text is no pattern of origins.
package enum OriginPatternError: Error, Equatable, Sendable, CustomStringConvertible {
    case anyOrigin
    case missingScheme(String)
    case path(String)
    case invalidHost(String)
    case misplacedWildcard(String)

    package var description: String {
        switch self {
        case .anyOrigin: "'*' is no origin; list the origins that may connect, such as https://*.example.com"
        case .missingScheme(let text):
            "'\(text)' has no scheme; write an origin such as https://example.com, or null or same"
        case .path(let text): "'\(text)' goes on behind the host; an origin ends with its host or port"
        case .invalidHost(let text): "'\(text)' has no valid host and port; write scheme://host or scheme://host:port"
        case .misplacedWildcard(let text):
            "'\(text)' has '*' where it means nothing; write it once, before a domain: https://*.example.com"
        }
    }
}
