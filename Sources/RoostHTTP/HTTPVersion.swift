/// The versions of HTTP that a message head may have here.
public enum HTTPVersion: Sendable, Hashable, CustomStringConvertible {
    case http10
    case http11

    public var description: String {
        switch self {
        case .http10: "HTTP/1.0"
        case .http11: "HTTP/1.1"
        }
    }

    /// Reads `HTTP/1.1`: the name is case-sensitive and both numbers have one digit (RFC 9112 §2.3).
    static func parse(_ bytes: Span<UInt8>, in range: Range<Int>) throws(HTTPError) -> HTTPVersion {
        guard range.count == 8 else { throw .malformedVersion }
        let start = range.lowerBound
        let isNamed =
            bytes[start] == UInt8(ascii: "H") && bytes[start + 1] == UInt8(ascii: "T")
            && bytes[start + 2] == UInt8(ascii: "T") && bytes[start + 3] == UInt8(ascii: "P")
            && bytes[start + 4] == UInt8(ascii: "/") && bytes[start + 6] == UInt8(ascii: ".")
        let major = bytes[start + 5] &- 0x30
        let minor = bytes[start + 7] &- 0x30
        guard isNamed, major < 10, minor < 10 else { throw .malformedVersion }
        switch (major, minor) {
        case (1, 0): return .http10
        case (1, 1): return .http11
        default: throw .unsupportedVersion(major: major, minor: minor)
        }
    }
}
