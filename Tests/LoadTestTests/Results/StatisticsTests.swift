// SPDX-License-Identifier: Apache-2.0

import Histogram
import LoadTesting
import Testing

@Suite struct StatisticsTests {
    @Test("Student's quantiles are those of the tables, within the table and beyond it")
    func quantiles() {
        let known: [(Int, Double)] = [
            (1, 12.7062), (2, 4.3027), (5, 2.5706), (30, 2.0423), (31, 2.0395), (40, 2.0211), (60, 2.0003),
            (120, 1.9799), (1_000, 1.9623),
        ]
        for (freedom, quantile) in known { #expect(abs(StudentT.quantile975(freedom) - quantile) < 1e-4) }
        #expect(StudentT.quantile975(0) == .infinity)
    }

    @Test("a ratio and its interval are those of Student's test on logarithms, computed by other means")
    func ratio() throws {
        let estimate = try #require(RatioEstimate([100, 100, 100, 100], [120, 125, 130, 122]))
        #expect(abs(estimate.ratio - 1.241934) < 1e-5)
        let interval = try #require(estimate.interval)
        #expect(abs(interval.lowerBound - 1.175086) < 1e-4)
        #expect(abs(interval.upperBound - 1.312585) < 1e-4)
        #expect(estimate.sentence(.rate, a: "A", b: "B") == "B is 1.24 times as fast as A (95 % CI 1.18 to 1.31)")
        #expect(
            estimate.sentence(.duration, a: "A", b: "B") == "B takes 1.24 times as long as A (95 % CI 1.18 to 1.31)")
    }

    @Test("pairs that drift together show the difference that single values hide")
    func paired() throws {
        let a = [100.0, 50, 200, 80, 120]
        let estimate = try #require(RatioEstimate(a, a.enumerated().map { $1 * (1.1 + Double($0) * 0.001) }))
        #expect(estimate.isDifference)
        #expect(abs(estimate.ratio - 1.102) < 1e-4)
    }

    @Test("where the interval has 1 in it, no difference is told")
    func noDifference() throws {
        let estimate = try #require(RatioEstimate([100, 110, 90], [101, 100, 95]))
        #expect(!estimate.isDifference)
        #expect(
            estimate.sentence(.rate, a: "A", b: "B").hasPrefix(
                "no difference between A and B can be told: the ratio is"))
    }

    @Test("one round tells a ratio and no interval; values that are no figures tell nothing")
    func few() throws {
        let one = try #require(RatioEstimate([2], [3]))
        #expect(abs(one.ratio - 1.5) < 1e-12 && one.interval == nil && !one.isDifference)
        #expect(one.sentence(.amount, a: "A", b: "B").hasPrefix("B takes 1.50 times as much as A, in one round"))
        #expect(RatioEstimate([], []) == nil)
        #expect(RatioEstimate([1, 2], [1]) == nil)
        #expect(RatioEstimate([1, 0], [1, 1]) == nil)
        #expect(RatioEstimate([1, 1], [1, -1]) == nil)
        #expect(RatioEstimate([1, .infinity], [1, 1]) == nil)
    }

    @Test("the interval has the true ratio in it in about 19 of 20 comparisons")
    func coverage() {
        var random = SeededGenerator(seed: 11)
        // The sum of twelve uniform numbers is nearly normal.
        func noise() -> Double { (0..<12).reduce(-6) { sum, _ in sum + Double.random(in: 0..<1, using: &random) } }
        var hits = 0
        for _ in 0..<2_000 {
            let a = (0..<6).map { _ in 1_000 * (1 + 0.02 * noise()) }
            let b = (0..<6).map { _ in 1_200 * (1 + 0.02 * noise()) }
            if RatioEstimate(a, b)?.interval?.contains(1.2) == true { hits += 1 }
        }
        #expect((1_870...1_930).contains(hits), "\(hits) of 2000")
    }

    @Test("a trend is that of least squares, with its standard error")
    func trend() throws {
        let points: [(Double, Double)] = [(0, 1), (1, 3), (2, 2), (3, 5), (4, 4)]
        let trend = try #require(Trend(points.map { (seconds: $0.0, value: $0.1) }))
        #expect(abs(trend.perHour - 0.8 * 3_600) < 1e-6)
        #expect(abs((trend.standardErrorPerHour ?? 0) - 0.346410 * 3_600) < 1e-2)
        #expect(!trend.isSignificant)
        #expect(trend.text { "\(Int($0))" } == "none to be told: +2880/h, standard error 1247/h")
    }

    @Test(
        "what wanders without going anywhere is seldom taken for a trend, and a leak in it always is",
        arguments: [(60, 100), (599, 45)])
    func wandering(count: Int, accusedMax: Int) throws {
        var random = SeededGenerator(seed: 5)
        var accused = 0
        for _ in 0..<500 {
            // Each value keeps most of the one before it, as memory does; it comes back to where it was.
            var value = 0.0
            let values = (0..<count).map { _ in
                value = 0.8 * value + Double.random(in: -1...1, using: &random)
                return value
            }
            let points = values.enumerated().map { (seconds: Double($0), value: $1) }
            if try #require(Trend(points)).isSignificant { accused += 1 }
            // It grows by five times what it wanders.
            let leak = points.map { (seconds: $0.seconds, value: $0.value + 10 * $0.seconds / Double(count)) }
            let trend = try #require(Trend(leak))
            #expect(trend.isSignificant && trend.perHour > 0)
        }
        // One in twenty is what Student's test allows; in short runs means are still a little alike. With each value
        // for itself it is every second.
        #expect(accused < accusedMax, "\(accused) of 500")
    }

    @Test("memory that has grown at the start and rests since is no trend; one that ever grows faster is")
    func shapes() throws {
        func trend(_ value: (Double) -> Double) throws -> Trend {
            try #require(Trend((0..<600).map { (seconds: Double($0), value: value(Double($0))) }))
        }
        #expect(try !trend { $0 < 40 ? 0 : 1_000_000 }.isSignificant)
        #expect(try trend { $0 * $0 }.isSignificant)
        #expect(try trend { ($0 / 50).rounded(.down) * 1_000_000 }.isSignificant)
        #expect(try !trend { _ in 1_000_000 }.isSignificant)
        let line = try trend { 5 * $0 }
        #expect(line.isSignificant && abs(line.perHour - 18_000) < 1e-6)
    }

    @Test("a steady rise is told with its sign, and too few points with what they lack")
    func steady() throws {
        let rising = try #require(Trend((0..<10).map { (seconds: Double($0), value: Double($0 * 2 + $0 % 2)) }))
        #expect(rising.isSignificant && rising.text { "\(Int($0))" }.hasPrefix("+7"))
        let falling = try #require(Trend([(0, 3), (1, 2), (2, 1)]))
        #expect(falling.text { "\(Int($0.rounded()))" } == "-3600/h, more than chance (standard error 0/h)")
        let two = try #require(Trend([(0, 1), (1, 2)]))
        #expect(two.text { "\(Int($0))" } == "+3600/h (too few intervals to tell its error)")
        #expect(Trend([(0, 1)]) == nil)
        #expect(Trend([(1, 1), (1, 2)]) == nil)
    }

    @Test("percentiles are those of the sorted values, within three digits", arguments: UInt64(1)...20)
    func percentiles(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var histogram = Distributions.empty()
        let values = (0..<Int.random(in: 1...5_000, using: &random)).map { _ in random.value() }
        for value in values { histogram.record(value) }
        let sorted = values.sorted()
        let summary = DistributionSummary(histogram)
        func isNear(_ a: Double, _ b: Double) -> Bool { abs(a - b) <= b * 1e-3 + 0.5 }
        for (name, percent) in DistributionSummary.percentiles {
            // The lowest value that at least that share of all is not above.
            let rank = max(Int((percent / 100 * Double(sorted.count) - 1e-9).rounded(.up)), 1)
            #expect(isNear(Double(summary.value(name)), Double(sorted[rank - 1])), "\(name)")
        }
        #expect(summary.count == values.count)
        #expect(summary.min == sorted.first && summary.max == sorted.last)
        #expect(isNear(summary.mean, values.reduce(0) { $0 + Double($1) } / Double(values.count)))
        #expect(summary.rows.map(\.name) == ["min", "p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99", "max"])
    }
}

