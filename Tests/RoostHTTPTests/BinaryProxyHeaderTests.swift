import RoostHTTP
import Testing

/// proxy-protocol.txt of HAProxy, §2.2: version 2.
@Suite struct BinaryProxyHeaderTests {
    static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    static let ipv4: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 1, 0xDC, 0x04, 0x01, 0xBB]
    static let ipv6: [UInt8] =
        [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1] + [UInt8](repeating: 0xFF, count: 16)
        + [0xDC, 0x04, 0x01, 0xBB]

    static func unix(_ path: String) -> [UInt8] {
        Array(path.utf8) + [UInt8](repeating: 0, count: 108 - path.utf8.count) + Array("/server".utf8)
            + [UInt8](repeating: 0, count: 101)
    }

    static func header(
        command: UInt8 = 0x21, family: UInt8 = 0x11, addresses: [UInt8], extensions: [UInt8] = [],
        length: Int? = nil
    ) -> [UInt8] {
        let byteCount = length ?? addresses.count + extensions.count
        return signature + [command, family, UInt8(byteCount >> 8), UInt8(byteCount & 0xFF)] + addresses + extensions
    }

    /// A header with its checksum as last TLV; `flipping` is added to it.
    static func checked(addresses: [UInt8], before: [UInt8] = [], after: [UInt8] = [], flipping: UInt8 = 0) -> [UInt8] {
        var bytes = header(addresses: addresses, extensions: before + [0x03, 0x00, 0x04, 0, 0, 0, 0] + after)
        let checksum = referenceCRC32C(bytes)
        let start = 16 + addresses.count + before.count + 3
        for index in 0..<4 { bytes[start + index] = UInt8(truncatingIfNeeded: checksum >> UInt32(24 - 8 * index)) }
        bytes[start] ^= flipping
        return bytes
    }

    /// By long division of polynomials, bits in the order sent, as RFC 9260 Appendix A defines it.
    static func referenceCRC32C(_ bytes: [UInt8]) -> UInt32 {
        var bits = bytes.flatMap { byte in (0..<8).map { byte >> UInt8($0) & 1 } } + [UInt8](repeating: 0, count: 32)
        for index in 0..<32 { bits[index] ^= 1 }
        let divisor = (0..<33).map { UInt8(truncatingIfNeeded: UInt64(0x1_1EDC_6F41) >> UInt64(32 - $0) & 1) }
        for index in 0..<bits.count - 32 where bits[index] == 1 {
            for (offset, bit) in divisor.enumerated() { bits[index + offset] ^= bit }
        }
        let remainder = bits.suffix(32).enumerated().reduce(UInt32(0)) { $0 | UInt32($1.element) << UInt32($1.offset) }
        return ~remainder
    }

    static let ipv4Address = ProxyHeaderTests.ipv4(0xC000_0201, 0xDC04)
    static let ipv6Address = ProxiedAddress.ipv6(
        high: UInt64(0x2001_0DB8_0000_0000).bigEndian, low: UInt64(1).bigEndian, port: 0xDC04)

    @Test(
        "headers are read, in any pieces",
        arguments: [
            (header(addresses: ipv4), ipv4Address), (header(family: 0x12, addresses: ipv4), ipv4Address),
            (header(family: 0x21, addresses: ipv6), ipv6Address), (header(family: 0x22, addresses: ipv6), ipv6Address),
            (header(family: 0x31, addresses: unix("/run/a")), .unix(path: "/run/a")),
            (header(family: 0x32, addresses: unix("")), .unix(path: "")),
            (
                header(family: 0x31, addresses: unix(String(repeating: "x", count: 108))),
                .unix(path: String(repeating: "x", count: 108))
            ),
            (header(family: 0x31, addresses: unix("\0abstract")), .unix(path: "")),
            (header(addresses: ipv4, extensions: [0x04, 0, 0]), ipv4Address),
            (header(addresses: ipv4, extensions: [0x01, 0, 2, 0x68, 0x32, 0xE0, 0, 1, 0]), ipv4Address),
            (header(family: 0x21, addresses: ipv6, extensions: [0x20, 0, 5, 0, 0, 0, 0, 0]), ipv6Address),
        ] as [([UInt8], ProxiedAddress)])
    func reads(bytes: [UInt8], address: ProxiedAddress) {
        ProxyHeaderTests.checkSplits(bytes, mean: .header(address, consumedByteCount: bytes.count))
    }

    @Test(
        "LOCAL, and what the proxy could not tell, mean the connection's own address, whatever comes along",
        arguments: [
            header(command: 0x20, family: 0x00, addresses: []), header(command: 0x20, addresses: ipv4),
            header(command: 0x20, addresses: []), header(command: 0x20, family: 0xFF, addresses: [1, 2, 3]),
            header(command: 0x20, family: 0x00, addresses: [], extensions: [0x03, 0, 4, 1, 2, 3, 4]),
            header(family: 0x00, addresses: []), header(family: 0x00, addresses: [1, 2, 3]),
            header(family: 0x10, addresses: ipv4), header(family: 0x01, addresses: []),
            header(family: 0x30, addresses: []),
        ])
    func local(bytes: [UInt8]) {
        ProxyHeaderTests.checkSplits(bytes, mean: .header(.local, consumedByteCount: bytes.count))
    }

    @Test("what is unknown is refused at its byte")
    func refusesTheUnknown() {
        func parse(_ bytes: [UInt8]) -> ProxyHeader.Outcome { ProxyHeaderTests.parse(Self.signature + bytes) }
        for byte in UInt8.min...UInt8.max {
            let expected: ProxyHeader.Outcome =
                switch (byte >> 4, byte & 0x0F) {
                case (2, 0...1): .needsMoreBytes
                case (2, let command): .failure(.unknownCommand(command))
                case (let version, _): .failure(.unsupportedVersion(version))
                }
            #expect(parse([byte]) == expected, "\(byte)")
            let expectedFamily: ProxyHeader.Outcome =
                switch (byte >> 4, byte & 0x0F) {
                case (0...3, 0...2): .needsMoreBytes
                case (0...3, let transport): .failure(.unknownTransport(transport))
                case (let family, _): .failure(.unknownFamily(family))
                }
            #expect(parse([0x21, byte]) == expectedFamily, "\(byte)")
            #expect(parse([0x20, byte]) == .needsMoreBytes, "LOCAL ignores the family")
        }
        for error in [
            ProxyHeaderError.unknownCommand(2), .unsupportedVersion(1), .unknownFamily(4), .unknownTransport(3),
        ] {
            #expect(error.description.contains("PROXY"))
        }
    }

    @Test("addresses must be whole", arguments: [0x11, 0x12, 0x21, 0x31] as [UInt8], [-1, 0, 1])
    func requiresAddresses(family: UInt8, difference: Int) {
        let required = [1: 12, 2: 36, 3: 216][family >> 4] ?? 0
        let byteCount = required + difference
        let bytes = Self.header(family: family, addresses: [UInt8](repeating: 0, count: byteCount))
        let outcome = ProxyHeaderTests.parse(bytes)
        switch difference {
        case -1:
            #expect(outcome == .failure(.addressTooShort(byteCount: byteCount, required: required)))
            #expect(ProxyHeaderTests.parse(Array(bytes[..<16])) == outcome, "told before the addresses come")
        case 0:
            guard case .header(_, bytes.count) = outcome else {
                Issue.record("\(outcome)")
                return
            }
        default: #expect(outcome == .failure(.malformedExtension), "one byte is no TLV")
        }
    }

    @Test("a header is at most so large", arguments: [-1, 0, 1])
    func limitsHeaders(difference: Int) {
        let valueByteCount = ProxyHeader.byteCountMax + difference - 16 - 12 - 3
        let extensions =
            [0x04, UInt8(valueByteCount >> 8), UInt8(valueByteCount & 0xFF)]
            + [UInt8](repeating: 0, count: valueByteCount)
        for command in [UInt8(0x20), 0x21] {
            let bytes = Self.header(command: command, addresses: Self.ipv4, extensions: extensions)
            #expect(bytes.count == ProxyHeader.byteCountMax + difference)
            let outcome = ProxyHeaderTests.parse(bytes)
            guard difference > 0 else {
                #expect(outcome == .header(command == 0x20 ? .local : Self.ipv4Address, consumedByteCount: bytes.count))
                continue
            }
            #expect(outcome == .failure(.headerTooLarge(limit: ProxyHeader.byteCountMax)))
            #expect(ProxyHeaderTests.parse(Array(bytes[..<16])) == outcome, "told before the header comes")
        }
    }

    @Test(
        "a TLV must fit",
        arguments: [
            [0x04], [0x04, 0], [0x04, 0, 1], [0x04, 0, 3, 1, 2], [0x04, 1, 0, 1], [0x04, 0xFF, 0xFF],
            [0x04, 0, 0, 0x01],
            [0x04, 0, 1, 0, 0xE0, 0],
        ] as [[UInt8]])
    func refusesTLVs(extensions: [UInt8]) {
        let bytes = Self.header(addresses: Self.ipv4, extensions: extensions)
        // Even if what follows the header would complete it.
        #expect(ProxyHeaderTests.parse(bytes + [0, 0, 0, 0]) == .failure(.malformedExtension))
    }

    @Test("the reference checksum is that of the standard's check value")
    func knownChecksum() {
        #expect(Self.referenceCRC32C(Array("123456789".utf8)) == 0xE306_9283)
    }

    @Test("a checksum is verified, wherever it stands (proxy-protocol 2.2.3)")
    func verifiesChecksums() {
        for (before, after) in [
            ([], []), ([0x04, 0, 1, 9], []), ([], [0x01, 0, 1, 7]), ([0xE0, 0, 0], [0xE1, 0, 0]),
        ]
            as [([UInt8], [UInt8])]
        {
            let bytes = Self.checked(addresses: Self.ipv4, before: before, after: after)
            ProxyHeaderTests.checkSplits(bytes, mean: .header(Self.ipv4Address, consumedByteCount: bytes.count))
            for bit in UInt8(0)..<8 {
                let wrong = Self.checked(addresses: Self.ipv4, before: before, after: after, flipping: 1 << bit)
                #expect(ProxyHeaderTests.parse(wrong) == .failure(.wrongChecksum))
            }
            var damaged = bytes
            damaged[17] ^= 1
            #expect(ProxyHeaderTests.parse(damaged) == .failure(.wrongChecksum))
        }
    }

    @Test(
        "a checksum has four bytes and comes once",
        arguments: [
            [0x03, 0, 0], [0x03, 0, 3, 0, 0, 0], [0x03, 0, 5, 0, 0, 0, 0, 0],
            [0x03, 0, 4, 0, 0, 0, 0, 0x03, 0, 4, 0, 0, 0, 0],
        ] as [[UInt8]])
    func refusesChecksums(extensions: [UInt8]) {
        let bytes = Self.header(addresses: Self.ipv4, extensions: extensions)
        #expect(ProxyHeaderTests.parse(bytes) == .failure(.malformedExtension))
    }
}
