// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// How the clients of a storm came back.
package struct StormFigures: Sendable, Equatable, Codable {
    /// Clients, those that lost their connection, and those that have one again.
    package var clientCount: Int
    package var lostCount: Int
    package var backCount: Int
    /// Seconds from the loss until so many per cent of those that lost a connection were back; nil: they were not.
    package var back50Seconds: Double?
    package var back90Seconds: Double?
    package var back99Seconds: Double?
    package var back100Seconds: Double?
    /// Attempts that a client needed: on average, failed ones of those still away included, and at most.
    package var attemptCountMean: Double
    package var attemptCountMax: Int
    /// Attempts that failed, for whatever reason: the run's errors say which.
    package var failedCount: Int
    /// Time to connect while the storm lasted.
    package var connect: Latency

    package init(_ record: RunRecord) {
        var measure = GroupMeasure()
        // From the first loss on, for which a restart of the server need not wait until it is measured.
        let before = record.intervals.filter { $0.phase != .ending }
        for interval in before.drop(while: { $0.groups.allSatisfy { $0.counters.ended == 0 } }) {
            for group in interval.groups { measure.add(group) }
        }
        let counters = measure.counters
        clientCount = record.plan.clientCount
        lostCount = counters.ended
        backCount = counters.reconnected
        let recovery = measure.distributions.recovery
        let lostCount = lostCount
        /// Of all that lost a connection, not of those only that came back.
        func seconds(_ share: Double) -> Double? {
            let wanted = (Double(lostCount) * share).rounded(.up)
            guard lostCount > 0, Double(recovery.totalCount) >= wanted else { return nil }
            return Double(recovery.valueAtPercentile(100 * wanted / Double(recovery.totalCount))) * 1e-9
        }
        back50Seconds = seconds(0.5)
        back90Seconds = seconds(0.9)
        back99Seconds = seconds(0.99)
        back100Seconds = seconds(1)
        attemptCountMean = Double(counters.started) / Double(max(counters.reconnected, 1))
        attemptCountMax = measure.attemptCountMax
        failedCount = counters.failed
        connect = Latency(measure.distributions.connect)
    }

    /// What a terminal is told.
    package var text: String {
        func time(_ seconds: Double?) -> String {
            seconds.map { Format.duration(nanoseconds: UInt64($0 * 1e9)) } ?? "not within the test"
        }
        let connecting = [("p50", connect.p50), ("p99", connect.p99), ("max", connect.max)]
            .map { "\($0) \(Format.duration(nanoseconds: $1))" }.joined(separator: ", ")
        return "Reconnect storm\n"
            + TextTable.pairs([
                ("lost a connection", "\(Format.grouped(lostCount)) of \(Format.grouped(clientCount)) clients"),
                ("came back", Format.grouped(backCount)), ("50 % back after", time(back50Seconds)),
                ("90 % back after", time(back90Seconds)), ("99 % back after", time(back99Seconds)),
                ("100 % back after", time(back100Seconds)),
                (
                    "attempts of a client",
                    "\(Format.decimal(attemptCountMean, digits: 2)) on average, \(attemptCountMax) at most"
                ), ("attempts that failed", Format.grouped(failedCount)),
                ("time to connect", connecting),
            ])
    }
}
