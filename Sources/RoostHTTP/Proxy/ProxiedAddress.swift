/// Where a proxied connection comes from, as the proxy's header tells.
package enum ProxiedAddress: Equatable, Sendable {
    /// The proxy speaks for itself, as in a health check, or does not know: the connection's own address holds.
    case local
    /// `source` in network order: `in_addr.s_addr` as it is. `port` is a plain number.
    case ipv4(source: UInt32, port: UInt16)
    /// The halves of `in6_addr` as they lie in memory. `port` is a plain number.
    case ipv6(high: UInt64, low: UInt64, port: UInt16)
    /// The client of a unix socket. `path` is empty for one without a name, as most are.
    case unix(path: String)

    /// The address without port; nil for `local` and unix sockets.
    package var ipAddress: IPAddress? {
        switch self {
        case .local, .unix: nil
        case .ipv4(let source, _): IPAddress(ipv4NetworkOrder: source)
        case .ipv6(let high, let low, _): IPAddress(ipv6NetworkOrder: high, low)
        }
    }
}
