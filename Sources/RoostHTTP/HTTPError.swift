/// Why a message head from the peer was refused.
package enum HTTPError: Error, Equatable, Sendable, CustomStringConvertible {
    // Framing of lines.
    case bareLineFeed
    case bareCarriageReturn
    case controlCharacter(UInt8)
    case headTooLarge(limit: Int)

    // Start line.
    case malformedRequestLine
    case malformedStatusLine
    case malformedVersion
    case unsupportedVersion(major: UInt8, minor: UInt8)
    case targetTooLong(limit: Int)
    case absoluteTarget
    case authorityTarget
    case asteriskTarget
    case targetWithoutSlash
    case invalidTargetCharacter(UInt8)
    case invalidPercentEncoding
    case controlCharacterInPath(UInt8)
    case pathNotUTF8
    case dotSegmentInPath

    // Header lines.
    case tooManyHeaders(limit: Int)
    case foldedHeader
    case headerWithoutColon
    case emptyHeaderName
    case whitespaceBeforeColon
    case invalidHeaderNameCharacter(UInt8)

    // Headers that decide who the request is for and where it ends.
    case missingHost
    case repeatedHost
    case invalidHost
    case repeatedContentLength
    case invalidContentLength
    case contentLengthWithTransferEncoding
    case transferEncodingInHTTP10
    case unsupportedTransferEncoding

    // Bodies.
    case contentTooLarge(limit: Int)
    case malformedChunkSize
    case invalidChunkExtension(UInt8)
    case chunkExtensionsTooLong(limit: Int)
    case chunkWithoutLineEnd
    case trailersTooLarge(limit: Int)
    case forbiddenTrailer

    /// The status a refused request is answered with.
    package var status: HTTPStatus {
        switch self {
        case .headTooLarge, .tooManyHeaders, .trailersTooLarge: .requestHeaderFieldsTooLarge
        case .contentTooLarge: .contentTooLarge
        case .targetTooLong: .uriTooLong
        case .unsupportedVersion: .httpVersionNotSupported
        case .unsupportedTransferEncoding: .notImplemented
        case .bareLineFeed, .bareCarriageReturn, .controlCharacter, .malformedRequestLine, .malformedStatusLine,
            .malformedVersion, .absoluteTarget, .authorityTarget, .asteriskTarget, .targetWithoutSlash,
            .invalidTargetCharacter, .invalidPercentEncoding, .controlCharacterInPath, .pathNotUTF8,
            .dotSegmentInPath, .foldedHeader, .headerWithoutColon, .emptyHeaderName, .whitespaceBeforeColon,
            .invalidHeaderNameCharacter, .missingHost, .repeatedHost, .invalidHost, .repeatedContentLength,
            .invalidContentLength, .contentLengthWithTransferEncoding, .transferEncodingInHTTP10,
            .malformedChunkSize, .invalidChunkExtension, .chunkExtensionsTooLong, .chunkWithoutLineEnd,
            .forbiddenTrailer:
            .badRequest
        }
    }

    /// The whole response. It announces that the connection ends: where the next request starts is unknown.
    package func response() -> [UInt8] {
        let fields = [
            HeaderField(known: "Connection", "close"),
            HeaderField(known: "Content-Type", "text/plain; charset=utf-8"),
        ]
        return ResponseEncoder.encode(status: status, fields: fields, body: description + "\n")
    }

    package var description: String {
        switch self {
        case .bareLineFeed: "line ends with LF alone; end it with CR LF (RFC 9112 §2.2)"
        case .bareCarriageReturn: "CR is not followed by LF (RFC 9112 §2.2)"
        case .controlCharacter(let byte): "control character \(hex(byte)) in a line of the head (RFC 9110 §5.5)"
        case .headTooLarge(let limit): "head is larger than \(limit) bytes; send fewer or shorter headers"
        case .malformedRequestLine: "request line is not 'method SP target SP HTTP-version' (RFC 9112 §3)"
        case .malformedStatusLine: "status line is not 'HTTP-version SP 3DIGIT SP [reason]' (RFC 9112 §4)"
        case .malformedVersion: "version is not 'HTTP/' DIGIT '.' DIGIT (RFC 9112 §2.3)"
        case .unsupportedVersion(let major, let minor): "HTTP/\(major).\(minor) is not supported; use HTTP/1.1"
        case .targetTooLong(let limit): "request target is longer than \(limit) bytes; shorten path or query"
        case .absoluteTarget:
            "request target is an absolute URI; this is an origin server and no proxy, send the path (RFC 9112 §3.2.1)"
        case .authorityTarget: "CONNECT is for proxies and this is an origin server (RFC 9112 §3.2.3)"
        case .asteriskTarget: "request target '*' is not served; send a path (RFC 9112 §3.2.4)"
        case .targetWithoutSlash: "request target does not start with '/' (RFC 9112 §3.2.1)"
        case .invalidTargetCharacter(let byte):
            "byte \(hex(byte)) in the request target; percent-encode it (RFC 3986 §2)"
        case .invalidPercentEncoding: "'%' in the path is not followed by two hexadecimal digits (RFC 3986 §2.1)"
        case .controlCharacterInPath(let byte): "control character \(hex(byte)) in the decoded path (RFC 3986 §7.3)"
        case .pathNotUTF8: "decoded path is not UTF-8 (RFC 3986 §2.5)"
        case .dotSegmentInPath: "path has a segment '.' or '..'; send it without (RFC 3986 §5.2.4)"
        case .tooManyHeaders(let limit): "more than \(limit) headers; send fewer"
        case .foldedHeader: "header continues on the next line; send it on one line (RFC 9112 §5.2)"
        case .headerWithoutColon: "header line has no colon (RFC 9112 §5)"
        case .emptyHeaderName: "header line starts with a colon (RFC 9112 §5)"
        case .whitespaceBeforeColon: "whitespace between header name and colon (RFC 9112 §5.1)"
        case .invalidHeaderNameCharacter(let byte): "byte \(hex(byte)) in a header name (RFC 9110 §5.1)"
        case .missingHost: "HTTP/1.1 request has no Host header (RFC 9112 §3.2)"
        case .repeatedHost: "request has more than one Host header (RFC 9112 §3.2)"
        case .invalidHost: "Host header is not 'host[:port]' (RFC 9110 §7.2)"
        case .repeatedContentLength: "more than one Content-Length header (RFC 9110 §8.6)"
        case .invalidContentLength: "Content-Length is not a decimal number of bytes (RFC 9110 §8.6)"
        case .contentLengthWithTransferEncoding: "Content-Length together with Transfer-Encoding (RFC 9112 §6.1)"
        case .transferEncodingInHTTP10: "Transfer-Encoding in an HTTP/1.0 request (RFC 9112 §6.1)"
        case .unsupportedTransferEncoding: "Transfer-Encoding is not 'chunked' (RFC 9112 §6.1)"
        case .contentTooLarge(let limit): "body is larger than \(limit) bytes; send less (RFC 9110 §15.5.14)"
        case .malformedChunkSize: "chunk size is not 1 to 16 hexadecimal digits (RFC 9112 §7.1)"
        case .invalidChunkExtension(let byte): "byte \(hex(byte)) in a chunk extension (RFC 9112 §7.1.1)"
        case .chunkExtensionsTooLong(let limit):
            "chunk extensions are longer than \(limit) bytes; send none (RFC 9112 §7.1.1)"
        case .chunkWithoutLineEnd: "chunk is not followed by CR LF (RFC 9112 §7.1)"
        case .trailersTooLarge(let limit): "trailers are larger than \(limit) bytes; send fewer (RFC 9112 §7.1.2)"
        case .forbiddenTrailer: "header that decides about the message stands in its trailers (RFC 9110 §6.5.1)"
        }
    }
}

/// `byte` as `0x0a`.
private func hex(_ byte: UInt8) -> String {
    "0x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
}
