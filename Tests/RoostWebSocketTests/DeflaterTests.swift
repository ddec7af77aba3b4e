import RoostWebSocket
import Testing

/// RFC 7692 §7.2: what is deflated inflates to the same, however it is cut.
@Suite struct DeflaterTests {
    static let sizes = [0, 1, 125, 126, 65_535, 65_536, 1 << 20]
    /// A payload of each kind and size.
    static let payloads = Sample.allCases.map { sample in
        sizes.map { sample.bytes(count: $0, seed: UInt64($0)) }
    }

    @Test("RFC 7692 §7.2.3.1: 'Hello' has the bytes of the text; again with context, §7.2.3.2")
    func writesTheExamples() {
        let hello = Array("Hello".utf8)
        let kept = Deflater(windowBits: 15, level: 6, memoryLevel: 8)
        #expect(kept.message(hello, keepsContext: true) == [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])
        #expect(kept.message(hello, keepsContext: false) == [0xF2, 0x00, 0x11, 0x00, 0x00])
        #expect(kept.message(hello) == [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])
        let uncompressed = Deflater(windowBits: 15, level: 0, memoryLevel: 8)
        #expect(
            uncompressed.message(hello)
                == [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00], "§7.2.3.3")
    }

    @Test("RFC 7692 §7.2.3.6: an empty message is one zero byte, whatever came before", arguments: [true, false])
    func writesEmptyMessages(keepsContext: Bool) {
        let deflater = Deflater(windowBits: 15, level: 6, memoryLevel: 8)
        let inflater = Inflater(windowBits: 15)
        for payload in [[], [], [1, 2, 3], [], [], [1, 2, 3]] as [[UInt8]] {
            let message = deflater.message(payload, keepsContext: keepsContext)
            #expect(!payload.isEmpty || message == [0x00])
            #expect(inflater.message(message, keepsContext: keepsContext) == .message(payload))
        }
    }

    @Test("every window, level, size and kind comes back, with context kept or not", arguments: 8...15, [0, 1, 6, 9])
    func roundTrips(windowBits: Int, level: Int) {
        for keepsContext in [true, false] {
            let deflater = Deflater(windowBits: windowBits, level: level, memoryLevel: 8)
            let inflater = Inflater(windowBits: windowBits)
            for index in Self.sizes.indices {
                let sample = (index + windowBits + level) % Sample.allCases.count
                let payload = Self.payloads[sample][index]
                // Twice, so that the second may refer to the first.
                for _ in 0..<2 {
                    let message = deflater.message(payload, keepsContext: keepsContext)
                    let inflated = inflater.message(message, roomByteCount: 65_536, keepsContext: keepsContext)
                    #expect(inflated == .message(payload), "\(Sample.allCases[sample]) of \(payload.count) bytes")
                    #expect(message.count <= payload.count + payload.count / 25 + 16, "zlib's own bound")
                }
            }
        }
    }

    @Test("any cut of the payload, of what is sent and of the room for it comes to the same", arguments: UInt64(0)..<40)
    func anySplit(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let windowBits = Int.random(in: 8...15, using: &generator)
        let keepsContext = Bool.random(using: &generator)
        let deflater = Deflater(
            windowBits: windowBits, level: Int.random(in: 0...9, using: &generator),
            memoryLevel: Int.random(in: 1...9, using: &generator))
        let inflater = Inflater(windowBits: windowBits)
        let cuts = [1, 2, 3, 7, 64, 999, 65_536]
        for sample in Sample.allCases {
            let size = [0, 1, 5, 300, 5_000, 20_000].randomElement(using: &generator)!
            let payload = sample.bytes(count: size, seed: seed)
            let message = deflater.message(
                payload, pieceByteCount: cuts.randomElement(using: &generator)!, keepsContext: keepsContext)
            let inflated = inflater.message(
                message, limit: payload.count, pieceByteCount: cuts.randomElement(using: &generator)!,
                roomByteCount: cuts.randomElement(using: &generator)!, keepsContext: keepsContext)
            #expect(inflated == .message(payload), "\(sample) of \(size) bytes")
        }
    }

    @Test("RFC 7692 §7.1.2: a window of 2^w bytes is all that what was deflated for it needs", arguments: 8...15)
    func keepsToTheWindow(windowBits: Int) {
        let payload = Sample.repeats.bytes(count: min(50_000, 8 << windowBits), seed: UInt64(windowBits))
        let message = Deflater(windowBits: windowBits, level: 9, memoryLevel: 8).message(payload)
        // Room for one byte at a time: nothing before the window is left in the output that zlib could look at.
        #expect(Inflater(windowBits: windowBits).message(message, roomByteCount: 1) == .message(payload))
        guard windowBits > 9 else { return }
        let narrower = Inflater(windowBits: windowBits - 1).message(message, roomByteCount: 1)
        #expect(narrower == .failure(.compressedDataInvalid), "the sample does not use the whole window")
    }

    @Test("context is what makes a repeated message small, and only if it is kept")
    func usesContext() {
        let payload = Sample.noise.bytes(count: 1_000, seed: 1)
        let deflater = Deflater(windowBits: 15, level: 6, memoryLevel: 8)
        _ = deflater.message(payload, keepsContext: true)
        #expect(deflater.message(payload, keepsContext: false).count < 50)
        #expect(deflater.message(payload, keepsContext: false).count > 1_000)
        #expect(deflater.message([], keepsContext: true) == [0])
        #expect(deflater.message(payload, keepsContext: true).count > 1_000)
        #expect(deflater.message([], keepsContext: false) == [0], "an empty message ends the context, too")
        #expect(deflater.message(payload, keepsContext: true).count > 1_000)
    }

    @Test("a message that was given up leaves nothing behind")
    func startsAfresh() {
        let payload = Array("Hello".utf8)
        let deflater = Deflater(windowBits: 15, level: 6, memoryLevel: 8)
        deflater.begin()
        // Safe: the buffer is used during the call only.
        unsafe payload.withUnsafeBytes { unsafe deflater.append($0) }
        #expect(deflater.message(payload) == [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])
    }

    @Test("memory is reported, and what a large message took can be given back")
    func reportsMemory() {
        let deflater = Deflater(windowBits: 15, level: 1, memoryLevel: 8)
        let own = Deflater.byteCount(windowBits: 15, memoryLevel: 8)
        #expect(own >= 256 << 10 && own < 272 << 10, "128 KiB and 128 KiB and a few (zconf.h)")
        #expect(deflater.byteCount == own)
        let payload = Sample.noise.bytes(count: 200_000, seed: 1)
        let message = deflater.message(payload)
        #expect(deflater.byteCount >= own + message.count)
        deflater.releaseExcess()
        #expect(deflater.byteCount == own)
        #expect(Inflater(windowBits: 15).message(deflater.message(payload)) == .message(payload))
        let small = Deflater(windowBits: 9, level: 1, memoryLevel: 1)
        let smallMessage = small.message([1, 2, 3])
        let before = small.byteCount
        small.releaseExcess()
        #expect(small.byteCount == before, "nothing to give back of \(smallMessage.count) bytes")
        #expect(Inflater(windowBits: 15).byteCount == 32_768 + 7_168)
        #expect(Inflater.byteCount(windowBits: 8) == 256 + 7_168)
    }

    @Test("calls out of order and pieces above the maximum trap: it would be our bug")
    func trapsOnMisuse() async {
        await #expect(processExitsWith: .failure) {
            _ = unsafe Deflater(windowBits: 15, level: 1, memoryLevel: 8).finish(keepsContext: false)
        }
        await #expect(processExitsWith: .failure) {
            _ = Deflater(windowBits: 15, level: 1, memoryLevel: 8)
                .message([UInt8](repeating: 0, count: 65_537), pieceByteCount: 65_537)
        }
        await #expect(processExitsWith: .failure) { _ = Deflater(windowBits: 7, level: 1, memoryLevel: 8) }
        await #expect(processExitsWith: .failure) { _ = Inflater(windowBits: 16) }
        await #expect(processExitsWith: .failure) { Inflater(windowBits: 15).finish(keepsContext: false) }
    }
}
