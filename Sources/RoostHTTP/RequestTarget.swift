/// Where a request goes: positions of the parts of its target within the head (RFC 9112 §3.2).
struct RequestTarget: Sendable, Equatable {
    /// Host and port of an absolute-form target; empty for a path.
    let authority: Range<Int>
    /// Still percent-encoded; empty stands for `/`.
    let path: Range<Int>
    /// Still percent-encoded, without `?`; nil if there is no `?`.
    let query: Range<Int>?

    /// Reads a path (origin-form) or an absolute URI (absolute-form). `CONNECT`'s authority and `OPTIONS`'s
    /// asterisk are refused: nothing here serves them.
    static func parse(_ bytes: Span<UInt8>, in range: Range<Int>) throws(HTTPError) -> RequestTarget {
        for index in range {
            let byte = bytes[index]
            // A target has no fragment (RFC 9112 §3.2.1), and no byte that must be percent-encoded beyond ASCII.
            guard byte > 0x20, byte < 0x7F, byte != UInt8(ascii: "#") else { throw .invalidTargetCharacter(byte) }
        }
        if bytes[range.lowerBound] == UInt8(ascii: "/") {
            return split(bytes, authority: range.lowerBound..<range.lowerBound, rest: range)
        }
        let authorityStart = try schemeEnd(bytes, in: range)
        var authorityEnd = authorityStart
        while authorityEnd < range.upperBound, bytes[authorityEnd] != UInt8(ascii: "/"),
            bytes[authorityEnd] != UInt8(ascii: "?")
        {
            guard bytes[authorityEnd].isAuthorityCharacter else { throw .invalidTargetAuthority }
            authorityEnd += 1
        }
        guard authorityEnd > authorityStart else { throw .invalidTargetAuthority }
        return split(bytes, authority: authorityStart..<authorityEnd, rest: authorityEnd..<range.upperBound)
    }

    private static func split(_ bytes: Span<UInt8>, authority: Range<Int>, rest: Range<Int>) -> RequestTarget {
        for index in rest where bytes[index] == UInt8(ascii: "?") {
            return RequestTarget(
                authority: authority, path: rest.lowerBound..<index, query: (index + 1)..<rest.upperBound)
        }
        return RequestTarget(authority: authority, path: rest, query: nil)
    }

    /// The position after `http://`, `https://`, `ws://` or `wss://`.
    private static func schemeEnd(_ bytes: Span<UInt8>, in range: Range<Int>) throws(HTTPError) -> Int {
        let schemes: [StaticString] = ["http://", "https://", "ws://", "wss://"]
        for scheme in schemes where range.count > scheme.utf8CodeUnitCount {
            var index = range.lowerBound
            var isMatch = true
            for byte in scheme.description.utf8 {
                isMatch = isMatch && bytes[index].asciiLowercased == byte
                index += 1
            }
            if isMatch { return index }
        }
        throw .unsupportedTargetForm
    }
}
