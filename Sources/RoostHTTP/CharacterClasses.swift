/// Byte classes of HTTP/1.1, each a bitmap over ASCII.
extension UInt8 {
    static let carriageReturn: UInt8 = 0x0D
    static let lineFeed: UInt8 = 0x0A
    static let space: UInt8 = 0x20
    static let tab: UInt8 = 0x09

    /// A `tchar`: what method names, header names and subprotocol names are made of (RFC 9110 §5.6.2).
    package var isTokenCharacter: Bool {
        isMember(low: 0x03FF_6CFA_0000_0000, high: 0x57FF_FFFF_C7FF_FFFE)
    }

    /// What a host name is made of: letters, digits, `-`, `.`, `_`, `~` (unreserved, RFC 3986 §2.3). The escapes and
    /// punctuation that §3.2.2 allows too are in no name that resolves, and have served to confuse.
    var isHostCharacter: Bool {
        isMember(low: 0x03FF_6000_0000_0000, high: 0x47FF_FFFE_87FF_FFFE)
    }

    /// What a scheme is made of, but that it starts with a letter (RFC 3986 §3.1).
    var isSchemeCharacter: Bool {
        isMember(low: 0x03FF_6800_0000_0000, high: 0x07FF_FFFE_07FF_FFFE)
    }

    /// Space or horizontal tab (`OWS`, RFC 9110 §5.6.3).
    package var isOptionalWhitespace: Bool { self == .space || self == .tab }

    /// What may stand in a header value: visible, space, tab, or above ASCII (RFC 9110 §5.5).
    package var isFieldValueCharacter: Bool { self >= 0x20 ? self != 0x7F : self == .tab }

    /// An ASCII letter in lower case, any other byte as it is.
    var asciiLowercased: UInt8 { self &- 0x41 < 26 ? self | 0x20 : self }

    /// The value of a hexadecimal digit, or nil.
    var hexDigitValue: UInt8? {
        switch self {
        case 0x30...0x39: self &- 0x30
        case 0x41...0x46: self &- 0x37
        case 0x61...0x66: self &- 0x57
        default: nil
        }
    }

    private func isMember(low: UInt64, high: UInt64) -> Bool {
        guard self < 128 else { return false }
        return ((self < 64 ? low : high) >> UInt64(self & 63)) & 1 != 0
    }
}
