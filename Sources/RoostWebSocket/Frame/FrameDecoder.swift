/// Turns the bytes received on one connection into messages and control frames (RFC 6455 §5).
///
/// Owns no buffer: it unmasks payloads where they lie and tells the caller where that is. A message that lies whole
/// in the caller's bytes is never copied; of any other the caller gathers the chunks. Lives once per connection, so
/// its size matters (at most 48 bytes).
package struct FrameDecoder: Sendable {
    /// What the bytes given to `decode` begin with. Positions count from the first of those bytes.
    package enum Event: Equatable, Sendable {
        /// A header or control frame is incomplete. Nothing was consumed: call again with the same bytes and more
        /// behind them; 139 bytes are always enough to go on.
        case needsMoreBytes
        /// A whole message that was sent in one frame, unmasked and, if text, valid UTF-8. If it is compressed, the
        /// payload is DEFLATE data and the caller validates what it inflates to (RFC 7692 §6.2).
        case message(kind: MessageKind, payloadOffset: Int, payloadByteCount: Int, isCompressed: Bool)
        /// The next piece of a message that came in several frames or only partly. To be appended to the pieces
        /// before. May be empty. `frameRemainingByteCount` bytes of the frame are still to come: the caller can make
        /// room for them, read them straight into it and pass them to `decode` there. `isCompressed` is the same for
        /// all pieces of a message, and means what it does in `message`.
        case chunk(
            kind: MessageKind, payloadOffset: Int, payloadByteCount: Int, frameRemainingByteCount: Int,
            isEndOfMessage: Bool, isCompressed: Bool)
        /// A whole control frame, unmasked.
        case control(ControlKind, payloadOffset: Int, payloadByteCount: Int)
        /// The peer broke a rule. The decoder is of no more use: close with the error's code.
        case failure(FrameError)

        /// Bytes the caller need not pass again.
        package var consumedByteCount: Int {
            switch self {
            case .needsMoreBytes, .failure: 0
            case .message(_, let offset, let byteCount, _), .control(_, let offset, let byteCount): offset + byteCount
            case .chunk(_, let offset, let byteCount, _, _, _): offset + byteCount
            }
        }
    }

    /// Frames of one message. Beyond it the message is refused, so that empty fragments cannot go on for ever.
    package static let defaultFragmentCountMax: UInt32 = 65_536

    let messageByteCountMax: Int
    /// Payload bytes of the current message whose frame headers were read, those still to come included.
    var messageByteCount = 0
    /// Payload bytes of the current frame that are still to come.
    var frameRemainingByteCount = 0
    /// The key of the current frame, advanced to its next byte.
    var key = MaskingKey(bits: 0)
    let fragmentCountMax: UInt32
    var fragmentCount: UInt32 = 0
    var validator = UTF8Validator()
    let role: FrameRole
    /// True if permessage-deflate was agreed on.
    let allowsCompression: Bool
    /// The message of which some, but not all, has been delivered as chunks.
    var openKind: MessageKind?
    /// True if that message's payload is DEFLATE data.
    var isOpenCompressed = false
    var isFinalFrame = true
    var hasFailed = false

    /// `messageByteCountMax` bounds the payload of a message, all its frames together; of a compressed one it bounds
    /// what it inflates to, which the caller sees to, and `compressedByteCountMax` what is sent. `allowsCompression`
    /// admits compressed messages: permessage-deflate was agreed on.
    package init(
        role: FrameRole, messageByteCountMax: Int, fragmentCountMax: UInt32 = FrameDecoder.defaultFragmentCountMax,
        allowsCompression: Bool = false
    ) {
        precondition(
            messageByteCountMax >= 0, "FrameDecoder.messageByteCountMax is \(messageByteCountMax); use 0 or more")
        precondition(fragmentCountMax >= 1, "FrameDecoder.fragmentCountMax is \(fragmentCountMax); use 1 or more")
        self.role = role
        self.messageByteCountMax = messageByteCountMax
        self.fragmentCountMax = fragmentCountMax
        self.allowsCompression = allowsCompression
    }

    /// True while part of a message has been delivered and its end has not.
    package var isInsideMessage: Bool { openKind != nil }

    /// Decodes what `bytes` begins with: the bytes received after those consumed before. Unmasks payload in place.
    ///
    /// Call it until it wants more bytes. Each byte of payload is touched once; a header is looked at again when it
    /// was incomplete. No allocation.
    package mutating func decode(_ bytes: UnsafeMutableRawBufferPointer) -> Event {
        // Safe: the functions called look at no byte outside `bytes`; each compares sizes first.
        guard frameRemainingByteCount == 0, !hasFailed else { return unsafe continueFrame(bytes) }
        switch unsafe FrameHeader.read(bytes, role: role, allowsCompression: allowsCompression) {
        case .header(let header):
            if header.isControl { return unsafe decodeControl(header, bytes) }
            if header.isContinuation { return unsafe decodeContinuation(header, bytes) }
            return unsafe decodeData(header, bytes)
        case .needsMoreBytes: return .needsMoreBytes
        case .failure(let error): return fail(error)
        }
    }
}
