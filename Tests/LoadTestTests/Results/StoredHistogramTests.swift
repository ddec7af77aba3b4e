// SPDX-License-Identifier: Apache-2.0

import Histogram
import Testing

@testable import LoadTesting

@Suite struct StoredHistogramTests {
    private static let groupCount = 3
    private static let valueCount = 2_000

    /// From 50 microseconds to a second, most near a millisecond.
    private func latency(_ random: inout SeededGenerator) -> UInt64 {
        let exponent = (0..<6).reduce(-3.0) { sum, _ in sum + Double.random(in: 0..<1, using: &random) }
        var value = 1_000_000.0
        for _ in 0..<Int((abs(exponent) * 16).rounded()) { value *= exponent < 0 ? 0.87 : 1.18 }
        return UInt64(min(max(value, 50_000), 1_000_000_000)) + UInt64.random(in: 0..<5_000, using: &random)
    }

    private func measure(_ random: inout SeededGenerator) -> GroupMeasure {
        var measure = GroupMeasure()
        for _ in 0..<Self.valueCount {
            measure.distributions.latency.record(latency(&random))
            measure.distributions.lag.record(UInt64.random(in: 5_000..<80_000, using: &random))
        }
        measure.distributions.latency.record(1_000_000_000)
        return measure
    }

    @Test("steps of several groups are kept small, so that 600 take a few megabytes, also as JSON, and lose nothing")
    func small() throws {
        var random = SeededGenerator(seed: 3)
        // Each step has one of a few contents: what is stored is the same as if all were different.
        let contents = (0..<4).map { _ in (0..<Self.groupCount).map { _ in measure(&random) } }
        var record = RunRecord(
            plan: LoadPlan(.soak, groups: (0..<Self.groupCount).map { SampleRecords.group("\($0)", 10) }), startedAt: 0)
        // A tenth of a timeline: each step is encoded, which takes a while without optimisation.
        let stepCount = RunRecord.intervalCountMax / 10
        for step in 0..<stepCount {
            record.append(
                Interval(
                    phase: .measuring, startSeconds: Double(step), seconds: 1, groups: contents[step % 4],
                    open: Array(repeating: 10, count: Self.groupCount), usage: [], server: nil))
        }
        #expect(record.intervals.count == stepCount)
        var byteCount = 0
        for (step, interval) in record.intervals.enumerated() {
            for (group, measure) in interval.groups.enumerated() {
                for (name, path) in Distributions.stored where measure.distributions[keyPath: path].totalCount > 0 {
                    let packed = try #require(measure.distributions[keyPath: path].packed, "\(name) is not packed")
                    byteCount += packed.bytes.count
                    // The others are the same.
                    guard step < 4 else { continue }
                    let original = contents[step][group].distributions[keyPath: path].histogram
                    #expect(packed.histogram == original)
                    #expect(packed.histogram.min == original.min)
                    #expect(packed.histogram.maxRecorded == original.maxRecorded)
                    #expect(packed.bytes.count * 50 < original.estimatedFootprintInBytes)
                }
            }
        }
        #expect(byteCount < 500_000, "\(byteCount) bytes")
        let json = RunDocument.json(record, toolVersion: "1")
        #expect(json.utf8.count < 800_000, "\(json.utf8.count) bytes")
        // As are those of a file that is read.
        let read = try RunDocument.record(json, name: "file")
        let isPacked = read.intervals.allSatisfy { interval in
            interval.groups.allSatisfy { group in
                Distributions.stored.allSatisfy { _, path in
                    let stored = group.distributions[keyPath: path]
                    return stored.totalCount == 0 || stored.packed != nil
                }
            }
        }
        #expect(isPacked)
    }

    @Test("a packed histogram is added to others and takes further values", arguments: UInt64(1)...20)
    func merged(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var (plain, one, other) = (Distributions.empty(), StoredHistogram(), StoredHistogram())
        for _ in 0..<Int.random(in: 0..<50, using: &random) {
            let value = random.value()
            plain.record(value)
            one.histogram.record(value)
        }
        for _ in 0..<Int.random(in: 0..<50, using: &random) {
            let value = random.value()
            plain.record(value)
            other.histogram.record(value)
        }
        if Bool.random(using: &random) { one.pack() }
        if Bool.random(using: &random) { other.pack() }
        one.merge(other)
        #expect(one.totalCount == plain.totalCount, "seed \(seed)")
        if plain.totalCount > 0 {
            #expect(one.histogram == plain, "seed \(seed)")
            #expect(one.packed != nil)
        }
        plain.record(Distributions.valueMax)
        one.histogram.record(Distributions.valueMax)
        #expect(one.histogram == plain, "seed \(seed)")
        #expect(one.packed == nil)
        one.pack()
        #expect(one.histogram == plain, "seed \(seed)")
    }

    @Test("a histogram whose sum no reader would take stays as it is")
    func tooLargeToPack() {
        var stored = StoredHistogram()
        stored.histogram.record(Distributions.valueMax, count: 6_000_000)
        stored.pack()
        #expect(stored.packed == nil && stored.totalCount == 6_000_000)
        var other = StoredHistogram()
        other.histogram.record(1)
        other.merge(stored)
        #expect(other.totalCount == 6_000_001)
        stored = StoredHistogram()
        stored.histogram.record(Distributions.valueMax, count: 5_000_000)
        stored.pack()
        #expect(stored.packed != nil && stored.histogram.totalCount == 5_000_000)
    }
}
