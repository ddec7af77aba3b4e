// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// What is written and read in the same way: the parts that a record is made of.

struct ErrorDocument: Codable {
    let kind: String
    let count: Int
    let first_seconds: Double
    let first_open: Int?
    /// Left out where it is false.
    let expected: Bool?

    init(_ error: TestError) {
        kind = error.kind
        count = error.count
        first_seconds = error.firstSeconds
        first_open = error.firstOpenCount
        expected = error.isExpected ? true : nil
    }

    var error: TestError {
        TestError(
            kind: kind, count: count, firstSeconds: first_seconds, firstOpenCount: first_open,
            isExpected: expected ?? false)
    }
}

/// Counts that are zero are left out where intervals are many.
struct CountersDocument: Codable {
    var counters: Counters

    init(counters: Counters) { self.counters = counters }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: DocumentKey.self)
        counters = Counters()
        for (name, path) in Counters.all {
            counters[keyPath: path] = try container.decodeIfPresent(Int.self, forKey: DocumentKey(name)) ?? 0
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: DocumentKey.self)
        for (name, path) in Counters.all where counters[keyPath: path] != 0 {
            try container.encode(counters[keyPath: path], forKey: DocumentKey(name))
        }
    }
}

/// A histogram with the extremes that its slots do not keep.
struct HistogramDocument: Codable {
    let packed: PackedHistogram

    /// What is packed already is not encoded again: a long run is written each minute.
    init(_ stored: StoredHistogram) { packed = stored.packed ?? PackedHistogram(stored.histogram) }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: DocumentKey.self)
        let (min, max) = (
            try container.decode(UInt64.self, forKey: "min"), try container.decode(UInt64.self, forKey: "max")
        )
        func refuse(_ reason: String) -> DecodingError {
            .dataCorruptedError(forKey: DocumentKey("histogram"), in: container, debugDescription: reason)
        }
        guard min <= max else { throw refuse("'min' is \(min) and 'max' is \(max)") }
        do {
            packed = try PackedHistogram(
                bytes: try HistogramCodec.bytes(base64: try container.decode(String.self, forKey: "histogram")),
                extremes: min...max)
        } catch let error as HistogramCodecError {
            throw refuse("\(error)")
        }
        // Only then can it be added to others. A stored one reaches as far as its values do.
        let (histogram, ours) = (packed.histogram, Distributions.empty())
        guard histogram.lowestDiscernibleValue == ours.lowestDiscernibleValue,
            histogram.numberOfSignificantValueDigits == ours.numberOfSignificantValueDigits,
            histogram.highestTrackableValue <= Distributions.valueMax
        else { throw refuse("the histogram has other limits or another precision than those of loadtest") }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: DocumentKey.self)
        try container.encode(packed.totalCount, forKey: "count")
        try container.encode(packed.extremes.lowerBound, forKey: "min")
        try container.encode(packed.extremes.upperBound, forKey: "max")
        try container.encode(HistogramCodec.base64(packed.bytes), forKey: "histogram")
    }
}

struct MeasureDocument: Codable {
    let measure: GroupMeasure

    init(measure: GroupMeasure) { self.measure = measure }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: DocumentKey.self)
        var measure = GroupMeasure()
        measure.counters = try container.decode(CountersDocument.self, forKey: "counters").counters
        measure.attemptCountMax = try container.decodeIfPresent(Int.self, forKey: "attempts_max") ?? 0
        for (name, path) in Distributions.stored {
            let document = try container.decodeIfPresent(HistogramDocument.self, forKey: DocumentKey("\(name)_ns"))
            if let document { measure.distributions[keyPath: path] = StoredHistogram(packed: document.packed) }
        }
        self.measure = measure
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: DocumentKey.self)
        try container.encode(CountersDocument(counters: measure.counters), forKey: "counters")
        if measure.attemptCountMax > 0 { try container.encode(measure.attemptCountMax, forKey: "attempts_max") }
        for (name, path) in Distributions.stored where measure.distributions[keyPath: path].totalCount > 0 {
            try container.encode(
                HistogramDocument(measure.distributions[keyPath: path]), forKey: DocumentKey("\(name)_ns"))
        }
    }
}

struct ServerDocument: Codable {
    let sample: ServerSample

    private static let optional: [(name: String, path: any WritableKeyPath<ServerSample, Int?> & Sendable)] = [
        ("anonymous_bytes", \.anonymousByteCount), ("resident_bytes", \.residentByteCount),
        ("proportional_bytes", \.proportionalByteCount), ("slab_bytes", \.slabByteCount),
        ("socket_bytes", \.socketByteCount), ("descriptors", \.descriptorCount),
    ]

    init(sample: ServerSample) { self.sample = sample }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: DocumentKey.self)
        var sample = ServerSample(cpuSeconds: try container.decode(Double.self, forKey: "cpu_seconds"))
        for (name, path) in Self.optional {
            sample[keyPath: path] = try container.decodeIfPresent(Int.self, forKey: DocumentKey(name))
        }
        self.sample = sample
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: DocumentKey.self)
        try container.encode(sample.cpuSeconds, forKey: "cpu_seconds")
        for (name, path) in Self.optional {
            try container.encodeIfPresent(sample[keyPath: path], forKey: DocumentKey(name))
        }
    }
}

