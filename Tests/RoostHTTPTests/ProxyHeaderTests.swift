import RoostHTTP
import Testing

/// proxy-protocol.txt of HAProxy, §2: what holds for both versions, and version 1.
@Suite struct ProxyHeaderTests {
    /// What is made of a header that arrives in pieces which end at `ends`.
    static func parse(_ bytes: [UInt8], pieceEnds ends: [Int] = []) -> ProxyHeader.Outcome {
        var last = ProxyHeader.Outcome.needsMoreBytes
        for end in ends.isEmpty ? [bytes.count] : ends {
            last = ProxyHeader.parse(bytes.span.extracting(0..<end))
            guard last == .needsMoreBytes else { break }
        }
        return last
    }

    static func parse(_ text: String) -> ProxyHeader.Outcome { parse(Array(text.utf8)) }

    static func ipv4(_ number: UInt32, _ port: UInt16) -> ProxiedAddress {
        .ipv4(source: number.bigEndian, port: port)
    }

    /// Checks that every split of `bytes` means `expected`, and that what follows the header is not looked at.
    static func checkSplits(_ bytes: [UInt8], mean expected: ProxyHeader.Outcome) {
        for end in 0..<bytes.count where parse(bytes, pieceEnds: [end]) != .needsMoreBytes {
            Issue.record("does not wait at \(end)")
        }
        for tail in [[], [0x00], Array("\r\nGET / HTTP/1.1".utf8), bytes] as [[UInt8]] {
            #expect(parse(bytes + tail) == expected)
            #expect(parse(bytes + tail, pieceEnds: Array(0...bytes.count)) == expected)
        }
    }

    @Test(
        "version 1 lines are read, in any pieces",
        arguments: [
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", ipv4(0xC000_0201, 56_324)),
            ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", ipv4(0xFFFF_FFFF, 65_535)),
            ("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", ipv4(0, 0)),
            (
                "PROXY TCP6 2001:db8::1 ::1 1 2\r\n",
                .ipv6(high: UInt64(0x2001_0DB8_0000_0000).bigEndian, low: UInt64(1).bigEndian, port: 1)
            ),
            (
                "PROXY TCP6 ffff:FFFF:ffff:ffff:ffff:ffff:ffff:ffff "
                    + "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
                .ipv6(high: .max, low: .max, port: 65_535)
            ),
            (
                "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n",
                .ipv6(high: 0, low: UInt64(0xFFFF_C000_0201).bigEndian, port: 1)
            ),
            ("PROXY UNKNOWN\r\n", .local), ("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", .local),
            ("PROXY UNKNOWN anything \0 \u{80}\r\n", .local),
        ] as [(String, ProxiedAddress)])
    func readsLines(line: String, address: ProxiedAddress) {
        let bytes = Array(line.utf8)
        Self.checkSplits(bytes, mean: .header(address, consumedByteCount: bytes.count))
    }

    @Test("the two ways to pass bytes agree")
    func parsesRawBuffers() {
        let bytes = Array("PROXY UNKNOWN\r\nGET".utf8)
        // Safe: the buffer is used during the call only.
        let outcome = unsafe bytes.withUnsafeBytes { unsafe ProxyHeader.parse($0) }
        #expect(outcome == .header(.local, consumedByteCount: 15))
        #expect(unsafe ProxyHeader.parse(UnsafeRawBufferPointer(start: nil, count: 0)) == .needsMoreBytes)
    }

    @Test("addresses are told as such too")
    func tellsAddresses() {
        #expect(Self.ipv4(0xC000_0201, 1).ipAddress?.description == "192.0.2.1")
        let mapped = ProxiedAddress.ipv6(high: 0, low: UInt64(0xFFFF_C000_0201).bigEndian, port: 1)
        #expect(mapped.ipAddress == Self.ipv4(0xC000_0201, 1).ipAddress)
        #expect(ProxiedAddress.local.ipAddress == nil)
        #expect(ProxiedAddress.unix(path: "/a").ipAddress == nil)
    }

