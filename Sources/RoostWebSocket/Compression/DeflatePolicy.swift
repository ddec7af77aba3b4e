/// What one end, a route or a client, wants of permessage-deflate. What is agreed on never takes more memory than this
/// allows, except where RFC 7692 gives no means to ask for less.
package struct DeflatePolicy: Equatable, Sendable {
    /// The server may keep its window from message to message: better compression of small messages that resemble one
    /// another, for the memory of a window on both sides for as long as the connection lasts.
    package let serverContextTakeover: Bool
    /// The same for the client.
    package let clientContextTakeover: Bool
    /// Base-2 logarithm of the largest window of what the server sends: 8...15.
    package let serverMaxWindowBits: UInt8
    /// The same for what the client sends.
    package let clientMaxWindowBits: UInt8

    /// Traps if a window is not 8...15 bits.
    package init(
        serverContextTakeover: Bool = false, clientContextTakeover: Bool = false, serverMaxWindowBits: UInt8 = 15,
        clientMaxWindowBits: UInt8 = 15
    ) {
        for bits in [serverMaxWindowBits, clientMaxWindowBits] {
            precondition(
                DeflateParameters.windowBitsRange.contains(bits),
                "DeflatePolicy: window of \(bits) bits; use 8...15 (RFC 7692 §7.1.2)")
        }
        self.serverContextTakeover = serverContextTakeover
        self.clientContextTakeover = clientContextTakeover
        self.serverMaxWindowBits = serverMaxWindowBits
        self.clientMaxWindowBits = clientMaxWindowBits
    }
}
