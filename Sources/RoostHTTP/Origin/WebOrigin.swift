/// An origin as browsers send it: scheme, host and port (RFC 6454 §6.2). Scheme and host are in lower case.
struct WebOrigin: Equatable {
    let scheme: String
    let host: String
    /// The scheme's default if none is given; nil if the scheme has none either.
    let port: UInt16?

    /// Nil for what is no `scheme://host[:port]`: paths, lists, `null`, user information, an empty port.
    init?(_ text: String) {
        let bytes = Array(text.utf8)
        let scheme = bytes.prefix(while: \.isSchemeCharacter)
        guard let first = scheme.first?.asciiLowercased, first &- 0x61 < 26 else { return nil }
        guard bytes[scheme.endIndex...].starts(with: "://".utf8) else { return nil }
        let rest = bytes[(scheme.endIndex + 3)...]
        guard let authority = Authority(rest), rest.last != UInt8(ascii: ":") else { return nil }
        self.init(
            scheme: Self.lowercased(scheme), host: Self.lowercased(rest[authority.host]), port: authority.port)
    }

    init(scheme: String, host: String, port: UInt16?) {
        self.scheme = scheme
        self.host = host
        self.port = port ?? Self.defaultPort(of: scheme)
    }

    static func defaultPort(of scheme: String) -> UInt16? {
        switch scheme {
        case "http", "ws": 80
        case "https", "wss": 443
        default: nil
        }
    }

    static func lowercased(_ bytes: ArraySlice<UInt8>) -> String {
        String(decoding: bytes.map(\.asciiLowercased), as: UTF8.self)
    }
}
