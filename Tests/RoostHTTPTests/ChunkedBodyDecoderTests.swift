import RoostHTTP
import Testing

/// RFC 9112 §7.1: chunked bodies.
@Suite struct ChunkedBodyDecoderTests {
    static let example = "5\r\nhello\r\n6 ;a=\"b\";c\r\n world\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n"

    @Test("chunks are put together; what follows the body is left alone")
    func decodes() {
        let end = DecodedBody.End.end(consumedByteCount: Self.example.utf8.count)
        let expected = DecodedBody(data: Array("hello world".utf8), end: end)
        #expect(decodeBody(Self.example) == expected)
        #expect(decodeBody(Self.example + "GET / HTTP/1.1\r\n") == expected)
        #expect(decodeBody(Self.example + "\n\0") == expected)
    }

    @Test("every split into two and three pieces, and byte by byte")
    func anySplitMeansTheSame() {
        let bytes = Array(Self.example.utf8)
        let expected = decodeBody(bytes)
        for first in 0..<bytes.count {
            #expect(decodeBody(bytes, pieceEnds: [first]).end == .none)
            for second in first...bytes.count {
                if decodeBody(bytes, pieceEnds: [first, second, bytes.count]) != expected {
                    Issue.record("split at \(first) and \(second)")
                }
            }
        }
        #expect(decodeBody(bytes, pieceEnds: Array(0...bytes.count)) == expected)
    }

    @Test("the two ways to pass bytes agree, and data is told where it lies")
    func decodesRawBuffers() {
        let bytes = Array("3\r\nabc\r\n0\r\n\r\n".utf8)
        var decoder = ChunkedBodyDecoder(bodyByteCountMax: 3)
        // Safe: the buffer is used during the call only.
        let event = unsafe bytes.withUnsafeBytes { unsafe decoder.decode($0) }
        #expect(event == .data(offset: 3, byteCount: 3, consumedByteCount: 6))
        #expect(decoder.decode(bytes.span.extracting(6...)) == .end(consumedByteCount: 7))
        #expect(decoder.decode(bytes.span) == .end(consumedByteCount: 0), "it has ended and consumes no more")
    }

    @Test("a buffer without bytes is consumed in any state")
    func acceptsNothing() {
        let bytes = Array(Self.example.utf8)
        for end in 0..<bytes.count {
            #expect(decodeBody(bytes, pieceEnds: [end, end, end, bytes.count]) == decodeBody(bytes))
        }
    }

    @Test("all but trailers is consumed at once, so that a caller keeps nothing")
    func consumes() {
        var decoder = ChunkedBodyDecoder(bodyByteCountMax: 10)
        #expect(decoder.decode(Array("00".utf8).span) == .needsMoreBytes(consumedByteCount: 2))
        #expect(decoder.decode(Array("5;abc\r".utf8).span) == .needsMoreBytes(consumedByteCount: 6))
        #expect(decoder.decode(Array("\nab".utf8).span) == .data(offset: 1, byteCount: 2, consumedByteCount: 3))
        #expect(decoder.decode(Array("cde\r".utf8).span) == .data(offset: 0, byteCount: 3, consumedByteCount: 3))
        #expect(decoder.decode(Array("\r".utf8).span) == .needsMoreBytes(consumedByteCount: 1))
        #expect(decoder.decode(Array("\n0\r\nX: 1\r".utf8).span) == .needsMoreBytes(consumedByteCount: 4))
        #expect(decoder.decode(Array("X: 1\r\n\r\nG".utf8).span) == .end(consumedByteCount: 8))
    }

    @Test(
        "sizes are 1 to 16 hexadecimal digits in any case",
        arguments: ["0003", "3", "0000000000000003", "A", "a", "fF"])
    func acceptsSizes(size: String) throws {
        let byteCount = try #require(Int(size, radix: 16))
        let data = String(repeating: "x", count: byteCount)
        #expect(decodeBody("\(size)\r\n\(data)\r\n0\r\n\r\n").text == data)
        #expect(decodeBody("\(size)\r\n\(data)\r\n0000000000000000\r\n\r\n").isEnded)
    }

