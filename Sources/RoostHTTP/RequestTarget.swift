/// Where a request goes: positions of the parts of its target within the head (RFC 9112 §3.2.1).
struct RequestTarget: Sendable, Equatable {
    /// Still percent-encoded; starts with `/`.
    let path: Range<Int>
    /// Still percent-encoded, without `?`; nil if there is no `?`.
    let query: Range<Int>?

    /// Reads a path with its query (origin-form). The other forms are for proxies and refused.
    ///
    /// RFC 9112 §3.2.2 would have a server accept an absolute URI too. Nobody sends it to an origin server in
    /// earnest, and its host beside the Host header is what lets two parties disagree on who a request is for.
    static func parse(
        _ bytes: Span<UInt8>, in range: Range<Int>, isConnect: Bool
    ) throws(HTTPError) -> RequestTarget {
        guard !isConnect else { throw .authorityTarget }
        for index in range {
            let byte = bytes[index]
            // A target has no fragment (RFC 9112 §3.2.1), and no byte that must be percent-encoded beyond ASCII.
            guard byte > 0x20, byte < 0x7F, byte != UInt8(ascii: "#") else { throw .invalidTargetCharacter(byte) }
        }
        guard bytes[range.lowerBound] == UInt8(ascii: "/") else { throw refusal(of: bytes, in: range) }
        for index in range where bytes[index] == UInt8(ascii: "?") {
            return RequestTarget(path: range.lowerBound..<index, query: (index + 1)..<range.upperBound)
        }
        return RequestTarget(path: range, query: nil)
    }

    /// Names the form of a target that is no path.
    private static func refusal(of bytes: Span<UInt8>, in range: Range<Int>) -> HTTPError {
        if range.count == 1, bytes[range.lowerBound] == UInt8(ascii: "*") { return .asteriskTarget }
        var index = range.lowerBound
        while index < range.upperBound, bytes[index].isSchemeCharacter { index += 1 }
        let isAbsolute =
            index + 2 < range.upperBound && bytes[index] == UInt8(ascii: ":")
            && bytes[index + 1] == UInt8(ascii: "/") && bytes[index + 2] == UInt8(ascii: "/")
        return isAbsolute ? .absoluteTarget : .targetWithoutSlash
    }
}
