// SPDX-License-Identifier: Apache-2.0

import Histogram
import LoadTesting
import Testing

private let hour: UInt64 = 3_600_000_000_000

/// What HdrHistogram's Python package (0.10.8) made of the same values.
private struct Foreign: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let base64: String
    let histogram: NanosecondHistogram
    /// Python's encoder tells one empty slot as -1, and Java's, as ours, as 0.
    let hasSingleEmptySlots: Bool

    init(
        _ name: String, _ base64: String, _ empty: NanosecondHistogram, _ values: [(UInt64, UInt64)],
        hasSingleEmptySlots: Bool = false
    ) {
        self.hasSingleEmptySlots = hasSingleEmptySlots
        testDescription = name
        self.base64 = base64
        var histogram = empty
        for (value, count) in values { histogram.record(value, count: count) }
        self.histogram = histogram
    }

    static let all = [
        Foreign(
            "one value", "HISTFAAAACN4nJNpmSzMwMDAzAABMJoRyHQz2LGAwf4DROA8PxMAXhMFLg==", Distributions.empty(),
            [(1_000, 1)]),
        Foreign(
            "zeros", "HISTFAAAACV4nJNpmSzMwMDAwgABzFCaEch0M9ixgMH+A0SAjYmRCQBgGwRa", Distributions.empty(),
            [(0, 3), (1, 1), (3, 1)], hasSingleEmptySlots: true),
        Foreign(
            "the ends of buckets, and a count beyond 32 bits",
            "HISTFAAAADB4nJNpmSzMwMAgyAABzFCaEch0M9ixgMH+A0SA6bc8C9tf/gYQcJh6i5kLANNiCso=", Distributions.empty(),
            [(0, 1), (2_047, 2), (2_048, 3), (4_096, 1 << 40), (hour, 5)]),
        Foreign(
            "two digits",
            """
            HISTFAAAAJp4nJNpmSzMwMBQxQABTFCaEURcm7yEwf4DRMCT6TYjy0ImtpuMHIsZuap5SvkSBbyFQkVcxYwlzKWsZWzlFBWUlVRV1NW0NbS1\
            xHXE9SQNJI2kTaTNZC3kraRteO0EHfidBF0E3QQ9BL2EfYT9RAOEg0RDuMM4I7ijOGO447gTuJO4U7jTeDO4s3hzePN4C3iL+Et4ywBXsRyg
            """,
            NanosecondHistogram(highestTrackableValue: 3_600_000_000, numberOfSignificantValueDigits: .two),
            (1..<60).map { ($0 * $0 * 37, $0) }),
        Foreign(
            "a unit of 1000",
            """
            HISTFAAAAIZ4nJNpmSzMwMCQzAABzFDqBRC7GexYwGD/ASLCyMTJIsgmySHPpcmjz2cpYC/kLuIvFi4RL5Uqky9XrlCr1Mqo0s+oNpVRYy6j1lJG\
            nbWMelsZDXYzGh1lNDnNaHaV0eI2o9VjRpvXjHZfGR1WMzrVu7QyurUzenQzek1k9JnM6AcAuWwe7A==
            """,
            NanosecondHistogram(
                lowestDiscernibleValue: 1_000, highestTrackableValue: hour, numberOfSignificantValueDigits: .three),
            (1..<40).map { (1_000 * $0 * $0, $0) }, hasSingleEmptySlots: true),
    ]
}

@Suite struct HistogramCodecTests {
    @Test("what HdrHistogram's Python package has encoded is read", arguments: Foreign.all)
    fileprivate func readsForeign(foreign: Foreign) throws {
        let read = try HistogramCodec.decode(base64: foreign.base64)
        #expect(read == foreign.histogram)
        #expect(read.max == foreign.histogram.max)
        #expect(read.highestTrackableValue == foreign.histogram.highestTrackableValue)
    }

    @Test(
        "what is encoded is what HdrHistogram's Python package makes of the same values",
        arguments: Foreign.all.filter { !$0.hasSingleEmptySlots })
    fileprivate func writesTheSame(foreign: Foreign) {
        #expect(HistogramCodec.base64(foreign.histogram) == foreign.base64)
    }

    @Test("a histogram without values is read from either encoding")
    func empty() throws {
        // Python's encoder tells no slot, Java's one that is empty.
        let python = try HistogramCodec.decode(base64: "HISTFAAAAB14nJNpmSzMgADMUJoRyHQz2LGAwf4DRAAATjkESw==")
        let own = try HistogramCodec.decode(HistogramCodec.encode(Distributions.empty()))
        #expect(python == Distributions.empty())
        #expect(own == Distributions.empty())
    }

    @Test("any histogram is the same after it was encoded and decoded", arguments: UInt64(1)...50)
    func survives(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var histogram = Distributions.empty()
        for _ in 0..<Int.random(in: 1...500, using: &random) {
            histogram.record(random.value(), count: UInt64.random(in: 1...(1 << (random.next() % 20)), using: &random))
        }
        let extremes = histogram.min...histogram.maxRecorded
        let read = try HistogramCodec.decode(HistogramCodec.encode(histogram), extremes: extremes)
        #expect(read == histogram)
        #expect(read.min...read.maxRecorded == extremes)
        let slotwise = try HistogramCodec.decode(HistogramCodec.encode(histogram))
        #expect(slotwise == histogram)
        #expect(slotwise.maxRecorded == histogram.max)
    }

    @Test("any limits and precision survive", arguments: [UInt64(1), 2, 3, 1_000, 1 << 20], SignificantDigits.some)
    func limits(lowest: UInt64, digits: SignificantDigits) throws {
        var random = SeededGenerator(seed: lowest)
        var histogram = NanosecondHistogram(
            lowestDiscernibleValue: lowest, highestTrackableValue: hour, numberOfSignificantValueDigits: digits)
        for _ in 0..<200 { histogram.record(random.value()) }
        let slots = HistogramSlots(histogram)
        let read = HistogramSlots(try HistogramCodec.decode(HistogramCodec.encode(histogram)))
        #expect(read.layout == slots.layout)
        #expect(read.counts.elementsEqual(slots.counts) { $0 == $1 })
        #expect(slots.counts.reduce(0) { $0 + $1.count } == 200)
        #expect(abs(slots.mean - histogram.mean) <= histogram.mean * 1e-9)
        for (index, _) in slots.counts {
            let value = slots.layout.lowestValue(index)
            #expect(value == histogram.lowestEquivalentForValue(value))
            #expect(slots.layout.width(index) == histogram.sizeOfEquivalentRangeForValue(value))
            #expect(slots.layout.index(histogram.highestEquivalentForValue(value)) == index)
        }
    }

    @Test("a histogram is refused beside a lowest or highest value that is not in it")
    func extremes() {
        var histogram = Distributions.empty()
        for value in [1_000, 5_000, 1_000_000] as [UInt64] { histogram.record(value) }
        let bytes = HistogramCodec.encode(histogram)
        for wrong in [999...1_000_000, 1_001...1_000_000, 1_000...999_000, 1_000...2_000_000, 0...UInt64.max] {
            #expect(throws: HistogramCodecError.wrongExtremes) { try HistogramCodec.decode(bytes, extremes: wrong) }
        }
    }
}

extension SignificantDigits {
    /// With more the tests take long, and the code is the same.
    fileprivate static let some: [SignificantDigits] = [.zero, .one, .two, .three, .four]
}
