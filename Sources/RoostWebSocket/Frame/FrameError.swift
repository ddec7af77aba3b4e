/// Why a frame from the peer was refused. The connection fails with `closeCode` (RFC 6455 §7.1.7).
package enum FrameError: Error, Equatable, Sendable, CustomStringConvertible {
    case reservedBits(UInt8)
    case reservedOpcode(UInt8)
    case fragmentedControlFrame(ControlKind)
    case longControlFrame(ControlKind)
    case unmaskedClientFrame
    case maskedServerFrame
    case nonMinimalLength(byteCount: UInt64)
    case lengthBeyond63Bits
    case continuationWithoutStart
    case messageInsideMessage(MessageKind)
    case messageTooBig(byteCount: UInt64, limit: UInt64)
    case tooManyFragments(limit: UInt32)
    case textNotUTF8
    /// A compressed message that is not DEFLATE data, or ends inside a block of it.
    case compressedDataInvalid
    case closePayloadOfOneByte
    case closeCodeNotAllowed(UInt16)
    case closeReasonNotUTF8
    /// The decoder was asked for more after it had refused a frame.
    case alreadyFailed

    /// The status code the peer is told (RFC 6455 §7.4.1).
    package var closeCode: CloseCode {
        switch self {
        case .reservedBits, .reservedOpcode, .fragmentedControlFrame, .longControlFrame, .unmaskedClientFrame,
            .maskedServerFrame, .nonMinimalLength, .lengthBeyond63Bits, .continuationWithoutStart,
            .messageInsideMessage, .closePayloadOfOneByte, .closeCodeNotAllowed, .alreadyFailed:
            .protocolError
        case .textNotUTF8, .compressedDataInvalid, .closeReasonNotUTF8: .invalidPayload
        case .messageTooBig, .tooManyFragments: .messageTooBig
        }
    }

    package var description: String {
        switch self {
        case .reservedBits(let bits):
            "reserved bits 0b\(String(bits, radix: 2)) are set where no extension gives them a meaning (RFC 6455 §5.2)"
        case .reservedOpcode(let opcode):
            "opcode 0x\(String(opcode, radix: 16)) is reserved; use 0x0-0x2 or 0x8-0xa (RFC 6455 §5.2)"
        case .fragmentedControlFrame(let kind): "\(kind) frame is fragmented; send it whole (RFC 6455 §5.5)"
        case .longControlFrame(let kind): "\(kind) frame has a payload of more than 125 bytes (RFC 6455 §5.5)"
        case .unmaskedClientFrame: "client frame is not masked (RFC 6455 §5.1)"
        case .maskedServerFrame: "server frame is masked (RFC 6455 §5.1)"
        case .nonMinimalLength(let byteCount):
            "length \(byteCount) is not in its shortest form (RFC 6455 §5.2)"
        case .lengthBeyond63Bits: "64-bit length has its top bit set (RFC 6455 §5.2)"
        case .continuationWithoutStart: "continuation frame without a message to continue (RFC 6455 §5.4)"
        case .messageInsideMessage(let kind):
            "\(kind) frame inside a fragmented message; finish that one first (RFC 6455 §5.4)"
        case .messageTooBig(let byteCount, let limit):
            "message of at least \(byteCount) bytes; raise the message limit (now \(limit)) to accept it "
                + "(RFC 6455 §10.4)"
        case .tooManyFragments(let limit):
            "message of more than \(limit) frames; send fewer and larger ones (RFC 6455 §10.4)"
        case .textNotUTF8: "text message is not UTF-8 (RFC 6455 §8.1)"
        case .compressedDataInvalid: "compressed message is not whole and valid DEFLATE data (RFC 7692 §7.2.2)"
        case .closePayloadOfOneByte: "close frame has a payload of 1 byte; send none or a code (RFC 6455 §5.5.1)"
        case .closeCodeNotAllowed(let code):
            "close code \(code) may not be sent; use 1000-1003, 1007-1014 or 3000-4999 (RFC 6455 §7.4)"
        case .closeReasonNotUTF8: "reason of a close frame is not UTF-8 (RFC 6455 §5.5.1)"
        case .alreadyFailed: "frame after one that was refused (RFC 6455 §7.1.7)"
        }
    }
}
