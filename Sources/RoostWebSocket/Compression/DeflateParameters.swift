/// What both ends of a connection have agreed on about permessage-deflate (RFC 7692 §7.1). It lives in every
/// connection, so its size matters (4 bytes).
package struct DeflateParameters: Equatable, Sendable {
    /// The server begins each message with an empty window (RFC 7692 §7.1.1.1).
    package let serverNoContextTakeover: Bool
    /// The client begins each message with an empty window (RFC 7692 §7.1.1.2).
    package let clientNoContextTakeover: Bool
    /// Base-2 logarithm of the window that what the server sends needs at most: 8...15 (RFC 7692 §7.1.2.1).
    package let serverMaxWindowBits: UInt8
    /// The same for what the client sends (RFC 7692 §7.1.2.2).
    package let clientMaxWindowBits: UInt8

    package init(
        serverNoContextTakeover: Bool, clientNoContextTakeover: Bool, serverMaxWindowBits: UInt8,
        clientMaxWindowBits: UInt8
    ) {
        self.serverNoContextTakeover = serverNoContextTakeover
        self.clientNoContextTakeover = clientNoContextTakeover
        self.serverMaxWindowBits = serverMaxWindowBits
        self.clientMaxWindowBits = clientMaxWindowBits
    }

    /// Base-2 logarithm of the window for what `sender` sends.
    package func windowBits(of sender: FrameRole) -> Int {
        switch sender {
        case .server: Int(serverMaxWindowBits)
        case .client: Int(clientMaxWindowBits)
        }
    }

    /// True if what `sender` sends may refer to its messages before.
    package func keepsContext(of sender: FrameRole) -> Bool {
        switch sender {
        case .server: !serverNoContextTakeover
        case .client: !clientNoContextTakeover
        }
    }

    /// What a window may be (RFC 7692 §7.1.2).
    static let windowBitsRange: ClosedRange<UInt8> = 8...15
}

extension DeflateParameters {
    /// For a connection whose messages are not compressed: never looked at.
    package static let none = DeflateParameters(
        serverNoContextTakeover: true, clientNoContextTakeover: true, serverMaxWindowBits: 15, clientMaxWindowBits: 15)
}