    @Test(
        "RFC 9112 §7.1: what is no size is refused",
        arguments: [
            "\r\n", "g\r\n", "0x3\r\n", "+3\r\n", "-3\r\n", " 3\r\n", "\t3\r\n", "3 \r\n", "3\t\r\n", "3 3\r\n",
            "3,\r\n",
            "3h\r\n", ";a\r\n", "00000000000000003\r\n", "ffffffffffffffff0\r\n", "3\0\r\n", "\u{661}\r\n", "3_0\r\n",
            "3.0\r\n", "3\u{0B}\r\n", "3 a\r\n", "\"3\"\r\n",
        ])
    func refusesSizes(line: String) {
        #expect(decodeBody(line) == DecodedBody(end: .failure(.malformedChunkSize)))
        #expect(decodeBody("1\r\na\r\n" + line) == DecodedBody(data: [0x61], end: .failure(.malformedChunkSize)))
    }

    @Test("a huge size does not overflow", arguments: ["7fffffffffffffff", "8000000000000000", "ffffffffffffffff"])
    func survivesHugeSizes(size: String) {
        for limit in [0, 1_000, Int.max - 1] {
            let body = decodeBody("\(size)\r\n", bodyByteCountMax: limit)
            #expect(body.error == .contentTooLarge(limit: limit))
        }
        let body = decodeBody("1\r\na\r\n\(size)\r\n", bodyByteCountMax: .max)
        #expect(body.error == .contentTooLarge(limit: .max))
    }

