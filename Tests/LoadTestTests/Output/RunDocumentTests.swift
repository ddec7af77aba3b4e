// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Histogram
import LoadTesting
import Testing

/// Every part of two records is the same, numbers to their last bit.
private func expectSame(_ a: RunRecord, _ b: RunRecord) {
    #expect(a.plan == b.plan)
    #expect(a.startedAt == b.startedAt)
    #expect(a.workerCount == b.workerCount)
    #expect(a.wasInterrupted == b.wasInterrupted)
    #expect(a.errors == b.errors)
    #expect(a.warnings == b.warnings)
    #expect(a.ownByteCounts?.before == b.ownByteCounts?.before && a.ownByteCounts?.after == b.ownByteCounts?.after)
    #expect(a.intervals.count == b.intervals.count)
    for (one, other) in zip(a.intervals, b.intervals) {
        #expect(one.phase == other.phase)
        #expect(one.startSeconds == other.startSeconds && one.seconds == other.seconds)
        #expect(one.open == other.open)
        #expect(one.usage == other.usage)
        #expect(one.server == other.server)
        #expect(one.groups.count == other.groups.count)
        for (measure, otherMeasure) in zip(one.groups, other.groups) {
            #expect(measure.counters == otherMeasure.counters)
            for (name, path) in Distributions.all {
                let (left, right) = (measure.distributions[keyPath: path], otherMeasure.distributions[keyPath: path])
                #expect(left == right, "\(name)")
                #expect(left.min == right.min && left.maxRecorded == right.maxRecorded, "\(name)")
            }
        }
    }
}

@Suite struct RunDocumentTests {
    @Test("any record is the same after it was written and read", arguments: UInt64(1)...10)
    func survives(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let record = SampleRecords.random(&random)
        let json = RunDocument.json(record, toolVersion: "1")
        let read = try RunDocument.record(json, name: "file")
        expectSame(record, read)
        #expect(RunDocument.json(read, toolVersion: "1") == json)
    }

    @Test("each counter has a name of its own in the document")
    func counters() throws {
        for (name, path) in Counters.all {
            var record = SampleRecords.plain(.echo, seconds: 1)
            record.intervals[2].groups[0].counters = Counters()
            record.intervals[2].groups[0].counters[keyPath: path] = 987_654_321
            let json = RunDocument.json(record, toolVersion: "1")
            #expect(json.contains("\"\(name)\":987654321"))
            expectSame(record, try RunDocument.record(json, name: "file"))
        }
    }

    @Test("numbers that JSON does not have are kept")
    func notFinite() throws {
        var record = SampleRecords.plain(.echo, seconds: 1)
        record.startedAt = .infinity
        record.plan.warmupSeconds = -.infinity
        expectSame(record, try RunDocument.record(RunDocument.json(record, toolVersion: "1"), name: "file"))
    }

    /// What Benchmarks, tests and users' scripts read.
    private struct Known: Decodable {
        struct Summary: Decodable {
            let count: Int
            let mean: Double
            let min: Int
            let p50: Int
            let p99: Int
            let max: Int
            let histogram: String
        }
        struct Failure: Decodable {
            let kind: String
            let count: Int
            let first_seconds: Double
        }
        let test: String
        let url: String
        let connections: Int
        let connected: Int
        let seconds: Double
        let round_trips: Int
        let rate: Double
        let sent_rate: Double
        let received_bytes_rate: Double
        let latency_ns: Summary
        let connect_ns: Summary
        let server_cpu_seconds: Double
        let round_trips_per_server_cpu_second: Double
        let server_bytes_per_connection: Double
        let generator_bytes_per_connection: Double
        let memory_per_connection: [String: Double]
        let generator_cpu: [Double]
        let generator_wait: [Double]
        let errors: [Failure]
        let warnings: [String]
    }

