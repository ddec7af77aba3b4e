/// Version 1 of the PROXY header: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443` CR LF (proxy-protocol 2.1).
enum ProxyLine {
    static let start = Array("PROXY ".utf8)

    /// With CR LF. The longest line the specification knows.
    private static let byteCountMax = 107

    private enum Family: CaseIterable {
        case tcp4
        case tcp6
        case unknown

        var name: [UInt8] {
            switch self {
            case .tcp4: Array("TCP4".utf8)
            case .tcp6: Array("TCP6".utf8)
            case .unknown: Array("UNKNOWN".utf8)
            }
        }
    }

    static func parse(_ bytes: Span<UInt8>) throws(ProxyHeaderError) -> ProxyHeader.Outcome {
        try ProxyHeader.requireStart(start, of: bytes)
        guard let family = try family(bytes) else { return .needsMoreBytes }
        guard let end = try lineEnd(bytes, family) else { return .needsMoreBytes }
        let address: ProxiedAddress
        switch family {
        // What follows UNKNOWN must be ignored.
        case .unknown: address = .local
        case .tcp4, .tcp6: address = try addresses(text(bytes, start.count + family.name.count..<end), family)
        }
        return .header(address, consumedByteCount: end + 2)
    }

    /// The family named behind `PROXY `; nil if more bytes are needed to tell.
    private static func family(_ bytes: Span<UInt8>) throws(ProxyHeaderError) -> Family? {
        var mayFollow = false
        for family in Family.allCases {
            let name = family.name
            let arrived = max(0, min(name.count, bytes.count - start.count))
            guard (0..<arrived).allSatisfy({ bytes[start.count + $0] == name[$0] }) else { continue }
            guard arrived == name.count else {
                mayFollow = true
                continue
            }
            return family
        }
        guard mayFollow else { throw .malformedLine }
        return nil
    }

    /// Where the line's CR is; nil if its end has not arrived. Throws at the first byte that cannot be in such a line.
    private static func lineEnd(_ bytes: Span<UInt8>, _ family: Family) throws(ProxyHeaderError) -> Int? {
        let first = start.count + family.name.count
        for index in first..<max(first, min(bytes.count, byteCountMax)) {
            let byte = bytes[index]
            if byte == .carriageReturn {
                guard index + 1 < byteCountMax else { throw .lineTooLong }
                guard index + 1 < bytes.count else { return nil }
                guard bytes[index + 1] == .lineFeed else { throw .malformedLine }
                return index
            }
            guard byte != .lineFeed else { throw .malformedLine }
            guard index > first || byte == .space else { throw .malformedLine }
            guard family == .unknown || isAddressByte(byte) else { throw .malformedLine }
        }
        guard bytes.count < byteCountMax else { throw .lineTooLong }
        return nil
    }

    private static func isAddressByte(_ byte: UInt8) -> Bool {
        byte == .space || byte == UInt8(ascii: ".") || byte == UInt8(ascii: ":") || byte.hexDigitValue != nil
    }

    private static func text(_ bytes: Span<UInt8>, _ range: Range<Int>) -> [UInt8] { range.map { bytes[$0] } }

    /// Reads ` source destination port port`.
    private static func addresses(_ text: [UInt8], _ family: Family) throws(ProxyHeaderError) -> ProxiedAddress {
        let parts = text.split(separator: .space, omittingEmptySubsequences: false)
        // The text starts with a space, so the first part is empty.
        guard parts.count == 5, parts[0].isEmpty else { throw .malformedLine }
        let source = try address(parts[1], family)
        _ = try address(parts[2], family)
        let port = try port(parts[3])
        _ = try self.port(parts[4])
        if family == .tcp4, let ipv4 = source.ipv4NetworkOrder { return .ipv4(source: ipv4, port: port) }
        let (high, low) = source.ipv6NetworkOrder
        return .ipv6(high: high, low: low, port: port)
    }

    /// IPv6 text may end in four decimal numbers: that is how libraries write IPv4-mapped addresses.
    private static func address(_ text: ArraySlice<UInt8>, _ family: Family) throws(ProxyHeaderError) -> IPAddress {
        let isIPv6Text = text.contains(UInt8(ascii: ":"))
        guard isIPv6Text == (family == .tcp6), let address = IPAddress(String(decoding: text, as: UTF8.self)) else {
            throw .invalidAddress
        }
        return address
    }

    /// Decimal without leading zeros, so that nobody can take it for octal.
    private static func port(_ digits: ArraySlice<UInt8>) throws(ProxyHeaderError) -> UInt16 {
        guard digits.count == 1 || digits.first != UInt8(ascii: "0"), let port = Authority.port(digits) else {
            throw .invalidPort
        }
        return port
    }
}
