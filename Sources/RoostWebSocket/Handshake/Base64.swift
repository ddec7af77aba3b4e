/// Base64 with padding (RFC 4648 §4), as far as the opening handshake needs it.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        var index = 0
        while index < bytes.count {
            let groupByteCount = min(3, bytes.count - index)
            var group = UInt32(bytes[index]) << 16
            if groupByteCount > 1 { group |= UInt32(bytes[index + 1]) << 8 }
            if groupByteCount > 2 { group |= UInt32(bytes[index + 2]) }
            for position in 0..<4 {
                let digit = alphabet[Int(group >> UInt32(18 - 6 * position) & 0x3F)]
                text.append(position <= groupByteCount ? digit : UInt8(ascii: "="))
            }
            index += 3
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// True for 22 digits and `==`. The bits that the last digit has too many are not looked at: no rule of the
    /// handshake depends on them, and some clients draw the key as text.
    static func isEncodingOf16Bytes(_ text: ArraySlice<UInt8>) -> Bool {
        text.count == 24 && text.suffix(2).allSatisfy { $0 == UInt8(ascii: "=") }
            && text.dropLast(2).allSatisfy(isDigit)
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"):
            true
        default: false
        }
    }
}