    @Test("figures keep the names by which they are read")
    func names() throws {
        var record = SampleRecords.plain(.echo)
        record.errors = [TestError(kind: "refused", count: 2, firstSeconds: 1.5)]
        let json = RunDocument.json(record, toolVersion: "1")
        let known = try JSONDecoder().decode(Known.self, from: Data(json.utf8))
        #expect(known.test == "echo" && known.url == "ws://127.0.0.1:9001/echo")
        #expect(known.connections == 100 && known.connected == 100)
        #expect(known.seconds == 10 && known.round_trips == 100_000 && known.rate == 10_000)
        #expect(known.sent_rate == 10_000 && known.received_bytes_rate == 640_000)
        #expect(known.server_cpu_seconds == 5 && known.round_trips_per_server_cpu_second == 20_000)
        #expect(known.server_bytes_per_connection == 10_000 && known.generator_bytes_per_connection == 5_000)
        #expect(known.memory_per_connection == ["anonymous": 10_000, "resident": 10_000])
        #expect(
            known.generator_cpu == [0.5, 0.25] && abs(known.generator_wait[0] - 0.02) < 1e-12
                && known.generator_wait[1] == 0)
        #expect(
            known.latency_ns.count == 100_000 && known.latency_ns.min == 50_000 && known.latency_ns.max == 5_000_000)
        #expect(known.connect_ns.count == 100)
        #expect(try HistogramCodec.decode(base64: known.connect_ns.histogram).totalCount == 100)
        #expect(known.errors[0].kind == "refused" && known.errors[0].first_seconds == 1.5)
        #expect(known.warnings == [])
    }

    private struct Scenarios: Decodable {
        struct Summary: Decodable {
            let count: Int
            let p50: Int
            let max: Int
        }
        struct Storm: Decodable {
            let clients: Int
            let lost_connection: Int
            let back: Int
            let back_50_seconds: Double?
            let back_90_seconds: Double?
            let back_99_seconds: Double?
            let back_100_seconds: Double?
            let answered: Int?
            let answered_50_seconds: Double?
            let answered_100_seconds: Double?
            let latency_before_ns: Summary?
            let latency_since_ns: Summary?
            let attempts_mean: Double
            let attempts_max: Int
            let attempts_failed: Int
            let connect_ns: Summary
        }
        struct Subscribers: Decodable {
            let clients: Int
            let deliveries: Int
            let lost: Int
            let ended: Int
            let latency_ns: Summary
        }
        struct Slow: Decodable {
            let fast: Subscribers
            let slow: Subscribers
            let slow_ends: [Known.Failure]
            let server_growth_bytes: Int?
        }
        struct Trend: Decodable {
            let per_hour: Double
            let standard_error_per_hour: Double?
            let beyond_chance: Bool
        }
        struct Trends: Decodable {
            let latency_p99_ns: Trend
            let server_memory_bytes: Trend
        }
        let storm: Storm?
        let slow: Slow?
        let trends: Trends?
    }

    private func scenarios(_ record: RunRecord) throws -> Scenarios {
        try JSONDecoder().decode(Scenarios.self, from: Data(RunDocument.json(record, toolVersion: "1").utf8))
    }

    @Test("a storm's figures have names", arguments: [false, true])
    func stormNames(hasHeartbeats: Bool) throws {
        var record = SampleRecords.plain(.storm, seconds: 2) { interval, second in
            guard second == 1 else { return }
            interval.groups[0].counters.ended = 100
            interval.groups[0].counters.started = 150
            interval.groups[0].counters.reconnected = 95
            interval.groups[0].counters.failed = 55
            interval.groups[0].attemptCountMax = 4
            interval.groups[0].distributions.recovery.record(1_000_000_000, count: 95)
            interval.groups[0].distributions.answered.record(2_000_000_000, count: 60)
        }
        if hasHeartbeats {
            record.plan.groups[0].behaviour = .heartbeat(HeartbeatPlan(periodSeconds: 1, size: .fixed(9)))
        }
        let found = try scenarios(record)
        #expect(found.slow == nil && found.trends == nil)
        let storm = try #require(found.storm)
        #expect(storm.clients == 100 && storm.lost_connection == 100 && storm.back == 95)
        #expect(abs(try #require(storm.back_50_seconds) - 1) < 0.001 && storm.back_90_seconds != nil)
        #expect(storm.back_99_seconds == nil && storm.back_100_seconds == nil)
        #expect(storm.attempts_max == 4 && storm.attempts_failed == 55)
        #expect(abs(storm.attempts_mean - 150.0 / 95) < 1e-9)
        #expect(storm.connect_ns.count == 0)
        guard hasHeartbeats else { return #expect(storm.answered == nil && storm.latency_since_ns == nil) }
        #expect(storm.answered == 60 && storm.answered_100_seconds == nil)
        #expect(abs(try #require(storm.answered_50_seconds) - 2) < 0.002)
        #expect(storm.latency_before_ns?.count == 10_000 && storm.latency_since_ns?.max == 5_000_000)
    }

    @Test("a run's figures of slow consumers have names")
    func slowNames() throws {
        var record = SampleRecords.plain(.slow, name: "fast")
        record.plan.groups.append(SampleRecords.group("slow", 7))
        for index in record.intervals.indices {
            record.intervals[index].groups.append(GroupMeasure())
            record.intervals[index].open.append(7)
        }
        record.intervals[4].groups[1].counters.completed = 3
        record.intervals[4].groups[1].counters.lost = 2
        record.errors = [TestError(kind: "slow: closed (1008)", count: 5, firstSeconds: 1, isExpected: true)]
        let found = try scenarios(record)
        #expect(found.storm == nil && found.trends == nil)
        let slow = try #require(found.slow)
        #expect(slow.fast.clients == 100 && slow.fast.deliveries == 100_000 && slow.fast.lost == 0)
        #expect(slow.fast.ended == 0 && slow.fast.latency_ns.max == 5_000_000)
        #expect(slow.slow.clients == 7 && slow.slow.deliveries == 3 && slow.slow.lost == 2 && slow.slow.ended == 5)
        #expect(slow.slow_ends.map(\.kind) == ["slow: closed (1008)"] && slow.slow_ends[0].count == 5)
        #expect(slow.server_growth_bytes == 1_000_000)
    }

    @Test("a long run's trends have names")
    func trendNames() throws {
        let found = try scenarios(
            SampleRecords.plain(.soak) { interval, second in
                interval.server?.anonymousByteCount = second * 1_000 + second % 2
            })
        #expect(found.storm == nil && found.slow == nil)
        let trends = try #require(found.trends)
        #expect(trends.latency_p99_ns.per_hour == 0 && !trends.latency_p99_ns.beyond_chance)
        #expect(trends.server_memory_bytes.beyond_chance)
        #expect(abs(trends.server_memory_bytes.per_hour - 3_600_000) < 1_000)
        #expect(try #require(trends.server_memory_bytes.standard_error_per_hour) > 0)
    }

    @Test("a page is made of a read run whose groups have latencies of different size")
    func page() throws {
        var record = SampleRecords.plain(.mixed, seconds: 3)
        record.plan.groups.append(SampleRecords.group("slower", 1))
        for index in record.intervals.indices {
            var slower = GroupMeasure()
            slower.distributions.latency.record(50_000_000_000)
            record.intervals[index].groups.append(slower)
            record.intervals[index].open.append(1)
        }
        var stored = record
        stored.intervals = []
        for interval in record.intervals { stored.append(interval) }
        for record in [record, stored] {
            let read = try RunDocument.record(RunDocument.json(record, toolVersion: "1"), name: "file")
            for record in [record, read] {
                #expect(HTMLReport([ReportRun(name: "run", record: record)]).text.contains("50.00 s"))
                #expect(Trend.latency99(record)?.count == 3)
            }
        }
    }

    @Test("the connections of a run that was not measured are there, and its figures are null or zero")
    func empty() throws {
        let record = RunRecord(plan: LoadPlan(.idle, groups: []), startedAt: 0)
        let json = RunDocument.json(record, toolVersion: "1")
        #expect(json.contains("\"rate\":0"))
        #expect(json.contains("\"server_cpu_seconds\":null"))
        expectSame(record, try RunDocument.record(json, name: "file"))
    }

    private static let sound = RunDocument.json(SampleRecords.plain(.echo, seconds: 2), toolVersion: "1")

    @Test(
        "what is no report is refused with the file, the place and the remedy",
        arguments: [
            ("", "", "not JSON"), ("no JSON at all", "", "not JSON"), ("[]", "", "the whole is no object"),
            ("{}", "", "'version' is missing"), ("{\"version\": \"1\"}", "", "version is no number"),
            ("{\"version\": 1}", "", "'plan' is missing"),
            ("\"started_at\":1700000000", "\"started_at\":null", "started_at is null"),
            ("\"phase\":\"measuring\"", "\"phase\":\"resting\"", "at timeline[2].phase"),
            ("\"open\":[100]", "\"open\":[]", "interval 1 has 1 groups"),
            ("\"start_seconds\":2", "\"start_seconds\":-2", "from -2.0 s on"),
            ("\"max\":5000000,\"min\":50000", "\"max\":5000000,\"min\":50000000", "'min' is 50000000"),
            ("\"completed\":10000", "\"completed\":9223372036854775807", "too large"),
            ("\"completed\":10000", "\"completed\":92233720368547758070", "out of range"),
            ("\"completed\":10000", "\"completed\":1.5", "out of range"),
            ("HISTFAAAA", "HISTFAAAB", "histogram"), ("HISTFAAAA", "!", "not base64"),
        ])
    func refuses(part: String, replacement: String, reason: String) throws {
        let json = replacement.isEmpty ? part : Self.replaced(part, replacement)
        let error = #expect(throws: LoadTestError.self) { try RunDocument.record(json, name: "run.json") }
        let text = error?.description ?? ""
        #expect(text.hasPrefix("run.json is not a report of loadtest: "))
        #expect(text.contains(reason), "\(text)")
        #expect(text.hasSuffix("give a file that `loadtest` wrote with `--json`, whole and unchanged"))
    }

    /// In the timeline, which is what a record is made from; where it is not there, anywhere.
    private static func replaced(_ part: String, _ replacement: String) -> String {
        let timeline = sound.firstRange(of: "\"timeline\"")!.lowerBound
        let range = sound[timeline...].firstRange(of: part) ?? sound.firstRange(of: part)!
        return sound.replacingCharacters(range, replacement)
    }

    @Test("a report of another version is refused with what can be done")
    func version() {
        let json = Self.sound.replacingCharacters(Self.sound.firstRange(of: "\"version\":1")!, "\"version\":2")
        let error = #expect(throws: LoadTestError.self) { try RunDocument.record(json, name: "run.json") }
        #expect(
            error?.description.hasPrefix("run.json is a report of version 2 and this loadtest reads version 1") == true)
    }

    @Test("a report that was cut off anywhere is refused", arguments: UInt64(1)...20)
    func cutOff(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let json = String(Self.sound.prefix(Int.random(in: 0..<Self.sound.count, using: &random)))
        #expect(throws: LoadTestError.self) { try RunDocument.record(json, name: "run.json") }
    }

    @Test(
        "a report with bytes changed at random is refused, or its figures can be computed", arguments: UInt64(1)...40)
    func mutated(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var bytes = Array(Self.sound.utf8)
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = Array("0123456789-e.,\"[]{}nA".utf8)
                .randomElement(using: &random)!
        }
        if let record = try? RunDocument.record(String(decoding: bytes, as: UTF8.self), name: "run.json") {
            #expect(!RunDocument.json(record, toolVersion: "1").isEmpty)
        }
    }
}

extension String {
    fileprivate func replacingCharacters(_ range: Range<Index>, _ replacement: String) -> String {
        String(self[..<range.lowerBound]) + replacement + String(self[range.upperBound...])
    }
}