    @Test("the body: 413, as soon as a size tells it", arguments: [1, 5, 100], [-1, 0, 1])
    func limitsTheBody(limit: Int, difference: Int) {
        let byteCount = limit + difference
        let whole = String(byteCount, radix: 16) + "\r\n" + String(repeating: "x", count: byteCount) + "\r\n"
        let inOnes = String(repeating: "1\r\nx\r\n", count: byteCount)
        for chunks in byteCount > 0 ? [whole, inOnes] : [""] {
            let body = decodeBody(chunks + "0\r\n\r\n", bodyByteCountMax: limit)
            #expect(body.isEnded == (difference <= 0))
            #expect(body.data.count <= limit)
            if difference > 0 { #expect(body.error == .contentTooLarge(limit: limit)) }
        }
        #expect(HTTPError.contentTooLarge(limit: limit).status == .contentTooLarge)
    }

    @Test("a limit of nothing allows an empty body only")
    func allowsEmptyBodies() {
        #expect(decodeBody("0\r\n\r\n", bodyByteCountMax: 0).isEnded)
        #expect(decodeBody("1\r\n", bodyByteCountMax: 0).error == .contentTooLarge(limit: 0))
    }

    @Test(
        "RFC 9112 §7.1.1: extensions are skipped",
        arguments: [";a", ";a=b", ";a=\"b\"", " ; a = b", "\t;a;b=c", ";", ";\u{E9}", ";a=\"\\\"\""])
    func skipsExtensions(text: String) {
        #expect(decodeBody("1\(text)\r\na\r\n0\(text)\r\n\r\n").text == "a")
        #expect(decodeBody("1\(text)\r\na\r\n0\(text)\r\n\r\n").isEnded)
    }

    @Test(
        "an extension cannot hide the end of its line",
        arguments: [
            (";a\n", HTTPError.bareLineFeed), (";\n", .bareLineFeed), ("\n", .bareLineFeed),
            (" \n", .malformedChunkSize),
            (";a\rb", .bareCarriageReturn), (";\r\r\n", .bareCarriageReturn), ("\rX", .bareCarriageReturn),
            ("\r\r\n", .bareCarriageReturn), (";a\0", .invalidChunkExtension(0)),
            (";\u{7F}", .invalidChunkExtension(0x7F)), (";a=\"\n\"", .bareLineFeed),
            (";\u{0B}", .invalidChunkExtension(0x0B)),
        ])
    func refusesBareLineEnds(text: String, error: HTTPError) {
        #expect(decodeBody("1\(text)\r\na\r\n0\r\n\r\n") == DecodedBody(end: .failure(error)))
        #expect(decodeBody("0\(text)\r\n\r\n") == DecodedBody(end: .failure(error)))
    }

    @Test("extensions of all chunks together", arguments: [1, 2, 50], [-1, 0, 1])
    func limitsExtensions(limit: Int, difference: Int) {
        let byteCount = limit + difference
        let one = byteCount > 0 ? ";" + String(repeating: "x", count: byteCount - 1) : ""
        let inOne = "1\(one)\r\na\r\n0\r\n\r\n"
        let inMany = String(repeating: "1;\r\na\r\n", count: byteCount) + "0\r\n\r\n"
        let blanks =
            "1" + String(repeating: " ", count: max(0, byteCount - 1)) + (byteCount > 0 ? ";" : "")
            + "\r\na\r\n0\r\n\r\n"
        for bytes in [inOne, inMany, blanks] {
            let body = decodeBody(bytes, extensionByteCountMax: limit)
            #expect(body.isEnded == (difference <= 0))
            if difference > 0 { #expect(body.error == .chunkExtensionsTooLong(limit: limit)) }
        }
    }

    @Test("an extension that never ends is refused at its limit")
    func refusesEndlessExtensions() {
        let bytes = Array("1;".utf8) + [UInt8](repeating: 0x78, count: 98)
        #expect(decodeBody(bytes).end == .none)
        #expect(decodeBody(bytes + [0x78]).end == .none)
        #expect(decodeBody(bytes + [0x78, 0x78]).error == .chunkExtensionsTooLong(limit: 100))
    }

    @Test(
        "RFC 9112 §7.1: CR LF stands exactly behind each chunk",
        arguments: [
            "1\r\nab\r\n", "2\r\nab", "1\r\na\n", "1\r\na\rb", "1\r\na\r\r\n", "1\r\na0\r\n", "1\r\na \r\n", "1\r\na\0",
        ])
    func requiresLineEnds(text: String) {
        let body = decodeBody(text + "0\r\n\r\n")
        #expect(body.error == .chunkWithoutLineEnd)
        #expect(HTTPError.chunkWithoutLineEnd.status == .badRequest)
    }

    @Test("data may be anything, line ends and chunks too")
    func passesData() {
        for byte in UInt8.min...UInt8.max {
            let body = decodeBody(Array("3\r\n".utf8) + [byte, byte, byte] + Array("\r\n0\r\n\r\n".utf8))
            #expect(body.data == [byte, byte, byte])
        }
        #expect(decodeBody("5\r\n0\r\n\r\n\r\n0\r\n\r\n").text == "0\r\n\r\n")
    }

    @Test("a failure stays one")
    func staysFailed() {
        var decoder = ChunkedBodyDecoder(bodyByteCountMax: 10)
        #expect(decoder.decode(Array("x".utf8).span) == .failure(.malformedChunkSize))
        #expect(decoder.decode(Array("1\r\na".utf8).span) == .failure(.malformedChunkSize))
        #expect(decoder.decode([UInt8]().span) == .failure(.malformedChunkSize))
    }

    @Test("random bodies, whole or damaged, mean the same in any pieces", arguments: UInt64(0)..<300)
    func anyPiecesMeanTheSame(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var bytes: [UInt8] = []
        var data: [UInt8] = []
        for _ in 0..<Int.random(in: 0...5, using: &generator) {
            let chunk = generator.bytes(count: Int.random(in: 1...40, using: &generator))
            data += chunk
            bytes += Array((String(chunk.count, radix: 16) + (generator.chance(1, in: 3) ? ";a=b" : "") + "\r\n").utf8)
            bytes += chunk + [0x0D, 0x0A]
        }
        bytes += Array("0\r\nA: b\r\n\r\n".utf8)
        #expect(decodeBody(bytes).data == data)
        let interesting: [UInt8] = Array("\0\t\n\r ;:0aAfg\u{7F}".utf8)
        for _ in 0..<Int.random(in: 0...2, using: &generator) {
            bytes[Int.random(in: bytes.indices, using: &generator)] = interesting.randomElement(using: &generator)!
        }
        let whole = decodeBody(bytes)
        let ends = (0..<4).map { _ in Int.random(in: 0...bytes.count, using: &generator) }.sorted() + [bytes.count]
        #expect(decodeBody(bytes, pieceEnds: ends) == whole)
        #expect(decodeBody(bytes, pieceEnds: Array(0...bytes.count)) == whole)
    }

    @Test("limits that mean nothing trap")
    func trapsOnNegativeLimits() async {
        await #expect(processExitsWith: .failure) { _ = ChunkedBodyDecoder(bodyByteCountMax: -1) }
        await #expect(processExitsWith: .failure) {
            _ = ChunkedBodyDecoder(bodyByteCountMax: 1, extensionByteCountMax: -1)
        }
    }
}
