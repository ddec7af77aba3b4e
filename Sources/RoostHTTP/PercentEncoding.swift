/// Percent-encoded text (RFC 3986 §2.1).
enum PercentEncoding {
    /// Decodes a path strictly: throws on a broken escape, a control character, a segment `.` or `..` in any
    /// spelling, and on what is not UTF-8.
    ///
    /// Dot segments are refused as clients take them out (RFC 3986 §5.2.4): whoever sends one hopes that route and
    /// handler read it differently.
    static func decodePath(_ bytes: ArraySlice<UInt8>) throws(HTTPError) -> String {
        guard bytes.contains(UInt8(ascii: "%")) else {
            guard !hasDotSegment(bytes) else { throw .dotSegmentInPath }
            return String(decoding: bytes, as: UTF8.self)
        }
        var decoded: [UInt8] = []
        decoded.reserveCapacity(bytes.count)
        var index = bytes.startIndex
        while index < bytes.endIndex {
            var byte = bytes[index]
            if byte == UInt8(ascii: "%") {
                guard let escaped = escapedByte(at: index, in: bytes) else { throw .invalidPercentEncoding }
                guard escaped >= 0x20, escaped != 0x7F else { throw .controlCharacterInPath(escaped) }
                byte = escaped
                index += 2
            }
            decoded.append(byte)
            index += 1
        }
        guard let path = String(validating: decoded, as: UTF8.self) else { throw .pathNotUTF8 }
        guard !hasDotSegment(decoded[...]) else { throw .dotSegmentInPath }
        return path
    }

    private static func hasDotSegment(_ path: ArraySlice<UInt8>) -> Bool {
        var segmentByteCount = 0
        var isOnlyDots = true
        for byte in path {
            if byte == UInt8(ascii: "/") {
                if isOnlyDots, 1...2 ~= segmentByteCount { return true }
                segmentByteCount = 0
                isOnlyDots = true
            } else {
                segmentByteCount += 1
                isOnlyDots = isOnlyDots && byte == UInt8(ascii: ".")
            }
        }
        return isOnlyDots && 1...2 ~= segmentByteCount
    }

    /// Decodes a name or value of a query as forms encode it: `+` is a space, a broken escape stays as it is, and
    /// what is not UTF-8 becomes U+FFFD (WHATWG URL §5.1).
    static func decodeQueryComponent(_ bytes: ArraySlice<UInt8>) -> String {
        guard bytes.contains(where: { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "+") }) else {
            return String(decoding: bytes, as: UTF8.self)
        }
        var decoded: [UInt8] = []
        decoded.reserveCapacity(bytes.count)
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            if byte == UInt8(ascii: "%"), let escaped = escapedByte(at: index, in: bytes) {
                decoded.append(escaped)
                index += 3
            } else {
                decoded.append(byte == UInt8(ascii: "+") ? .space : byte)
                index += 1
            }
        }
        return String(decoding: decoded, as: UTF8.self)
    }

    private static func escapedByte(at index: Int, in bytes: ArraySlice<UInt8>) -> UInt8? {
        guard index + 2 < bytes.endIndex, let high = bytes[index + 1].hexDigitValue,
            let low = bytes[index + 2].hexDigitValue
        else { return nil }
        return high << 4 | low
    }
}
