import RoostWebSocket
import Testing

/// RFC 7692 §7.2.2 and the limits on what a message may inflate to.
@Suite struct InflaterTests {
    static let hello = Array("Hello".utf8)

    static func tooBig(_ limit: Int) -> Inflated {
        .failure(.messageTooBig(byteCount: UInt64(limit) + 1, limit: UInt64(limit)))
    }

    /// The payloads of the text, each of which inflates to "Hello".
    static let examples: [(section: String, payload: [UInt8])] = [
        ("7.2.3.1", [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]),
        ("7.2.3.3", [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00]),
        ("7.2.3.4", [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]),
        ("7.2.3.5", [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00]),
    ]

    @Test("RFC 7692 §7.2.3: the examples inflate, in pieces of any size", arguments: 1...14, [1, 2, 3, 4, 5, 6, 100])
    func readsTheExamples(pieceByteCount: Int, roomByteCount: Int) {
        let inflater = Inflater(windowBits: 15)
        for (section, payload) in Self.examples {
            let inflated = inflater.message(
                payload, limit: 5, pieceByteCount: pieceByteCount, roomByteCount: roomByteCount)
            #expect(inflated == .message(Self.hello), "§\(section)")
        }
        #expect(inflater.message([0x00], limit: 0) == .message([]), "§7.2.3.6")
    }

    @Test("RFC 7692 §7.2.3.2: a message may refer to the one before, if context is kept and only then")
    func keepsContext() {
        for (section, first) in Self.examples {
            let inflater = Inflater(windowBits: 15)
            #expect(inflater.message(first, keepsContext: true) == .message(Self.hello))
            let second: [UInt8] = [0xF2, 0x00, 0x11, 0x00, 0x00]
            #expect(inflater.message(second, keepsContext: false) == .message(Self.hello), "after §\(section)")
            #expect(inflater.message(second) == .failure(.compressedDataInvalid))
        }
    }

