// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// How the clients of a storm came back.
package struct StormFigures: Sendable, Equatable {
    /// Seconds from the loss until so many per cent of those that lost a connection were back; nil: they were not.
    package struct Times: Sendable, Equatable {
        package var after50: Double?
        package var after90: Double?
        package var after99: Double?
        package var after100: Double?

        package init() {}

        package var rows: [(percent: Int, seconds: Double?)] {
            [(50, after50), (90, after90), (99, after99), (100, after100)]
        }
    }

    /// Clients, those that lost their connection, and those that have one again.
    package var clientCount: Int
    package var lostCount: Int
    package var backCount: Int
    /// Until they had an open connection again; of losses, where a client may have had several.
    package var back: Times
    /// Until they were answered again, and how many clients were; nil: they say nothing.
    package var answered: Times?
    package var answeredCount: Int
    /// Attempts that a client needed: on average, failed ones of those still away included, and at most.
    package var attemptCountMean: Double
    package var attemptCountMax: Int
    /// Attempts that failed, for whatever reason: the run's errors say which.
    package var failedCount: Int
    /// Time to connect while the storm lasted.
    package var connect: Latency
    /// Round trips before the first loss and from then on.
    package var before: Latency
    package var after: Latency

    package init(_ record: RunRecord) {
        var (calm, measure) = (GroupMeasure(), GroupMeasure())
        // From the first loss on, for which a restart of the server need not wait until it is measured.
        let steps = record.intervals.filter { $0.phase != .ending }
        let first = steps.firstIndex { $0.groups.contains { $0.counters.ended > 0 } } ?? steps.endIndex
        for interval in steps[..<first] { for group in interval.groups { calm.add(group) } }
        for interval in steps[first...] { for group in interval.groups { measure.add(group) } }
        let counters = measure.counters
        clientCount = record.plan.clientCount
        lostCount = counters.ended
        backCount = counters.reconnected
        back = Times(measure.distributions.recovery, of: counters.ended)
        let answers = measure.distributions.answered
        answeredCount = Int(answers.totalCount)
        let hasHeartbeats = record.plan.groups.contains {
            if case .heartbeat = $0.behaviour { true } else { false }
        }
        // Losses before a first answer belong to the one before them.
        let silencedCount = max(min(counters.ended, record.plan.clientCount), answeredCount)
        answered = hasHeartbeats ? Times(answers, of: silencedCount) : nil
        attemptCountMean = Double(counters.started) / Double(max(counters.reconnected, 1))
        attemptCountMax = measure.attemptCountMax
        failedCount = counters.failed
        connect = Latency(measure.distributions.connect)
        before = Latency(calm.distributions.latency)
        after = Latency(measure.distributions.latency)
    }

    /// What a terminal is told.
    package var text: String {
        func time(_ seconds: Double?) -> String {
            seconds.map { Format.duration(nanoseconds: UInt64($0 * 1e9)) } ?? "not within the test"
        }
        func summary(_ latency: Latency) -> String {
            guard latency.count > 0 else { return "none" }
            return [("p50", latency.p50), ("p99", latency.p99), ("max", latency.max)]
                .map { "\($0) \(Format.duration(nanoseconds: $1))" }.joined(separator: ", ")
        }
        var rows = [
            ("lost a connection", "\(Format.grouped(lostCount)) of \(Format.grouped(clientCount)) clients"),
            ("came back", Format.grouped(backCount)),
        ]
        rows += back.rows.map { ("\($0.percent) % back after", time($0.seconds)) }
        if let answered {
            rows.append(("answered again", Format.grouped(answeredCount)))
            rows += answered.rows.map { ("\($0.percent) % answered after", time($0.seconds)) }
        }
        rows += [
            (
                "attempts of a client",
                "\(Format.decimal(attemptCountMean, digits: 2)) on average, \(attemptCountMax) at most"
            ), ("attempts that failed", Format.grouped(failedCount)),
            ("time to connect", summary(connect)),
        ]
        if answered != nil {
            rows += [("round trips before", summary(before)), ("round trips since", summary(after))]
        }
        return "Reconnect storm\n" + TextTable.pairs(rows)
    }

    /// Every client is back, and answered where it says something.
    package var isRecovered: Bool { back.after100 != nil && answered.map { $0.after100 != nil } ?? true }
}

extension StormFigures.Times {
    /// Of all that lost a connection, not of those only that came back.
    fileprivate init(_ histogram: NanosecondHistogram, of lostCount: Int) {
        func seconds(_ share: Double) -> Double? {
            let wanted = (Double(lostCount) * share).rounded(.up)
            guard lostCount > 0, Double(histogram.totalCount) >= wanted else { return nil }
            return Double(histogram.valueAtPercentile(100 * wanted / Double(histogram.totalCount))) * 1e-9
        }
        after50 = seconds(0.5)
        after90 = seconds(0.9)
        after99 = seconds(0.99)
        after100 = seconds(1)
    }
}