@Suite struct RunFiguresTests {
    @Test("what is measured is kept apart from what comes before and after")
    func phases() {
        var record = SampleRecords.plain(.echo, seconds: 4)
        record.intervals[2].phase = .warmup
        record.intervals[5].phase = .ending
        let figures = RunFigures(record)
        #expect(figures.seconds == 2)
        #expect(figures.measuredTotal.counters.completed == 20_000)
        #expect(figures.wholeTotal.counters.completed == 40_000)
        #expect(figures.rate == 10_000)
        // From the end of the warm-up on: two seconds, each of half a second of CPU.
        #expect(figures.server.cpuSeconds == 1)
        #expect(figures.completedPerCPUSecond == 20_000)
        #expect(figures.server.cpuShare == 0.5)
    }

    @Test("without a sample before the measurement the first one in it is where the server's figures begin")
    func firstSample() {
        var record = SampleRecords.plain(.echo, seconds: 3)
        for index in 0...1 { record.intervals[index].server = nil }
        let figures = RunFigures(record)
        #expect(figures.server.cpuSeconds == 1)
        #expect(figures.server.completedCount == 20_000)
        #expect(figures.server.sampledSeconds == 2)
    }

    @Test("a server that was started again counts from zero")
    func restarted() {
        var record = SampleRecords.plain(.echo, seconds: 3)
        record.intervals[3].server?.cpuSeconds = 0.25
        record.intervals[4].server?.cpuSeconds = 0.5
        #expect(RunFigures(record).server.cpuSeconds == 0.5 + 0.25 + 0.25)
    }

    @Test("clients that come back are not counted as further connections")
    func reconnected() {
        let record = SampleRecords.plain(.storm) { interval, second in
            if second == 0 { (interval.groups[0].counters.opened, interval.groups[0].counters.reconnected) = (70, 70) }
        }
        #expect(RunFigures(record).connectedCount == 100)
    }

    @Test("memory for each connection is told only where connections were opened between samples")
    func memory() {
        var record = SampleRecords.plain(.idle)
        #expect(RunFigures(record).server.bytesPerConnection == ["anonymous": 10_000, "resident": 10_000])
        record.intervals[0].open = [100]
        #expect(RunFigures(record).server.bytesPerConnection.isEmpty)
        record.intervals = []
        #expect(RunFigures(record).server.bytesPerConnection.isEmpty)
        #expect(RunFigures(record).generatorBytesPerConnection == nil)
    }
}
