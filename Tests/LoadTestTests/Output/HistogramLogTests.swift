// SPDX-License-Identifier: Apache-2.0

import Histogram
import LoadTesting
import Testing

@Suite struct HistogramLogTests {
    private func lines(_ record: RunRecord) -> [Substring] {
        HistogramLog.text(record).split(separator: "\n", omittingEmptySubsequences: false)
    }

    @Test("a log begins as Java's HistogramLogWriter begins one")
    func header() {
        let lines = lines(RunRecord(plan: LoadPlan(.echo, groups: []), startedAt: 1_700_000_000.25))
        #expect(
            lines == [
                "#[Logged with loadtest]", "#[Histogram log format version 1.3]",
                "#[StartTime: 1700000000.250 (seconds since epoch), 2023-11-14T22:13:20Z]",
                "#[BaseTime: 1700000000.250 (seconds since epoch)]",
                "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"", "",
            ])
    }

    @Test("each interval has a line for each distribution that has values, with the maximum in milliseconds")
    func intervals() throws {
        let record = SampleRecords.plain(.echo, seconds: 2)
        let fields = lines(record).dropFirst(5).dropLast().map { $0.split(separator: ",").map(String.init) }
        #expect(
            fields.map { Array($0.dropLast()) } == [
                ["Tag=echo.connect", "1.000", "1.000", "1.990"], ["Tag=echo.latency", "2.000", "1.000", "5.000"],
                ["Tag=echo.latency", "3.000", "1.000", "5.000"],
            ])
        let histogram = try HistogramCodec.decode(base64: try #require(fields.last?.last))
        #expect(histogram == record.intervals[3].groups[0].distributions.latency)
    }

    @Test("the histograms of a log add up to those of the run")
    func sum() throws {
        var random = SeededGenerator(seed: 3)
        let record = SampleRecords.random(&random)
        var total = Distributions.empty()
        for line in lines(record).dropFirst(5).dropLast() where line.contains("_0_\u{1F600}.recovery,") {
            total.add(try HistogramCodec.decode(base64: String(line.split(separator: ",")[4])))
        }
        #expect(total == record.whole[0].distributions.recovery)
        #expect(total.totalCount > 0)
    }

    @Test(
        "a tag has no character at which readers end it",
        arguments: [("a, b", "a__b"), ("a\nb\tc", "a_b_c"), ("a\u{2028}b", "a_b"), ("é=1.2", "é=1.2")])
    func tags(name: String, tag: String) {
        let record = SampleRecords.plain(.echo, seconds: 1, name: name)
        #expect(lines(record)[5].hasPrefix("Tag=\(tag).connect,"))
    }

    @Test("what is written piece by piece is the same text")
    func pieces() {
        let record = SampleRecords.plain(.echo, seconds: 2)
        var pieces: [String] = []
        HistogramLog.write(record) { pieces.append($0) }
        #expect(pieces.joined() == HistogramLog.text(record))
        #expect(pieces.count == 4)
    }
}
