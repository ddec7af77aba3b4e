// SPDX-License-Identifier: Apache-2.0

package import Histogram

/// What the clients of a group have counted since the run began.
package struct Counters: Codable, Sendable, Equatable {
    /// Connections begun, those that opened, those that failed to, and those that ended after they had opened.
    package var started = 0
    package var opened = 0
    package var failed = 0
    package var ended = 0
    /// Clients that had a connection open for the first time.
    package var connected = 0
    /// Messages sent, and messages that came.
    package var sent = 0
    package var received = 0
    /// What latency is measured of: round trips, deliveries, handshakes of a ramp.
    package var completed = 0
    /// Payload bytes of messages sent and received.
    package var sentByteCount = 0
    package var receivedByteCount = 0
    /// Deliveries that should have come and did not, came twice, or came behind a later one.
    package var lost = 0
    package var duplicated = 0
    package var reordered = 0
    /// Messages that should have left by now, where there is a schedule.
    package var due = 0
    /// Connections that came back after their client had lost one.
    package var reconnected = 0

    package init() {}

    package static let all: [(name: String, path: any WritableKeyPath<Counters, Int> & Sendable)] = [
        ("started", \.started), ("opened", \.opened), ("failed", \.failed), ("ended", \.ended),
        ("connected", \.connected), ("sent", \.sent), ("received", \.received), ("completed", \.completed),
        ("sent_bytes", \.sentByteCount),
        ("received_bytes", \.receivedByteCount), ("lost", \.lost), ("duplicated", \.duplicated),
        ("reordered", \.reordered), ("due", \.due), ("reconnected", \.reconnected),
    ]

    package static func + (a: Self, b: Self) -> Self { a.combined(b, +) }
    package static func - (a: Self, b: Self) -> Self { a.combined(b, -) }

    private func combined(_ other: Self, _ operation: (Int, Int) -> Int) -> Self {
        var result = Counters()
        for (_, path) in Self.all { result[keyPath: path] = operation(self[keyPath: path], other[keyPath: path]) }
        return result
    }

    /// Connections open now.
    package var open: Int { opened - ended }
}

/// Values of one kind, in nanoseconds.
package typealias NanosecondHistogram = Histogram<UInt64>

/// What is measured as a distribution.
///
/// Those of a closed step are packed (`pack`): reading one unpacks it, which takes some 50 microseconds; writing to one
/// leaves it unpacked.
package struct Distributions: Sendable {
    private var latencies = StoredHistogram()
    private var connects = StoredHistogram()
    private var lags = StoredHistogram()
    private var recoveries = StoredHistogram()
    private var answers = StoredHistogram()

    package init() {}

    /// Round trips from the (intended) sending to the answer; deliveries from publisher to subscriber.
    package var latency: NanosecondHistogram {
        get { latencies.histogram }
        _modify { yield &latencies.histogram }
    }
    /// From a connection's (intended) beginning to the server's answer.
    package var connect: NanosecondHistogram {
        get { connects.histogram }
        _modify { yield &connects.histogram }
    }
    /// How late the load tester itself was: from when it meant to send to when it did. Kept where there is a schedule.
    package var lag: NanosecondHistogram {
        get { lags.histogram }
        _modify { yield &lags.histogram }
    }
    /// From the loss of a connection to the client's next open one.
    package var recovery: NanosecondHistogram {
        get { recoveries.histogram }
        _modify { yield &recoveries.histogram }
    }
    /// From the loss of a connection to the first answer on a next one, where the client says something.
    package var answered: NanosecondHistogram {
        get { answers.histogram }
        _modify { yield &answers.histogram }
    }

    /// Longer values count as this: an hour.
    package static let valueMax: UInt64 = 3_600_000_000_000

    /// All share one storage until a value is recorded: most intervals have nothing of most kinds.
    package static func empty() -> NanosecondHistogram { nothing }

    private static let nothing = NanosecondHistogram(
        highestTrackableValue: valueMax, numberOfSignificantValueDigits: .three)

    package static let all: [(name: String, path: any WritableKeyPath<Distributions, NanosecondHistogram> & Sendable)] =
        [
            ("latency", \.latency), ("connect", \.connect), ("lag", \.lag), ("recovery", \.recovery),
            ("answered", \.answered),
        ]

    /// Connections are made before the measurement begins, as a rule, and lost ones come back whenever they do: the
    /// whole run's count. Of the others those do that were measured.
    package static func isOfWholeRun(_ name: String) -> Bool { name != "latency" && name != "lag" }

    /// As `all`, packed or not.
    static let stored: [(name: String, path: any WritableKeyPath<Distributions, StoredHistogram> & Sendable)] = [
        ("latency", \.latencies), ("connect", \.connects), ("lag", \.lags), ("recovery", \.recoveries),
        ("answered", \.answers),
    ]

    /// Adds one value. What is longer than an hour counts as one.
    package mutating func record(
        _ nanoseconds: UInt64, in path: WritableKeyPath<Distributions, NanosecondHistogram>
    ) {
        self[keyPath: path].record(min(nanoseconds, Self.valueMax))
    }

    package mutating func add(_ other: Distributions) {
        for (_, path) in Self.stored where other[keyPath: path].totalCount > 0 {
            self[keyPath: path].histogram.add(other[keyPath: path].histogram)
        }
    }
}

