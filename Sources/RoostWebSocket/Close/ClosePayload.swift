/// What a close frame says (RFC 6455 §5.5.1).
package struct ClosePayload: Equatable, Sendable {
    /// Nil if the frame has no payload.
    package let code: CloseCode?
    /// Empty without a code.
    package let reason: String

    /// A frame without a payload.
    package static let empty = ClosePayload(code: nil, reason: "")

    /// To be sent: `code` must be valid on the wire, or writing it traps.
    package init(code: CloseCode, reason: String = "") {
        self.code = code
        self.reason = reason
    }

    /// Reads the unmasked payload of a close frame.
    package init(parsing bytes: UnsafeRawBufferPointer) throws(FrameError) {
        guard bytes.count > 0 else {
            self = .empty
            return
        }
        guard bytes.count >= 2 else { throw .closePayloadOfOneByte }
        // Safe: the buffer has two bytes or more.
        let code = unsafe CloseCode(rawValue: UInt16(bigEndian: bytes.loadUnaligned(as: UInt16.self)))
        guard code.isValidOnWire else { throw .closeCodeNotAllowed(code.rawValue) }
        // Safe: as above; the slice is read before this function returns.
        let reason = unsafe UnsafeRawBufferPointer(rebasing: bytes[2...])
        guard unsafe UTF8Validator.isValid(reason) else { throw .closeReasonNotUTF8 }
        self.init(code: code, reason: unsafe String(decoding: reason, as: UTF8.self))
    }

    private init(code: CloseCode?, reason: String) {
        self.code = code
        self.reason = reason
    }

    /// What the application is told: 1005 stands for a frame without a code (RFC 6455 §7.1.5).
    package var reportedCode: CloseCode { code ?? .noStatusReceived }

    /// The answer to this frame: its code and nothing else (RFC 6455 §5.5.1).
    package var reply: ClosePayload { ClosePayload(code: code, reason: "") }
}
