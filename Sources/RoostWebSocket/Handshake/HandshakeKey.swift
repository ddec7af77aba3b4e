import CSSL

/// The nonce of an opening handshake, and the proof that a server has read it (RFC 6455 §4.1, §4.2.2).
package struct HandshakeKey: Equatable, Sendable {
    /// Base64 of 16 bytes.
    package let text: String

    /// A client's key: the 16 bytes of `random`, which the caller draws anew for each connection.
    package init(random: (UInt64, UInt64)) {
        var bytes: [UInt8] = []
        for word in [random.0, random.1] {
            for shift in stride(from: UInt64(0), to: 64, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: word >> shift))
            }
        }
        text = Base64.encode(bytes)
    }

    /// A key as received; nil unless it is base64 of 16 bytes.
    package init?(received bytes: ArraySlice<UInt8>) {
        guard Base64.isEncodingOf16Bytes(bytes) else { return nil }
        text = String(decoding: bytes, as: UTF8.self)
    }

    /// The value of Sec-WebSocket-Accept: base64 of SHA-1 of the key and a constant (RFC 6455 §4.2.2).
    package var acceptValue: String {
        let input = Array((text + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)
        var digest = [UInt8](repeating: 0, count: 20)
        // Safe: SHA1 reads `input.count` bytes and writes 20, the size of `digest`; both outlive the call.
        _ = unsafe SHA1(input, input.count, &digest)
        return Base64.encode(digest)
    }
}