    @Test("a client without a proxy is refused at the first byte that no header has there")
    func refusesPlainClients() {
        for byte in UInt8.min...UInt8.max {
            let outcome = Self.parse([byte])
            #expect(outcome == (byte == 0x50 || byte == 0x0D ? .needsMoreBytes : .failure(.missing)), "\(byte)")
        }
        for text in [
            "GET / HTTP/1.1\r\n", "PO", "PUT", "PRI * HTTP/2.0", "PROXY\t", "PROXYX", "proxy ", "\r\n\r\n\0\r\nQUIX",
        ] {
            #expect(Self.parse(text) == .failure(.missing), "\(text)")
        }
        #expect(Self.parse([0x16, 0x03, 0x01]) == .failure(.missing), "TLS")
        for start in [Array("PROXY ".utf8), BinaryProxyHeaderTests.signature] {
            for (index, byte) in start.enumerated().dropFirst() {
                let wrong = Array(start[..<index]) + [byte ^ 0x20]
                #expect(Self.parse(wrong) == .failure(.missing))
                #expect(Self.parse(Array(wrong.dropLast())) == .needsMoreBytes)
            }
        }
        #expect(ProxyHeaderError.missing.description.contains("PROXY header"))
    }

    @Test(
        "version 1 is read to the letter",
        arguments: [
            ("PROXY \r\n", ProxyHeaderError.malformedLine), ("PROXY TCP5", .malformedLine),
            ("PROXY tcp4", .malformedLine),
            ("PROXY  TCP4", .malformedLine), ("PROXY TCP4\r\n", .malformedLine), ("PROXY TCP4 \r\n", .malformedLine),
            ("PROXY TCP44", .malformedLine), ("PROXY UNKNOWNX", .malformedLine), ("PROXY UNKNOWN\n", .malformedLine),
            ("PROXY UNKNOWN\rX", .malformedLine), ("PROXY TCP4 1.2.3.4 1.2.3.5 1 2\n", .malformedLine),
            ("PROXY TCP4 1.2.3.4 1.2.3.5 1 2\r\r\n", .malformedLine),
            ("PROXY TCP4 1.2.3.4 1.2.3.5 1\r\n", .malformedLine),
            ("PROXY TCP4 1.2.3.4 1.2.3.5 1 2 3\r\n", .malformedLine),
            ("PROXY TCP4 1.2.3.4 1.2.3.5 1 2 \r\n", .malformedLine),
            ("PROXY TCP4 1.2.3.4  1.2.3.5 1 2\r\n", .malformedLine), ("PROXY TCP4\t", .malformedLine),
            ("PROXY TCP4 1.2.3.4\t", .malformedLine), ("PROXY TCP4 1.2.3.4 x", .malformedLine),
            ("PROXY TCP4 -1", .malformedLine), ("PROXY TCP4 \0", .malformedLine),
            ("PROXY TCP4 1.2.3.04 1.2.3.5 1 2\r\n", .invalidAddress),
            ("PROXY TCP4 1.2.3 1.2.3.5 1 2\r\n", .invalidAddress),
            ("PROXY TCP4 1.2.3.256 1.2.3.5 1 2\r\n", .invalidAddress), ("PROXY TCP4 ::1 ::1 1 2\r\n", .invalidAddress),
            ("PROXY TCP4 1.2.3.4 ::1 1 2\r\n", .invalidAddress), ("PROXY TCP4 1.2.3.4 1.2.3 1 2\r\n", .invalidAddress),
            ("PROXY TCP4 ::ffff:1.2.3.4 ::ffff:1.2.3.4 1 2\r\n", .invalidAddress),
            ("PROXY TCP4 abcd abcd 1 2\r\n", .invalidAddress),
            ("PROXY TCP6 1.2.3.4 1.2.3.5 1 2\r\n", .invalidAddress),
            ("PROXY TCP6 ::1 1.2.3.4 1 2\r\n", .invalidAddress),
            ("PROXY TCP6 ::1:: ::1 1 2\r\n", .invalidAddress), ("PROXY TCP6 12345::1 ::1 1 2\r\n", .invalidAddress),
            ("PROXY TCP4 1.2.3.4 1.2.3.5 01 2\r\n", .invalidPort),
            ("PROXY TCP4 1.2.3.4 1.2.3.5 00 2\r\n", .invalidPort),
            ("PROXY TCP4 1.2.3.4 1.2.3.5 65536 2\r\n", .invalidPort),
            ("PROXY TCP4 1.2.3.4 1.2.3.5 1 65536\r\n", .invalidPort),
            ("PROXY TCP4 1.2.3.4 1.2.3.5 1 02\r\n", .invalidPort), ("PROXY TCP4 1.2.3.4 1.2.3.5 a 2\r\n", .invalidPort),
            ("PROXY TCP4 1.2.3.4 1.2.3.5 99999999999 2\r\n", .invalidPort),
            ("PROXY TCP4 1.2.3.4 1.2.3.5  2\r\n", .invalidPort),
        ])
    func refusesLines(line: String, error: ProxyHeaderError) {
        let bytes = Array(line.utf8)
        #expect(Self.parse(bytes) == .failure(error))
        #expect(Self.parse(bytes, pieceEnds: Array(0...bytes.count)) == .failure(error))
        #expect(error.description.contains("proxy-protocol 2.1"))
    }

