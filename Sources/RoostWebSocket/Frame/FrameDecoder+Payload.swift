/// What follows a header: the rules about messages, and the payload.
extension FrameDecoder {
    /// A text or binary frame: a whole message, or the start of one (RFC 6455 §5.4).
    @inline(__always)
    mutating func decodeData(
        _ header: FrameHeader, _ bytes: UnsafeMutableRawBufferPointer
    ) -> Event {
        let kind = header.messageKind
        guard openKind == nil else { return fail(.messageInsideMessage(kind)) }
        guard header.payloadByteCount <= messageByteCountMax || isWithinCompressedLimit(header, header.isCompressed)
        else { return fail(tooBig(header)) }
        guard header.isFinal, bytes.count &- header.byteCount >= header.payloadByteCount else {
            openKind = kind
            isOpenCompressed = header.isCompressed
            messageByteCount = header.payloadByteCount
            fragmentCount = 1
            // Safe: it takes at most what follows the header in `bytes`.
            return unsafe startFrame(kind, header, bytes)
        }
        // Safe: the whole frame lies in `bytes`.
        let payload = unsafe unmask(header, bytes)
        if header.isPlainText, unsafe !UTF8Validator.isValid(UnsafeRawBufferPointer(payload)) {
            return fail(.textNotUTF8)
        }
        return .message(
            kind: kind, payloadOffset: header.byteCount, payloadByteCount: header.payloadByteCount,
            isCompressed: header.isCompressed)
    }

    /// A further frame of a message (RFC 6455 §5.4).
    mutating func decodeContinuation(_ header: FrameHeader, _ bytes: UnsafeMutableRawBufferPointer) -> Event {
        guard let openKind else { return fail(.continuationWithoutStart) }
        guard
            header.payloadByteCount <= messageByteCountMax &- messageByteCount
                || isWithinCompressedLimit(header, isOpenCompressed)
        else { return fail(tooBig(header)) }
        guard fragmentCount < fragmentCountMax else { return fail(.tooManyFragments(limit: fragmentCountMax)) }
        messageByteCount &+= header.payloadByteCount
        fragmentCount &+= 1
        // Safe: it takes at most what follows the header in `bytes`.
        return unsafe startFrame(openKind, header, bytes)
    }

    /// A control frame; it leaves the state of a message around it alone (RFC 6455 §5.5).
    mutating func decodeControl(_ header: FrameHeader, _ bytes: UnsafeMutableRawBufferPointer) -> Event {
        guard bytes.count &- header.byteCount >= header.payloadByteCount else { return .needsMoreBytes }
        // Safe: the whole frame lies in `bytes`.
        _ = unsafe unmask(header, bytes)
        return .control(header.controlKind, payloadOffset: header.byteCount, payloadByteCount: header.payloadByteCount)
    }

    /// Takes bytes of a frame whose header was consumed before.
    mutating func continueFrame(_ bytes: UnsafeMutableRawBufferPointer) -> Event {
        guard !hasFailed else { return .failure(.alreadyFailed) }
        guard let openKind else {
            preconditionFailure("FrameDecoder: payload is outstanding but no message is open")
        }
        guard bytes.count > 0 else { return .needsMoreBytes }
        // Safe: the payload goes on at the first byte.
        return unsafe takePayload(openKind, bytes, offset: 0)
    }

    /// What a message of `limit` bytes takes on the wire at most when it is compressed: DEFLATE makes noise larger, by
    /// an eighth where the compressor has little memory (zlib.h, `deflateBound`).
    package static func compressedByteCountMax(_ limit: Int) -> Int { limit &+ limit >> 3 &+ limit >> 6 &+ 64 }

    /// A message of just the size that is allowed passes, also where it got larger by being compressed. What it is
    /// inflated to has the limit itself.
    @inline(never)
    private func isWithinCompressedLimit(_ header: FrameHeader, _ isCompressed: Bool) -> Bool {
        isCompressed && header.payloadByteCount <= Self.compressedByteCountMax(messageByteCountMax) &- messageByteCount
    }

    @inline(never)
    mutating func fail(_ error: FrameError) -> Event {
        hasFailed = true
        return .failure(error)
    }

    private mutating func startFrame(
        _ kind: MessageKind, _ header: FrameHeader, _ bytes: UnsafeMutableRawBufferPointer
    ) -> Event {
        frameRemainingByteCount = header.payloadByteCount
        isFinalFrame = header.isFinal
        key = header.key
        // Safe: the header lies in `bytes`.
        return unsafe takePayload(kind, bytes, offset: header.byteCount)
    }

    /// Unmasks and checks as much of the current frame's payload as is there.
    private mutating func takePayload(
        _ kind: MessageKind, _ bytes: UnsafeMutableRawBufferPointer, offset: Int
    ) -> Event {
        let byteCount = min(bytes.count &- offset, frameRemainingByteCount)
        // Safe: `offset` is the size of a header that lies in `bytes`, and `byteCount` at most what follows it.
        let payload = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[offset..<offset &+ byteCount])
        if role == .server {
            // Safe: as above.
            unsafe key.apply(to: payload)
            key = key.advanced(by: byteCount)
        }
        frameRemainingByteCount &-= byteCount
        let isEndOfMessage = isFinalFrame && frameRemainingByteCount == 0
        if kind == .text, !isOpenCompressed {
            // Safe: as above.
            guard unsafe validator.accepts(UnsafeRawBufferPointer(payload)) else { return fail(.textNotUTF8) }
            // So the validator is back where it started when the next text begins.
            guard !isEndOfMessage || validator.isAtCharacterEnd else { return fail(.textNotUTF8) }
        }
        if isEndOfMessage {
            openKind = nil
            messageByteCount = 0
        }
        return .chunk(
            kind: kind, payloadOffset: offset, payloadByteCount: byteCount,
            frameRemainingByteCount: frameRemainingByteCount, isEndOfMessage: isEndOfMessage,
            isCompressed: isOpenCompressed)
    }

    /// Unmasks the payload of a frame that is whole in `bytes`.
    @inline(__always)
    private func unmask(
        _ header: FrameHeader, _ bytes: UnsafeMutableRawBufferPointer
    ) -> UnsafeMutableRawBufferPointer {
        let start = header.byteCount
        // Safe: the callers have compared the frame's size with that of `bytes`.
        let payload = unsafe UnsafeMutableRawBufferPointer(
            start: bytes.baseAddress.map { unsafe $0 + start }, count: header.payloadByteCount)
        if role == .server { unsafe header.key.apply(to: payload) }
        return unsafe payload
    }

    private func tooBig(_ header: FrameHeader) -> FrameError {
        .messageTooBig(
            byteCount: UInt64(messageByteCount) + UInt64(header.payloadByteCount), limit: UInt64(messageByteCountMax))
    }
}