struct IntervalDocument: Codable {
    let interval: Interval

    init(interval: Interval) { self.interval = interval }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: DocumentKey.self)
        let cpu = try container.decode([Double].self, forKey: "generator_cpu")
        let wait = try container.decode([Double].self, forKey: "generator_wait")
        guard cpu.count == wait.count else {
            throw DecodingError.dataCorruptedError(
                forKey: DocumentKey("generator_wait"), in: container,
                debugDescription: "\(wait.count) waits for \(cpu.count) schedulers")
        }
        interval = Interval(
            phase: try container.decode(Phase.self, forKey: "phase"),
            startSeconds: try container.decode(Double.self, forKey: "start_seconds"),
            seconds: try container.decode(Double.self, forKey: "seconds"),
            groups: try container.decode([MeasureDocument].self, forKey: "groups").map(\.measure),
            open: try container.decode([Int].self, forKey: "open"),
            usage: zip(cpu, wait).map { SchedulerUsage(cpuShare: $0, waitShare: $1) },
            server: try container.decodeIfPresent(ServerDocument.self, forKey: "server")?.sample)
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: DocumentKey.self)
        try container.encode(interval.phase, forKey: "phase")
        try container.encode(interval.startSeconds, forKey: "start_seconds")
        try container.encode(interval.seconds, forKey: "seconds")
        try container.encode(interval.groups.map { MeasureDocument(measure: $0) }, forKey: "groups")
        try container.encode(interval.open, forKey: "open")
        try container.encode(interval.usage.map(\.cpuShare), forKey: "generator_cpu")
        try container.encode(interval.usage.map(\.waitShare), forKey: "generator_wait")
        try container.encodeIfPresent(interval.server.map { ServerDocument(sample: $0) }, forKey: "server")
    }
}

/// The parts of the document that a record is made from, with the rules that sums over it rely on.
struct RunReader: Decodable {
    let record: RunRecord

    /// No sum of counts comes near the end of what an Int holds.
    private static let countSumMax = Double(1 << 60)

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: DocumentKey.self)
        var record = RunRecord(
            plan: try container.decode(LoadPlan.self, forKey: "plan"),
            startedAt: try container.decode(Double.self, forKey: "started_at"))
        record.workerCount = try container.decode(Int.self, forKey: "workers")
        record.wasInterrupted = try container.decode(Bool.self, forKey: "interrupted")
        record.errors = try container.decode([ErrorDocument].self, forKey: "errors").map(\.error)
        record.warnings = try container.decode([String].self, forKey: "warnings")
        record.commandLine = try container.decodeIfPresent([String].self, forKey: "command_line")
        record.machine = try container.decodeIfPresent(MachineDescription.self, forKey: "machine")
        if let counts = try container.decodeIfPresent([String: Int].self, forKey: "generator_bytes") {
            guard let before = counts["before"], let after = counts["after"] else {
                throw DecodingError.dataCorruptedError(
                    forKey: DocumentKey("generator_bytes"), in: container,
                    debugDescription: "'before' or 'after' is missing")
            }
            record.ownByteCounts = (before, after)
        }
        record.intervals = try container.decode([IntervalDocument].self, forKey: "timeline").map(\.interval)
        if let (place, reason) = Self.problem(record) {
            throw DecodingError.dataCorruptedError(
                forKey: DocumentKey(place), in: container, debugDescription: reason)
        }
        self.record = record
    }

    private static func problem(_ record: RunRecord) -> (place: String, reason: String)? {
        let groupCount = record.plan.groups.count
        guard record.plan.groups.reduce(0.0, { $0 + Double($1.clientCount.magnitude) }) < countSumMax else {
            return ("plan", "there are more clients than can be counted")
        }
        guard record.errors.reduce(0.0, { $0 + Double($1.count.magnitude) }) < countSumMax else {
            return ("errors", "there are more errors than can be counted")
        }
        var sum = 0.0
        for (index, interval) in record.intervals.enumerated() {
            let name = "interval \(index)"
            guard interval.groups.count == groupCount, interval.open.count == groupCount else {
                return ("timeline", "\(name) has \(interval.groups.count) groups, and the plan has \(groupCount)")
            }
            guard (0..<1e12).contains(interval.seconds), (0..<1e12).contains(interval.startSeconds) else {
                return ("timeline", "\(name) is \(interval.seconds) s long, from \(interval.startSeconds) s on")
            }
            sum += magnitude(interval)
        }
        return sum < countSumMax ? nil : ("timeline", "the counts are too large to add up")
    }

    private static func magnitude(_ interval: Interval) -> Double {
        var sum = interval.open.reduce(0.0) { $0 + Double($1.magnitude) }
        for group in interval.groups {
            for (_, path) in Counters.all { sum += Double(group.counters[keyPath: path].magnitude) }
            for (_, path) in Distributions.stored { sum += Double(group.distributions[keyPath: path].totalCount) }
        }
        for (_, path) in ServerFigures.memoryKinds { sum += Double(interval.server?[keyPath: path]?.magnitude ?? 0) }
        return sum
    }
}
