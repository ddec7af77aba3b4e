/// Reads the head of a request from bytes that arrive in pieces (RFC 9112).
///
/// Strict where leniency has led to request smuggling: lines end with CR LF, headers are not folded, names are
/// followed by their colon at once, and lengths are given once.
package struct RequestHeadParser: Sendable {
    /// No registered method is longer than 17 bytes; this bounds a request line whose target is within its limit.
    private static let methodByteCountMax = 32

    private struct RequestLine: Sendable {
        let method: Range<Int>
        let target: RequestTarget
        let version: HTTPVersion
    }

    private let limits: HTTPLimits
    private var scanner: HeadScanner
    private var requestLine: RequestLine?
    private var positions: [HeaderFields.Position] = []

    package enum Outcome: Sendable {
        /// Call again with the same bytes and more behind them.
        case needsMoreBytes
        case head(RequestHead, consumedByteCount: Int)
        /// The parser is of no more use: answer with the error's status and close.
        case failure(HTTPError)
    }

    package init(limits: HTTPLimits = HTTPLimits()) {
        self.limits = limits
        scanner = HeadScanner(headByteCountMax: limits.headByteCountMax)
        positions.reserveCapacity(min(16, limits.headerCountMax))
    }

    /// Looks at all bytes received so far, from the first of the request on.
    ///
    /// What was looked at in an earlier call is not looked at again. After `head` or `failure` the parser is done.
    package mutating func parse(_ bytes: Span<UInt8>) -> Outcome {
        do throws(HTTPError) {
            while let line = try nextLine(in: bytes) {
                guard let requestLine else {
                    // One empty line before the request is forgiven (RFC 9112 §2.2).
                    if line.isEmpty, line.lowerBound == 0 { continue }
                    self.requestLine = try parseRequestLine(bytes, line)
                    continue
                }
                guard !line.isEmpty else { return try finish(requestLine, bytes) }
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

    private mutating func nextLine(in bytes: Span<UInt8>) throws(HTTPError) -> Range<Int>? {
        guard requestLine == nil else { return try scanner.nextLine(in: bytes) }
        do throws(HTTPError) {
            return try scanner.nextLine(in: bytes, lineByteCountMax: requestLineByteCountMax)
        } catch .headTooLarge {
            throw .targetTooLong(limit: min(limits.targetByteCountMax, limits.headByteCountMax))
        }
    }

    private var requestLineByteCountMax: Int {
        Self.methodByteCountMax + 1 + limits.targetByteCountMax + 1 + 8
    }

    private func parseRequestLine(_ bytes: Span<UInt8>, _ line: Range<Int>) throws(HTTPError) -> RequestLine {
        var methodEnd = line.lowerBound
        while methodEnd < line.upperBound, bytes[methodEnd].isTokenCharacter { methodEnd += 1 }
        guard methodEnd > line.lowerBound, methodEnd < line.upperBound, bytes[methodEnd] == .space else {
            throw .malformedRequestLine
        }
        let targetStart = methodEnd + 1
        var targetEnd = targetStart
        while targetEnd < line.upperBound, bytes[targetEnd] != .space { targetEnd += 1 }
        guard targetEnd - targetStart <= limits.targetByteCountMax else {
            throw .targetTooLong(limit: limits.targetByteCountMax)
        }
        guard targetEnd > targetStart, targetEnd < line.upperBound else { throw .malformedRequestLine }
        let version = try HTTPVersion.parse(bytes, in: (targetEnd + 1)..<line.upperBound)
        let target = try RequestTarget.parse(
            bytes, in: targetStart..<targetEnd, isConnect: Self.isConnect(bytes, line.lowerBound..<methodEnd))
        return RequestLine(method: line.lowerBound..<methodEnd, target: target, version: version)
    }

    private static func isConnect(_ bytes: Span<UInt8>, _ method: Range<Int>) -> Bool {
        let name: StaticString = "CONNECT"
        guard method.count == name.utf8CodeUnitCount else { return false }
        return zip(method, name.description.utf8).allSatisfy { bytes[$0] == $1 }
    }

    private func finish(_ line: RequestLine, _ bytes: Span<UInt8>) throws(HTTPError) -> Outcome {
        let byteCount = scanner.lineStart
        // Safe: the buffer is copied within the closure.
        let copy = unsafe bytes.extracting(0..<byteCount).withUnsafeBufferPointer { unsafe [UInt8]($0) }
        let headers = HeaderFields(bytes: copy, positions: positions)
        _ = try PercentEncoding.decodePath(copy[line.target.path])
        try HeadRules.checkHost(headers, version: line.version)
        let head = RequestHead(
            methodRange: line.method, target: line.target, version: line.version, headers: headers,
            bodyFraming: try HeadRules.bodyFraming(headers, version: line.version))
        return .head(head, consumedByteCount: byteCount)
    }
}
