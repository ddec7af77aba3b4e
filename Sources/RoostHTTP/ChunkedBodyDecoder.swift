/// Takes a chunked body apart as it arrives (RFC 9112 §7.1).
///
/// Owns no buffer: it tells the caller where in its bytes data lies. Strict where leniency has led to request
/// smuggling: sizes are plain hexadecimal, every line ends with CR LF, a chunk ends where its size says. Extensions
/// are skipped, trailers are checked and discarded; both are bounded, so that a small body cannot be sent for ever.
package struct ChunkedBodyDecoder: Sendable {
    /// What the bytes given to `decode` begin with. Positions count from the first of those bytes.
    package enum Event: Equatable, Sendable {
        /// Call again with what follows the consumed bytes and more behind it.
        ///
        /// All bytes were consumed, but for trailers: these are kept by the caller, and never exceed the head's limit.
        case needsMoreBytes(consumedByteCount: Int)
        /// The next piece of the body. It is never empty.
        case data(offset: Int, byteCount: Int, consumedByteCount: Int)
        /// The body and its trailers are complete: what follows is the next request.
        case end(consumedByteCount: Int)
        /// The decoder is of no more use: answer with the error's status and close.
        case failure(HTTPError)

        /// Bytes the caller need not pass again.
        package var consumedByteCount: Int {
            switch self {
            case .needsMoreBytes(let byteCount), .data(_, _, let byteCount), .end(let byteCount): byteCount
            case .failure: 0
            }
        }
    }

    private enum State: Sendable {
        case size(UInt64, digitCount: Int)
        /// Whitespace behind a size: only an extension may follow (RFC 9112 §7.1.1).
        case whitespace(size: UInt64)
        case extensions(size: UInt64)
        case sizeLineFeed(size: UInt64)
        case data(remainingByteCount: Int)
        case dataCarriageReturn
        case dataLineFeed
        case trailers(HeadScanner, count: Int)
        case ended
        case failed(HTTPError)
    }

    /// Bytes of all chunk extensions of a body together.
    ///
    /// Nobody needs them. Without this limit a peer could send them for ever, beside a byte of body each.
    package static let defaultExtensionByteCountMax = 1_024

    private static let digitCountMax = 16

    private let bodyByteCountMax: Int
    private let extensionByteCountMax: Int
    private let limits: HTTPLimits
    private var state = State.size(0, digitCount: 0)
    private var bodyByteCount = 0
    private var extensionByteCount = 0

    /// `bodyByteCountMax` bounds the data of all chunks together; beyond it the request gets 413. Trailers are bounded
    /// as a head is.
    package init(
        bodyByteCountMax: Int, extensionByteCountMax: Int = Self.defaultExtensionByteCountMax,
        limits: HTTPLimits = HTTPLimits()
    ) {
        precondition(
            bodyByteCountMax >= 0, "ChunkedBodyDecoder.bodyByteCountMax is \(bodyByteCountMax); use 0 or more")
        precondition(
            extensionByteCountMax >= 0,
            "ChunkedBodyDecoder.extensionByteCountMax is \(extensionByteCountMax); use 0 or more")
        self.bodyByteCountMax = bodyByteCountMax
        self.extensionByteCountMax = extensionByteCountMax
        self.limits = limits
    }

    /// Decodes what `bytes` begins with: the bytes received after those consumed before.
    ///
    /// Call it until it wants more bytes. Each byte is looked at once; data is not looked at.
    package mutating func decode(_ bytes: Span<UInt8>) -> Event {
        do throws(HTTPError) {
            return try next(in: bytes)
        } catch {
            state = .failed(error)
            return .failure(error)
        }
    }

    /// As `decode(_: Span<UInt8>)`.
    package mutating func decode(_ bytes: UnsafeRawBufferPointer) -> Event {
        // Safe: the caller's buffer outlives the call, and the span does not escape it.
        unsafe bytes.withMemoryRebound(to: UInt8.self) { unsafe decode($0.span) }
    }

    private mutating func next(in bytes: Span<UInt8>) throws(HTTPError) -> Event {
        var index = 0
        while true {
            switch state {
            case .data(let remaining):
                guard index < bytes.count else { return .needsMoreBytes(consumedByteCount: index) }
                let byteCount = min(remaining, bytes.count - index)
                state = byteCount == remaining ? .dataCarriageReturn : .data(remainingByteCount: remaining - byteCount)
                return .data(offset: index, byteCount: byteCount, consumedByteCount: index + byteCount)
            case .trailers(var scanner, let count):
                return try trailers(&scanner, count, bytes.extracting(index..<bytes.count), offset: index)
            case .ended: return .end(consumedByteCount: index)
            case .failed(let error): throw error
            case .size, .whitespace, .extensions, .sizeLineFeed, .dataCarriageReturn, .dataLineFeed:
                guard index < bytes.count else { return .needsMoreBytes(consumedByteCount: index) }
                state = try after(bytes[index])
                index += 1
            }
        }
    }

    /// The state behind `byte`, which stands outside of data and trailers.
    private mutating func after(_ byte: UInt8) throws(HTTPError) -> State {
        switch state {
        case .size(let size, let digitCount):
            if let digit = byte.hexDigitValue {
                guard digitCount < Self.digitCountMax else { throw .malformedChunkSize }
                return .size(size << 4 | UInt64(digit), digitCount: digitCount + 1)
            }
            guard digitCount > 0 else { throw .malformedChunkSize }
            return try afterSize(size, byte)
        case .whitespace(let size):
            guard byte.isOptionalWhitespace || byte == UInt8(ascii: ";") else { throw .malformedChunkSize }
            return try afterSize(size, byte)
        case .extensions(let size):
            if byte == .carriageReturn { return .sizeLineFeed(size: size) }
            try countExtension(byte)
            return .extensions(size: size)
        case .sizeLineFeed(let size):
            guard byte == .lineFeed else { throw .bareCarriageReturn }
            return try startChunk(size)
        case .dataCarriageReturn:
            guard byte == .carriageReturn else { throw .chunkWithoutLineEnd }
            return .dataLineFeed
        case .dataLineFeed:
            guard byte == .lineFeed else { throw .chunkWithoutLineEnd }
            return .size(0, digitCount: 0)
        case .data, .trailers, .ended, .failed:
            preconditionFailure("ChunkedBodyDecoder: a byte of a line where none is expected")
        }
    }

    private mutating func afterSize(_ size: UInt64, _ byte: UInt8) throws(HTTPError) -> State {
        switch byte {
        case .carriageReturn: return .sizeLineFeed(size: size)
        case .lineFeed: throw .bareLineFeed
        case UInt8(ascii: ";"):
            try countExtension(byte)
            return .extensions(size: size)
        case .space, .tab:
            try countExtension(byte)
            return .whitespace(size: size)
        default: throw .malformedChunkSize
        }
    }

    private mutating func countExtension(_ byte: UInt8) throws(HTTPError) {
        guard byte != .lineFeed else { throw .bareLineFeed }
        guard byte.isFieldValueCharacter else { throw .invalidChunkExtension(byte) }
        guard extensionByteCount < extensionByteCountMax else {
            throw .chunkExtensionsTooLong(limit: extensionByteCountMax)
        }
        extensionByteCount += 1
    }

    private mutating func startChunk(_ size: UInt64) throws(HTTPError) -> State {
        guard size > 0 else {
            return .trailers(HeadScanner(headByteCountMax: limits.headByteCountMax), count: 0)
        }
        guard size <= UInt64(bodyByteCountMax - bodyByteCount) else { throw .contentTooLarge(limit: bodyByteCountMax) }
        bodyByteCount += Int(size)
        return .data(remainingByteCount: Int(size))
    }

    /// Reads the trailers, of which `bytes` holds all that arrived; `offset` bytes before them are consumed.
    private mutating func trailers(
        _ scanner: inout HeadScanner, _ earlierCount: Int, _ bytes: Span<UInt8>, offset: Int
    ) throws(HTTPError) -> Event {
        var count = earlierCount
        while let line = try nextTrailer(&scanner, bytes) {
            guard !line.isEmpty else {
                state = .ended
                return .end(consumedByteCount: offset + scanner.lineStart)
            }
            let position = try HeadScanner.header(in: bytes, line: line)
            guard count < limits.headerCountMax else { throw .tooManyHeaders(limit: limits.headerCountMax) }
            guard !ForbiddenTrailers.contain(bytes, position.name) else { throw .forbiddenTrailer }
            count += 1
        }
        state = .trailers(scanner, count: count)
        return .needsMoreBytes(consumedByteCount: offset)
    }

    private func nextTrailer(
        _ scanner: inout HeadScanner, _ bytes: Span<UInt8>
    ) throws(HTTPError) -> Range<Int>? {
        do throws(HTTPError) {
            return try scanner.nextLine(in: bytes)
        } catch .headTooLarge(let limit) {
            throw .trailersTooLarge(limit: limit)
        }
    }
}

/// Headers that must come before the body, as they decide about it (RFC 9110 §6.5.1): framing, routing, who asks and
/// how the body is to be read. A sender that puts one in the trailers hopes that some party believes it.
private enum ForbiddenTrailers {
    private static let names: [String] = [
        "authorization", "cache-control", "connection", "content-encoding", "content-length", "content-range",
        "content-type", "cookie", "expect", "forwarded", "host", "keep-alive", "max-forwards", "origin",
        "proxy-authorization", "proxy-connection", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade",
        "x-forwarded-for",
    ]

    static func contain(_ bytes: Span<UInt8>, _ name: Range<Int>) -> Bool {
        names.contains { forbidden in
            forbidden.utf8.count == name.count
                && zip(name, forbidden.utf8).allSatisfy { bytes[$0].asciiLowercased == $1 }
        }
    }
}
