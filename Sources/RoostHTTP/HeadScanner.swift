/// Finds the lines of a message head in a buffer that grows, and the header in a line.
///
/// Each byte is looked at once, however the head arrives (a CR at the end of the buffer is looked at again).
struct HeadScanner: Sendable {
    private let headByteCountMax: Int
    /// Where the line that is not complete yet starts.
    private(set) var lineStart = 0
    /// Up to where the line was searched for its end.
    private(set) var offset = 0

    init(headByteCountMax: Int) { self.headByteCountMax = headByteCountMax }

    /// The position of the next complete line without its CR LF, or nil if it has not arrived.
    ///
    /// Throws as soon as a byte that no head may hold has arrived, or it is certain that the head or this line
    /// exceeds its limit. Which of several faults is told does not depend on how the bytes arrive.
    mutating func nextLine(
        in bytes: Span<UInt8>, lineByteCountMax: Int = HTTPLimits.headByteCountCeiling
    ) throws(HTTPError) -> Range<Int>? {
        let limit = min(headByteCountMax, lineStart + lineByteCountMax + 2)
        let end = min(bytes.count, limit)
        var index = offset
        while index < end {
            let byte = bytes[index]
            if byte.isFieldValueCharacter {
                index += 1
                continue
            }
            guard byte == .carriageReturn else {
                throw byte == .lineFeed ? .bareLineFeed : .controlCharacter(byte)
            }
            guard index + 1 < end else { break }
            guard bytes[index + 1] == .lineFeed else { throw .bareCarriageReturn }
            let line = lineStart..<index
            lineStart = index + 2
            offset = lineStart
            return line
        }
        offset = index
        guard bytes.count < limit else { throw .headTooLarge(limit: headByteCountMax) }
        return nil
    }

    /// Name and value of the header in `line` (RFC 9112 §5).
    static func header(in bytes: Span<UInt8>, line: Range<Int>) throws(HTTPError) -> HeaderFields.Position {
        guard !bytes[line.lowerBound].isOptionalWhitespace else { throw .foldedHeader }
        var colon = line.lowerBound
        while colon < line.upperBound, bytes[colon] != UInt8(ascii: ":") {
            let byte = bytes[colon]
            guard byte.isTokenCharacter else { throw refusal(of: byte, at: colon, in: bytes, line: line) }
            colon += 1
        }
        guard colon < line.upperBound else { throw .headerWithoutColon }
        guard colon > line.lowerBound else { throw .emptyHeaderName }
        var start = colon + 1
        var end = line.upperBound
        while start < end, bytes[start].isOptionalWhitespace { start += 1 }
        while start < end, bytes[end - 1].isOptionalWhitespace { end -= 1 }
        return HeaderFields.Position(
            nameStart: UInt16(line.lowerBound), nameEnd: UInt16(colon), valueStart: UInt16(start), valueEnd: UInt16(end)
        )
    }

    /// Names what is wrong with `byte` in a header name.
    private static func refusal(
        of byte: UInt8, at index: Int, in bytes: Span<UInt8>, line: Range<Int>
    ) -> HTTPError {
        guard byte.isOptionalWhitespace else { return .invalidHeaderNameCharacter(byte) }
        var next = index
        while next < line.upperBound, bytes[next].isOptionalWhitespace { next += 1 }
        guard next < line.upperBound else { return .headerWithoutColon }
        return bytes[next] == UInt8(ascii: ":") ? .whitespaceBeforeColon : .invalidHeaderNameCharacter(byte)
    }
}