    @Test("RFC 7692 §7.2.3.4: after a final block the message may end, or another stream follow")
    func goesOnAfterFinalBlocks() {
        let final: [UInt8] = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]
        let inflater = Inflater(windowBits: 15)
        for pieceByteCount in 1...15 {
            func inflated(_ payload: [UInt8]) -> Inflated {
                inflater.message(payload, pieceByteCount: pieceByteCount, roomByteCount: 3)
            }
            #expect(inflated(final) == .message(Self.hello))
            #expect(inflated(final + final) == .message(Self.hello + Self.hello))
            #expect(inflated(final + Self.examples[0].payload) == .message(Self.hello + Self.hello))
            #expect(inflated(final + [0x03, 0x00, 0x03, 0x00]) == .message(Self.hello), "empty final blocks")
        }
    }

    @Test("a sender that leaves the tail on, or sends nothing for an empty message, is understood")
    func readsUnstrippedTails() {
        let inflater = Inflater(windowBits: 15)
        for _ in 0..<2 {
            let payload = Self.examples[0].payload + [0x00, 0x00, 0xFF, 0xFF]
            #expect(inflater.message(payload, keepsContext: true) == .message(Self.hello))
            #expect(inflater.message([], keepsContext: true) == .message([]))
            #expect(inflater.message([0xF2, 0x00, 0x11, 0x00, 0x00], keepsContext: true) == .message(Self.hello))
        }
    }

    @Test("a message that ends inside a block is refused: its text would be cut off", arguments: examples.indices)
    func refusesTruncatedMessages(index: Int) {
        let payload = Self.examples[index].payload
        // These parts are messages of their own: they end with a block, with the header of an empty one, or four bytes
        // before the end of a block, which the tail fills.
        let wholeByteCounts: [Set<Int>] = [[], [1, 6, 10], [7], [4, 8]]
        for byteCount in 1..<payload.count where !wholeByteCounts[index].contains(byteCount) {
            let inflated = Inflater(windowBits: 15).message(Array(payload.prefix(byteCount)))
            #expect(inflated == .failure(.compressedDataInvalid), "\(byteCount) of \(payload.count) bytes")
        }
    }

    @Test(
        "what is not DEFLATE is refused (RFC 1951 §3.2.3)",
        arguments: [
            ("reserved block type", [0x07]), ("reserved block type after a final block", [0x03, 0x00, 0x07]),
            ("length unlike its complement", [0x00, 0x05, 0x00, 0xFA, 0xFE, 0x48]),
            ("distance before the start", [0xF2, 0x00, 0x11, 0x00, 0x00]),
            ("garbage after the message", [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0xAA]),
            ("garbage after a final block", [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0xFF]),
            ("a zlib header", [0x78, 0x9C, 0xF2, 0x48]), ("text", Array("Hello".utf8)),
        ] as [(String, [UInt8])])
    func refusesWrongData(what: String, payload: [UInt8]) {
        let inflater = Inflater(windowBits: 15)
        for pieceByteCount in [1, 2, 100] {
            #expect(
                inflater.message(payload, pieceByteCount: pieceByteCount, keepsContext: true)
                    == .failure(.compressedDataInvalid))
            #expect(inflater.message(Self.examples[0].payload) == .message(Self.hello), "of no use after a failure")
        }
    }

    @Test(
        "the limit holds to the byte, and no room is wanted beyond it", arguments: [1, 2, 100, 4_096, 70_000], -2...2)
    func limits(payloadByteCount: Int, difference: Int) {
        let limit = max(0, payloadByteCount + difference)
        for sample in Sample.allCases {
            let payload = sample.bytes(count: payloadByteCount, seed: 3)
            let message = Deflater(windowBits: 15, level: 6, memoryLevel: 8).message(payload)
            for roomByteCount in [7, 4_096, 1 << 20] {
                let inflated = Inflater(windowBits: 15).message(message, limit: limit, roomByteCount: roomByteCount)
                #expect(inflated == (limit >= payloadByteCount ? .message(payload) : Self.tooBig(limit)))
            }
        }
    }

    @Test(
        "what is too large and no DEFLATE data either is refused, in any pieces (found by FuzzDeflate)",
        arguments: 1...12)
    func refusesBoth(pieceByteCount: Int) {
        let payload: [UInt8] = [0xF2, 0x07, 0x00, 0x00, 0x00, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]
        let inflated = Inflater(windowBits: 15).message(payload, limit: 0, pieceByteCount: pieceByteCount)
        #expect([Self.tooBig(0), .failure(.compressedDataInvalid)].contains(inflated))
    }

    @Test("a bomb is stopped at the limit: 10 MB of zeros in 10 KB", arguments: [0, 1, 1_000, 1 << 20])
    func stopsBombs(limit: Int) {
        let bomb = Deflater(windowBits: 15, level: 9, memoryLevel: 8)
            .message([UInt8](repeating: 0, count: 10_000_000))
        #expect(bomb.count < 12_000)
        for pieceByteCount in [1, 1_000, .max] {
            // That no room is wanted beyond the limit, `message` checks at each step.
            let inflated = Inflater(windowBits: 15).message(
                bomb, limit: limit, pieceByteCount: pieceByteCount, roomByteCount: 65_536)
            #expect(inflated == Self.tooBig(limit))
        }
    }

    @Test("a message that was given up leaves nothing behind")
    func startsAfresh() {
        let inflater = Inflater(windowBits: 15)
        var room: [UInt8] = [0, 0, 0]
        for isEnd in [false, true] {
            inflater.begin(limit: 100)
            // Safe: the buffers are used during the call only.
            let step = unsafe room.withUnsafeMutableBytes { room in
                unsafe Self.examples[0].payload.withUnsafeBytes {
                    unsafe inflater.inflate($0, isEnd: isEnd, into: room)
                }
            }
            guard case .needsOutput(_, 3) = step else {
                Issue.record("\(step)")
                return
            }
            if isEnd { inflater.finish(keepsContext: true) }
            #expect(inflater.message(Self.examples[1].payload) == .message(Self.hello))
            #expect(inflater.message([0xF2, 0x00, 0x11, 0x00, 0x00]) == .failure(.compressedDataInvalid))
        }
    }

    @Test("random bytes are refused or inflate to the same in any pieces", arguments: UInt64(0)..<200)
    func randomBytes(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var payload = Deflater(windowBits: 15, level: 6, memoryLevel: 8)
            .message(Sample.json.bytes(count: 500, seed: seed))
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
            payload[Int.random(in: payload.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
        }
        let inflater = Inflater(windowBits: 15)
        let whole = inflater.message(payload, limit: 2_000, roomByteCount: 2_000)
        let pieces = inflater.message(payload, limit: 2_000, pieceByteCount: 3, roomByteCount: 5)
        #expect(whole == pieces)
    }
}
