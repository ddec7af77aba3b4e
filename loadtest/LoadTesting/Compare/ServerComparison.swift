// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// Two servers measured in turns, so that what changes on the machines meanwhile meets both.
package struct ServerComparison: Sendable {
    /// One server's figures of one round.
    package struct Figures: Sendable {
        package var perSecond: Double
        package var p50Nanoseconds: Double
        package var p99Nanoseconds: Double
        /// Nil where the server's process is not known.
        package var perServerSecond: Double?
        package var errors: [TestError]

        init(_ record: RunRecord) {
            var all = GroupMeasure()
            for measure in record.measured { all.add(measure) }
            let completed = Double(all.counters.completed)
            let latency = all.distributions.latency
            perSecond = record.measuredSeconds > 0 ? completed / record.measuredSeconds : 0
            p50Nanoseconds = Double(latency.valueAtPercentile(50))
            p99Nanoseconds = Double(latency.valueAtPercentile(99))
            if let seconds = record.measuredServerSeconds, seconds > 0 { perServerSecond = completed / seconds }
            errors = record.errors
        }
    }

    package static let scenarios: [Scenario] = [.echo, .rate, .fanout, .churn]
    private static let metrics: [(name: String, unit: String, value: @Sendable (Figures) -> Double?)] = [
        ("throughput", "per_second", { $0.perSecond }), ("p50", "p50_ns", { $0.p50Nanoseconds }),
        ("p99", "p99_ns", { $0.p99Nanoseconds }),
        ("per second of server CPU", "per_server_second", { $0.perServerSecond }),
    ]

    package private(set) var a: [Figures] = []
    package private(set) var b: [Figures] = []
    package private(set) var wasInterrupted = false

    package init() {}

    /// Which is measured first in round `number` of 0...: ABBA, so that a steady drift favours neither.
    package static func isAFirst(_ number: Int) -> Bool { number % 2 == 0 }

    /// Measures both `roundCount` times. Ctrl-C ends it after the round that is measured; a round that is cut short
    /// counts for nothing.
    package mutating func run(
        roundCount: Int, _ progress: (Int, String, Figures) -> Void,
        measure: (_ isA: Bool) async throws -> RunRecord
    ) async throws {
        for round in 0..<roundCount {
            var pair: [Bool: Figures] = [:]
            for isA in Self.isAFirst(round) ? [true, false] : [false, true] {
                let record = try await measure(isA)
                if record.wasInterrupted || Interrupt.isRequested {
                    wasInterrupted = true
                    return
                }
                let figures = Figures(record)
                progress(round, isA ? "A" : "B", figures)
                pair[isA] = figures
            }
            if let first = pair[true], let second = pair[false] {
                a.append(first)
                b.append(second)
            }
        }
    }

    /// What is told while it runs.
    package static func line(_ round: Int, _ name: String, _ figures: Figures) -> String {
        let p50 = Format.duration(nanoseconds: UInt64(figures.p50Nanoseconds))
        let p99 = Format.duration(nanoseconds: UInt64(figures.p99Nanoseconds))
        return "round \(round + 1), \(name): \(Format.grouped(Int(figures.perSecond)))/s, p50 \(p50), p99 \(p99)"
    }

    package var errors: [TestError] { TestError.merged((a + b).map(\.errors)) }

    private func comparison(_ value: (Figures) -> Double?) -> RoundComparison? {
        let first = a.compactMap(value)
        let second = b.compactMap(value)
        guard first.count == a.count, second.count == b.count else { return nil }
        return RoundComparison(a: first, b: second)
    }

    package var text: String {
        guard !a.isEmpty else { return "compare: no round was completed\n" }
        var text = "compare, \(a.count) rounds\n"
        for metric in Self.metrics {
            if let comparison = comparison(metric.value) { text += "  \(comparison.sentence(metric.name))\n" }
        }
        return text + ReportParts.ending(nil, errors)
    }

    package var json: String {
        func figures(_ figures: Figures) -> JSONValue {
            .object(
                Self.metrics.map { ($0.unit, $0.value(figures).map { .number($0) } ?? .null) }
                    + [("errors", ReportParts.json(figures.errors))])
        }
        let rounds = zip(a, b).enumerated().map { index, pair -> JSONValue in
            .object([
                ("first", .string(Self.isAFirst(index) ? "a" : "b")), ("a", figures(pair.0)), ("b", figures(pair.1)),
            ])
        }
        let ratios = Self.metrics.map { metric -> (String, JSONValue) in
            guard let comparison = comparison(metric.value) else { return (metric.unit, .null) }
            return (
                metric.unit,
                .object([
                    ("b_over_a", .number(comparison.ratio)), ("low", comparison.low.map { .number($0) } ?? .null),
                    ("high", comparison.high.map { .number($0) } ?? .null),
                    ("is_decided", .boolean(comparison.isDecided)),
                ])
            )
        }
        let members: [(String, JSONValue)] = [
            ("rounds", .array(rounds)), ("ratios", .object(ratios)), ("was_interrupted", .boolean(wasInterrupted)),
        ]
        return JSONValue.object(members).description + "\n"
    }
}

extension RunRecord {
    /// CPU time of the server's process while it was measured.
    var measuredServerSeconds: Double? {
        let samples = intervals.indices.filter { intervals[$0].phase == .measuring }
        guard let first = samples.first, first > 0, let before = intervals[first - 1].server,
            let after = samples.last.flatMap({ intervals[$0].server })
        else { return nil }
        return after.cpuSeconds - before.cpuSeconds
    }
}
