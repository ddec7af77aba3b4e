/// Where host and port of `host[:port]` lie (RFC 9110 §7.2, RFC 3986 §3.2.2).
struct Authority: Equatable {
    /// Not empty: a name, an IPv4 address, or an IPv6 address with its brackets.
    let host: Range<Int>
    /// Nil if there is none, or nothing behind the colon.
    let port: UInt16?

    /// Nil for what is no host and port: user information, an empty host, a port beyond 65535, a list.
    init?(_ bytes: ArraySlice<UInt8>) {
        let hostEnd: Int
        if bytes.first == UInt8(ascii: "[") {
            guard let bracket = bytes.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            let address = String(decoding: bytes[bytes.startIndex + 1..<bracket], as: UTF8.self)
            guard address.utf8.contains(UInt8(ascii: ":")), IPAddress(address) != nil else { return nil }
            hostEnd = bracket + 1
        } else {
            hostEnd = bytes.firstIndex { !$0.isHostCharacter } ?? bytes.endIndex
            guard hostEnd > bytes.startIndex else { return nil }
        }
        host = bytes.startIndex..<hostEnd
        let rest = bytes[hostEnd...]
        guard let colon = rest.first else {
            port = nil
            return
        }
        guard colon == UInt8(ascii: ":") else { return nil }
        let digits = rest.dropFirst()
        guard let number = Self.port(digits) else {
            // "host:" is allowed and means the default (RFC 3986 §3.2.3).
            guard digits.isEmpty else { return nil }
            port = nil
            return
        }
        port = number
    }

    /// A port of 1 to 5 decimal digits.
    static func port(_ digits: ArraySlice<UInt8>) -> UInt16? {
        guard 1...5 ~= digits.count else { return nil }
        var number = 0
        for digit in digits {
            guard digit &- 0x30 < 10 else { return nil }
            number = number * 10 + Int(digit &- 0x30)
        }
        return UInt16(exactly: number)
    }
}