    @Test("a line has at most 107 bytes", arguments: [-1, 0, 1])
    func limitsLines(difference: Int) {
        let text = String(repeating: "x", count: 107 + difference - 16)
        let bytes = Array("PROXY UNKNOWN \(text)\r\n".utf8)
        #expect(bytes.count == 107 + difference)
        let expected: ProxyHeader.Outcome =
            difference <= 0 ? .header(.local, consumedByteCount: bytes.count) : .failure(.lineTooLong)
        #expect(Self.parse(bytes) == expected)
        #expect(Self.parse(bytes, pieceEnds: Array(0...bytes.count)) == expected)
    }

    @Test("a line that never ends is refused when the limit is reached, not later")
    func refusesEndlessLines() {
        for start in ["PROXY UNKNOWN ", "PROXY TCP4 "] {
            let bytes = Array(start.utf8) + [UInt8](repeating: 0x31, count: 100)
            #expect(Self.parse(bytes, pieceEnds: [106]) == .needsMoreBytes)
            #expect(Self.parse(bytes, pieceEnds: [106, 107]) == .failure(.lineTooLong))
        }
    }

    @Test("random headers, whole or damaged, mean the same in any pieces", arguments: UInt64(0)..<400)
    func anyPiecesMeanTheSame(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let starts = [
            Array("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n".utf8),
            Array("PROXY TCP6 2001:db8::1 ::1 1 2\r\n".utf8), Array("PROXY UNKNOWN x\r\n".utf8),
            BinaryProxyHeaderTests.header(addresses: generator.bytes(count: 12), extensions: [0x03, 0, 4, 1, 2, 3, 4]),
            BinaryProxyHeaderTests.header(
                family: 0x21, addresses: generator.bytes(count: 36), extensions: [0x04, 0, 2, 1, 2]),
        ]
        var bytes = starts.randomElement(using: &generator)! + generator.bytes(count: 9)
        for _ in 0..<Int.random(in: 0...2, using: &generator) {
            bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
        }
        let whole = Self.parse(bytes)
        #expect(Self.parse(bytes, pieceEnds: Array(0...bytes.count)) == whole)
        if case .header(_, let byteCount) = whole {
            #expect(Self.parse(Array(bytes[..<byteCount])) == whole, "it has looked beyond the header")
        }
    }
}
