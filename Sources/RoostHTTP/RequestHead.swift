/// The request line and headers of an HTTP/1.1 request.
///
/// One copy of the bytes received, with positions in it; text is made when it is asked for.
public struct RequestHead: Sendable {
    let methodRange: Range<Int>
    let target: RequestTarget
    public let version: HTTPVersion
    public let headers: HeaderFields

    /// Where the request ends. Checked while parsing: lengths that contradict each other are refused.
    package let bodyFraming: BodyFraming

    /// How the end of the body is found (RFC 9112 §6).
    package enum BodyFraming: Sendable, Equatable {
        case none
        case contentLength(Int)
        case chunked
    }

    /// The method as sent; methods are case-sensitive (RFC 9110 §9.1).
    public var method: String { headers.string(in: methodRange) }

    /// The path, percent-decoded; starts with `/`. Valid UTF-8 without control characters and dot segments.
    public var path: String {
        guard let path = try? PercentEncoding.decodePath(headers.bytes[target.path]) else {
            preconditionFailure("RequestHead.path: the parser accepted a path that does not decode")
        }
        return path
    }

    /// The path as sent, still percent-encoded; starts with `/`. Visible ASCII only.
    public var encodedPath: String { headers.string(in: target.path) }

    /// The query as sent, without `?` and still percent-encoded; nil if there is none.
    public var query: String? { target.query.map(headers.string(in:)) }

    /// The query's pairs, decoded; empty if there is no query.
    public var queryItems: QueryItems { QueryItems(headers.bytes[target.query ?? 0..<0]) }

    /// Host and port that the request is for: the Host header, a valid `host[:port]` (RFC 9110 §7.2).
    ///
    /// Nil in an HTTP/1.0 request without Host.
    public var host: String? { headers.first("host") }
}
