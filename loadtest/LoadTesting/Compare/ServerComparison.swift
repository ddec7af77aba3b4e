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
            perServerSecond = RunFigures(record).server.completedPerCPUSecond
            errors = record.errors
        }
    }

    /// Those that have a throughput and latencies to compare.
    package static let scenarios: [Scenario] = [.echo, .rate, .fanout, .churn]
    private static let metrics:
        [(name: String, unit: String, kind: RatioEstimate.Kind, value: @Sendable (Figures) -> Double?)] = [
            ("throughput", "per_second", .rate, { $0.perSecond }),
            ("p50", "p50_ns", .duration, { $0.p50Nanoseconds }), ("p99", "p99_ns", .duration, { $0.p99Nanoseconds }),
            ("per second of server CPU", "per_server_second", .rate, { $0.perServerSecond }),
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

    private func estimate(_ value: (Figures) -> Double?) -> RatioEstimate? {
        let first = a.compactMap(value)
        let second = b.compactMap(value)
        guard first.count == a.count, second.count == b.count else { return nil }
        return RatioEstimate(first, second)
    }

    package var text: String {
        guard !a.isEmpty else { return "compare: no round was completed\n" }
        var text = "compare, \(a.count) round\(a.count == 1 ? "" : "s")\n"
        for metric in Self.metrics {
            if let estimate = estimate(metric.value) {
                text += "  \(metric.name): \(estimate.sentence(metric.kind, a: "A", b: "B"))\n"
            }
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
            guard let estimate = estimate(metric.value) else { return (metric.unit, .null) }
            return (
                metric.unit,
                .object([
                    ("b_over_a", .number(estimate.ratio)),
                    ("low", estimate.interval.map { .number($0.lowerBound) } ?? .null),
                    ("high", estimate.interval.map { .number($0.upperBound) } ?? .null),
                    ("is_decided", .boolean(estimate.isDifference)),
                ])
            )
        }
        let members: [(String, JSONValue)] = [
            ("rounds", .array(rounds)), ("ratios", .object(ratios)), ("was_interrupted", .boolean(wasInterrupted)),
        ]
        return JSONValue.object(members).description + "\n"
    }
}
