/// Version 2 of the PROXY header: a signature, addresses as bytes, and TLVs (proxy-protocol 2.2).
enum BinaryProxyHeader {
    static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

    /// Signature, version and command, family and transport, length.
    private static let fixedByteCount = 16

    private enum Command {
        case local
        case proxy
    }

    private enum Family {
        case unspecified
        case ipv4
        case ipv6
        case unix

        /// Both addresses, and ports where there are any.
        var byteCount: Int {
            switch self {
            case .unspecified: 0
            case .ipv4: 12
            case .ipv6: 36
            case .unix: 216
            }
        }
    }

    /// Each byte is judged when it has arrived, in order: what is told does not depend on the pieces.
    static func parse(_ bytes: Span<UInt8>) throws(ProxyHeaderError) -> ProxyHeader.Outcome {
        try ProxyHeader.requireStart(signature, of: bytes)
        guard bytes.count > 12 else { return .needsMoreBytes }
        let command = try command(bytes[12])
        guard bytes.count > 13 else { return .needsMoreBytes }
        let family = try family(bytes[13], command)
        guard bytes.count >= fixedByteCount else { return .needsMoreBytes }
        let end = fixedByteCount + number(bytes, at: 14)
        guard end <= ProxyHeader.byteCountMax else { throw .headerTooLarge(limit: ProxyHeader.byteCountMax) }
        guard end - fixedByteCount >= family.byteCount else {
            throw .addressTooShort(byteCount: end - fixedByteCount, required: family.byteCount)
        }
        guard bytes.count >= end else { return .needsMoreBytes }
        let header = bytes.extracting(0..<end)
        // Behind addresses of an unknown family nothing says where TLVs start.
        if family != .unspecified { try checkExtensions(header, from: fixedByteCount + family.byteCount) }
        return .header(address(header, family), consumedByteCount: end)
    }

    private static func command(_ byte: UInt8) throws(ProxyHeaderError) -> Command {
        guard byte >> 4 == 2 else { throw .unsupportedVersion(byte >> 4) }
        switch byte & 0x0F {
        case 0: return .local
        case 1: return .proxy
        default: throw .unknownCommand(byte & 0x0F)
        }
    }

    /// The family of the addresses, `unspecified` where they are to be ignored: always with LOCAL, whatever it names.
    private static func family(_ byte: UInt8, _ command: Command) throws(ProxyHeaderError) -> Family {
        guard command == .proxy else { return .unspecified }
        let family: Family
        switch byte >> 4 {
        case 0: family = .unspecified
        case 1: family = .ipv4
        case 2: family = .ipv6
        case 3: family = .unix
        default: throw .unknownFamily(byte >> 4)
        }
        switch byte & 0x0F {
        case 0: return .unspecified
        // Streams, and datagrams: a client of the proxy may have come by QUIC.
        case 1, 2: return family
        default: throw .unknownTransport(byte & 0x0F)
        }
    }

    private static func address(_ header: Span<UInt8>, _ family: Family) -> ProxiedAddress {
        let start = fixedByteCount
        switch family {
        case .unspecified: return .local
        case .ipv4:
            let source = UInt32(truncatingIfNeeded: number(header, at: start, byteCount: 4))
            return .ipv4(source: source.bigEndian, port: UInt16(number(header, at: start + 8)))
        case .ipv6:
            let high = number(header, at: start, byteCount: 8)
            let low = number(header, at: start + 8, byteCount: 8)
            return .ipv6(
                high: high.bigEndian, low: low.bigEndian, port: UInt16(number(header, at: start + 32)))
        case .unix:
            let path = (start..<start + 108).map { header[$0] }.prefix { $0 != 0 }
            return .unix(path: String(decoding: path, as: UTF8.self))
        }
    }

    // MARK: TLVs

    private static let checksumType: UInt8 = 0x03

    /// Walks the TLVs from `start` to the header's end, and compares a checksum that is among them.
    private static func checkExtensions(_ header: Span<UInt8>, from start: Int) throws(ProxyHeaderError) {
        var index = start
        var checksum: Int?
        while index < header.count {
            guard header.count - index >= 3 else { throw .malformedExtension }
            let byteCount = number(header, at: index + 1)
            let value = index + 3
            guard byteCount <= header.count - value else { throw .malformedExtension }
            if header[index] == checksumType {
                // Two checksums cannot both be of the header with "the" field zero.
                guard byteCount == 4, checksum == nil else { throw .malformedExtension }
                checksum = value
            }
            index = value + byteCount
        }
        guard let checksum else { return }
        let expected = UInt32(truncatingIfNeeded: number(header, at: checksum, byteCount: 4))
        guard CRC32C.checksum(of: header, zeroing: checksum..<checksum + 4) == expected else { throw .wrongChecksum }
    }

    private static func number(_ bytes: Span<UInt8>, at index: Int) -> Int {
        Int(bytes[index]) << 8 | Int(bytes[index + 1])
    }

    private static func number(_ bytes: Span<UInt8>, at index: Int, byteCount: Int) -> UInt64 {
        (index..<index + byteCount).reduce(0) { $0 << 8 | UInt64(bytes[$1]) }
    }
}