/// Of one group: counts of an interval, or of a whole phase.
package struct GroupMeasure: Sendable {
    package var counters = Counters()
    package var distributions = Distributions()
    /// Attempts that a client needed to get a lost connection back: the most.
    package var attemptCountMax = 0

    package init() {}

    package mutating func add(_ other: GroupMeasure) {
        counters = counters + other.counters
        attemptCountMax = max(attemptCountMax, other.attemptCountMax)
        distributions.add(other.distributions)
    }
}

/// How busy one scheduler thread of a load tester was.
package struct SchedulerUsage: Codable, Sendable, Equatable {
    /// Share of the time that it ran, and that it was ready and waited for a core.
    package var cpuShare: Double
    package var waitShare: Double

    package init(cpuShare: Double, waitShare: Double) {
        self.cpuShare = cpuShare
        self.waitShare = waitShare
    }
}

/// What a run is doing.
package enum Phase: String, Codable, Sendable, CaseIterable {
    case connecting, warmup, measuring, ending
}

/// One step of the timeline.
package struct Interval: Sendable {
    package var phase: Phase
    /// From the start of the run to the interval's, and how long it was.
    package var startSeconds: Double
    package var seconds: Double
    /// By group, in the plan's order: what was counted in this interval.
    package var groups: [GroupMeasure]
    /// Connections open at the interval's end, by group.
    package var open: [Int]
    /// Of every scheduler of every worker.
    package var usage: [SchedulerUsage]
    package var server: ServerSample?

    package init(
        phase: Phase, startSeconds: Double, seconds: Double, groups: [GroupMeasure], open: [Int],
        usage: [SchedulerUsage], server: ServerSample?
    ) {
        self.phase = phase
        self.startSeconds = startSeconds
        self.seconds = seconds
        self.groups = groups
        self.open = open
        self.usage = usage
        self.server = server
    }
}

/// The server's process at one time (proc(5)), and what this machine's kernel holds for sockets.
package struct ServerSample: Codable, Sendable, Equatable {
    /// Since it started, all threads.
    package var cpuSeconds: Double
    /// Anonymous pages in RAM, all pages in RAM, and those with shared ones in proportion. Bytes; nil: unreadable.
    package var anonymousByteCount: Int?
    package var residentByteCount: Int?
    package var proportionalByteCount: Int?
    /// Kernel memory of the machine: slabs, and TCP's buffers. Bytes; it is everyone's, not the server's alone.
    package var slabByteCount: Int?
    package var socketByteCount: Int?
    package var descriptorCount: Int?

    package init(cpuSeconds: Double) { self.cpuSeconds = cpuSeconds }
}

/// What a run has found: all that a report of any kind is made from.
package struct RunRecord: Sendable {
    package var plan: LoadPlan
    /// Seconds since 1970 when the run began.
    package var startedAt: Double
    package var workerCount: Int
    package var intervals: [Interval]
    /// By kind, most frequent first.
    package var errors: [TestError]
    /// Where the load tester, and not the server, may have set the pace; and other doubts about the figures.
    package var warnings: [String]
    /// User-space memory of all workers together, in bytes: before the first connection, and at the end of the
    /// measurement. nil: not known.
    package var ownByteCounts: (before: Int, after: Int)?
    /// Ended by Ctrl-C.
    package var wasInterrupted: Bool
    /// What the program was started with, its name first; nil: not known.
    package var commandLine: [String]?
    /// Where the load tester ran; nil: not known.
    package var machine: MachineDescription?

    package init(plan: LoadPlan, startedAt: Double) {
        self.plan = plan
        self.startedAt = startedAt
        workerCount = 1
        intervals = []
        errors = []
        warnings = []
        wasInterrupted = false
    }

    /// What was counted while it was measured: one for each group, in the plan's order. Answers that came after the
    /// end to what was sent before it count in the distributions, not in the rates; so do losses found then.
    package var measured: [GroupMeasure] {
        var result = total { $0.phase == .measuring }
        for interval in intervals where interval.phase == .ending {
            for (index, group) in interval.groups.enumerated() {
                result[index].distributions.add(group.distributions)
                result[index].counters.lost += group.counters.lost
                result[index].counters.duplicated += group.counters.duplicated
                result[index].counters.reordered += group.counters.reordered
            }
        }
        return result
    }
    /// From the first connection to the end.
    package var whole: [GroupMeasure] { total { _ in true } }

    package var measuredSeconds: Double {
        intervals.reduce(0) { $1.phase == .measuring ? $0 + $1.seconds : $0 }
    }

    private func total(_ isIncluded: (Interval) -> Bool) -> [GroupMeasure] {
        var result = plan.groups.map { _ in GroupMeasure() }
        for interval in intervals where isIncluded(interval) {
            for (index, group) in interval.groups.enumerated() { result[index].add(group) }
        }
        return result
    }
}
