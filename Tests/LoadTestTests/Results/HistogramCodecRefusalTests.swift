// SPDX-License-Identifier: Apache-2.0

import CZlib
import Histogram
import LoadTesting
import Testing

/// An encoding made by hand, any part of which may be wrong.
private struct Encoding {
    var outerCookie: UInt32 = 0x1c84_9314
    var outerLength: UInt32?
    var cookie: UInt32 = 0x1c84_9313
    var length: UInt32?
    var offset: UInt32 = 0
    var digits: UInt32 = 3
    var lowest: UInt64 = 1
    var highest: UInt64 = 3_600_000_000_000
    var ratio = 1.0
    var counts: [UInt8] = [2]
    var behind: [UInt8] = []

    var bytes: [UInt8] {
        var payload = big(cookie) + big(length ?? UInt32(counts.count)) + big(offset) + big(digits)
        payload += big(lowest) + big(highest) + big(ratio.bitPattern) + counts
        var byteCount = compressBound(uLong(payload.count))
        var compressed = [UInt8](repeating: 0, count: Int(byteCount))
        // Safe: zlib reads and writes the arrays' own bytes, with their counts.
        unsafe #expect(compress2(&compressed, &byteCount, payload, uLong(payload.count), 9) == Z_OK)
        let body = compressed[..<Int(byteCount)] + behind
        return big(outerCookie) + big(outerLength ?? UInt32(body.count)) + body
    }

    private func big<Number: FixedWidthInteger>(_ value: Number) -> [UInt8] {
        stride(from: Number.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    func with(_ change: (inout Encoding) -> Void) -> Encoding {
        var copy = self
        change(&copy)
        return copy
    }
}

@Suite struct HistogramCodecRefusalTests {
    private func refusal(_ change: (inout Encoding) -> Void) -> HistogramCodecError? {
        #expect(throws: HistogramCodecError.self) { try HistogramCodec.decode(Encoding().with(change).bytes) }
    }

    @Test("an encoding made by hand is read: the cases below are refused for what they change")
    func baseline() throws {
        let histogram = try HistogramCodec.decode(Encoding().bytes)
        #expect(histogram.totalCount == 1)
    }

    @Test("cookies and lengths that are not those of the V2 encoding are refused")
    func headers() {
        #expect(refusal { $0.outerCookie = 0x1c84_9302 } == .wrongCookie(0x1c84_9302))
        #expect(refusal { $0.outerCookie = 0x1c84_9384 } == .wrongCookie(0x1c84_9384))
        #expect(refusal { $0.cookie = 0x1c84_9314 } == .wrongCookie(0x1c84_9314))
        let length = Encoding().bytes.count - 8
        #expect(refusal { $0.outerLength = 5 } == .wrongLength(told: 5, found: length))
        #expect(refusal { $0.behind = [0] } == .notDeflated)
        #expect(refusal { $0.length = 0 } == .notDeflated)
        #expect(refusal { $0.length = 2 } == .notDeflated)
        #expect(refusal { $0.length = .max } == .tooLong(byteCount: Int(UInt32.max)))
        #expect(refusal { $0.offset = 1 } == .isShifted)
        #expect(refusal { $0.ratio = 2 } == .isShifted)
        #expect(refusal { $0.ratio = .nan } == .isShifted)
    }

    @Test("limits that no histogram has, or that would take much memory, are refused")
    func limits() {
        let most = UInt64(Int64.max)
        let wrong: [(UInt64, UInt64, UInt32)] = [
            (0, 100, 3), (1, 1, 3), (100, 199, 3), (1, 100, 6), (1, 100, .max), (1, most + 1, 3), (1, .max, 0),
            (1 << 41, most, 0), (1, most, 5), (1, 3_600_000_000_000, 5), (.max, .max, 3),
        ]
        for (lowest, highest, digits) in wrong {
            let found = refusal { ($0.lowest, $0.highest, $0.digits) = (lowest, highest, digits) }
            #expect(found == .badLimits(lowest: lowest, highest: highest, digits: digits))
        }
        for (lowest, highest, digits) in [(1, 2, 0), (1, most, 3), (1 << 40, most, 0), (100, 200, 5)]
            as [(UInt64, UInt64, UInt32)]
        {
            let encoding = Encoding().with { ($0.lowest, $0.highest, $0.digits) = (lowest, highest, digits) }
            #expect(throws: Never.self) { try HistogramCodec.decode(encoding.bytes) }
        }
    }

    @Test("counts that leave the histogram, break off or overflow are refused")
    func counts() {
        let slotCount = HistogramSlots.Layout(Distributions.empty()).slotCount
        let whole = [UInt8](repeating: 0, count: slotCount)
        #expect(throws: Never.self) { try HistogramCodec.decode(Encoding().with { $0.counts = whole }.bytes) }
        #expect(refusal { $0.counts = whole + [0] } == .tooManySlots(slotCount))
        #expect(refusal { $0.counts = whole + [2] } == .tooManySlots(slotCount))
        #expect(refusal { $0.counts = [0x80] } == .endsInNumber)
        #expect(refusal { $0.counts = [2, 0xff, 0xff] } == .endsInNumber)
        // The least number there is: that many empty slots.
        #expect(refusal { $0.counts = [UInt8](repeating: 0xff, count: 9) } == .tooManySlots(slotCount))
        let most: [UInt8] = [0xfe] + [UInt8](repeating: 0xff, count: 8)
        #expect(refusal { $0.counts = most + most } == .countTooLarge(.max))
        #expect(refusal { $0.counts = [0, 0, 0] + most } == .countTooLarge(.max))
        let histogram = try? HistogramCodec.decode(Encoding().with { $0.counts = most }.bytes)
        #expect(histogram?.totalCount == UInt64(Int64.max))
    }

    @Test("text that is not base64, and bytes that end early, are refused")
    func damaged() {
        #expect(throws: HistogramCodecError.notBase64) { try HistogramCodec.decode(base64: "HIST FAAA!") }
        let bytes = Encoding().bytes
        for count in 0..<bytes.count {
            #expect(throws: HistogramCodecError.self) { try HistogramCodec.decode(Array(bytes[..<count])) }
        }
    }

    @Test("bytes changed at random are refused or read, and never trap", arguments: UInt64(1)...20)
    func mutated(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            var encoding = Encoding()
            encoding.counts = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            var bytes = encoding.bytes
            if Bool.random(using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            // What can be read can be used: none of this traps.
            if let histogram = try? HistogramCodec.decode(bytes) {
                #expect(histogram.mean >= 0)
                #expect(histogram.valueAtPercentile(99) <= histogram.maxRecorded)
                #expect((try? HistogramCodec.decode(HistogramCodec.encode(histogram))) == histogram)
            }
        }
    }

    @Test("a small input that inflates to much is refused without that memory")
    func bomb() {
        let zeros = [UInt8](repeating: 0, count: 12 << 20)
        #expect(refusal { $0.counts = zeros } == .tooLong(byteCount: zeros.count))
    }
}
