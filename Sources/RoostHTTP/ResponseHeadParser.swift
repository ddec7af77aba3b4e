/// Reads the head of a response from bytes that arrive in pieces (RFC 9112 §4). For the client role.
package struct ResponseHeadParser: Sendable {
    private struct StatusLine: Sendable {
        let version: HTTPVersion
        let statusCode: UInt16
    }

    private let limits: HTTPLimits
    private var scanner: HeadScanner
    private var statusLine: StatusLine?
    private var positions: [HeaderFields.Position] = []

    package enum Outcome: Sendable {
        /// Call again with the same bytes and more behind them.
        case needsMoreBytes
        case head(ResponseHead, consumedByteCount: Int)
        /// The parser is of no more use: close.
        case failure(HTTPError)
    }

    package init(limits: HTTPLimits = HTTPLimits()) {
        self.limits = limits
        scanner = HeadScanner(headByteCountMax: limits.headByteCountMax)
        positions.reserveCapacity(min(16, limits.headerCountMax))
    }

    /// Looks at all bytes received so far, from the first of the response on.
    ///
    /// What was looked at in an earlier call is not looked at again. After `head` or `failure` the parser is done.
    package mutating func parse(_ bytes: Span<UInt8>) -> Outcome {
        do throws(HTTPError) {
            while let line = try scanner.nextLine(in: bytes) {
                guard let statusLine else {
                    self.statusLine = try Self.parseStatusLine(bytes, line)
                    continue
                }
                guard !line.isEmpty else { return finish(statusLine, bytes) }
                let position = try HeadScanner.header(in: bytes, line: line)
                guard positions.count < limits.headerCountMax else {
                    throw .tooManyHeaders(limit: limits.headerCountMax)
                }
                positions.append(position)
            }
            return .needsMoreBytes
        } catch {
            return .failure(error)
        }
    }

    /// As `parse(_: Span<UInt8>)`.
    package mutating func parse(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        // Safe: the caller's buffer outlives the call, and the span does not escape it.
        unsafe bytes.withMemoryRebound(to: UInt8.self) { unsafe parse($0.span) }
    }

    /// `HTTP/1.1 101 Switching Protocols`; the phrase may be missing, and some senders omit the space before it.
    private static func parseStatusLine(_ bytes: Span<UInt8>, _ line: Range<Int>) throws(HTTPError) -> StatusLine {
        guard line.count >= 12, bytes[line.lowerBound + 8] == .space else { throw .malformedStatusLine }
        let version = try HTTPVersion.parse(bytes, in: line.lowerBound..<line.lowerBound + 8)
        var code: UInt16 = 0
        for index in (line.lowerBound + 9)..<(line.lowerBound + 12) {
            let digit = bytes[index] &- 0x30
            guard digit < 10 else { throw .malformedStatusLine }
            code = code * 10 + UInt16(digit)
        }
        guard code >= 100, line.count == 12 || bytes[line.lowerBound + 12] == .space else {
            throw .malformedStatusLine
        }
        return StatusLine(version: version, statusCode: code)
    }

    private func finish(_ line: StatusLine, _ bytes: Span<UInt8>) -> Outcome {
        let byteCount = scanner.lineStart
        // Safe: the buffer is copied within the closure.
        let copy = unsafe bytes.extracting(0..<byteCount).withUnsafeBufferPointer { unsafe [UInt8]($0) }
        let headers = HeaderFields(bytes: copy, positions: positions)
        return .head(
            ResponseHead(version: line.version, statusCode: line.statusCode, headers: headers),
            consumedByteCount: byteCount)
    }
}
