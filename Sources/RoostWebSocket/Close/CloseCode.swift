/// Why a connection was closed (RFC 6455 §7.4).
public struct CloseCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt16

    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The purpose of the connection is fulfilled.
    public static let normalClosure = CloseCode(rawValue: 1000)
    /// The server shuts down or the client leaves the page. Stock clients reconnect.
    public static let goingAway = CloseCode(rawValue: 1001)
    public static let protocolError = CloseCode(rawValue: 1002)
    /// A kind of data that the receiver does not take, such as binary where text is expected.
    public static let unsupportedData = CloseCode(rawValue: 1003)
    /// The close frame had no code. Never sent.
    public static let noStatusReceived = CloseCode(rawValue: 1005)
    /// The connection ended without a close frame. Never sent.
    public static let abnormalClosure = CloseCode(rawValue: 1006)
    /// Text that is not UTF-8.
    public static let invalidPayload = CloseCode(rawValue: 1007)
    public static let policyViolation = CloseCode(rawValue: 1008)
    public static let messageTooBig = CloseCode(rawValue: 1009)
    /// The client needs an extension that the server did not accept.
    public static let mandatoryExtension = CloseCode(rawValue: 1010)
    public static let internalError = CloseCode(rawValue: 1011)
    public static let serviceRestart = CloseCode(rawValue: 1012)
    public static let tryAgainLater = CloseCode(rawValue: 1013)
    public static let badGateway = CloseCode(rawValue: 1014)
    /// The TLS handshake failed. Never sent.
    public static let tlsHandshake = CloseCode(rawValue: 1015)

    /// True if the code may stand in a close frame: 1000-1003 and 1007-1014, which the IANA registry defines, and
    /// 3000-4999, which libraries and applications use (RFC 6455 §7.4.2).
    public var isValidOnWire: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }

    public var description: String {
        let name =
            switch rawValue {
            case 1000: "normal closure"
            case 1001: "going away"
            case 1002: "protocol error"
            case 1003: "unsupported data"
            case 1005: "no status received"
            case 1006: "abnormal closure"
            case 1007: "invalid payload"
            case 1008: "policy violation"
            case 1009: "message too big"
            case 1010: "mandatory extension"
            case 1011: "internal error"
            case 1012: "service restart"
            case 1013: "try again later"
            case 1014: "bad gateway"
            case 1015: "TLS handshake"
            case 3000...3999: "registered"
            case 4000...4999: "private"
            default: "unassigned"
            }
        return "\(rawValue) (\(name))"
    }
}
