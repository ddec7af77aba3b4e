// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// A condition under which a run counts as failed: `p99>5ms`, `errors>0`, `chat:connect.p99 >= 1s`.
///
/// `[GROUP:]METRIC OPERATOR NUMBER[UNIT]`.
package struct Threshold: Sendable, Equatable {
    /// As it was given.
    package let expression: String
    package let group: String?
    package let metric: Metric
    package let comparison: Comparison
    /// In nanoseconds, bytes, percent, or as many.
    package let limit: Double

    package enum Comparison: String, Sendable, CaseIterable {
        case atLeast = ">="
        case atMost = "<="
        case equal = "=="
        case different = "!="
        case more = ">"
        case less = "<"

        func holds(_ value: Double, _ limit: Double) -> Bool {
            switch self {
            case .atLeast: value >= limit
            case .atMost: value <= limit
            case .equal: value == limit
            case .different: value != limit
            case .more: value > limit
            case .less: value < limit
            }
        }
    }

    /// Throws what is wrong with the expression, and where.
    package init(_ expression: String) throws(ThresholdError) {
        var parser = ThresholdParser(expression)
        self.expression = expression
        (group, metric) = try parser.takeMetric()
        comparison = try parser.takeComparison()
        limit = try parser.takeLimit(metric.quantity)
        if let group, !metric.isOfGroup {
            throw parser.error(
                group[...], "\(metric.name) is known for the whole run only, and not for a group: leave the group out")
        }
    }

    /// Throws where a run of this plan cannot tell: it has no group of that name, or measures nothing of the kind.
    /// `hasServer`: the server's process is known.
    package func check(_ plan: LoadPlan, hasServer: Bool = true) throws(ThresholdError) {
        let parser = ThresholdParser(expression)
        var groups = plan.groups
        if let group {
            groups.removeAll { $0.name != group }
            if groups.isEmpty {
                let known = plan.groups.map { "'\($0.name)'" }.joined(separator: ", ")
                throw parser.error(group[...], "the run has no group of this name; it has \(known)")
            }
        }
        switch metric {
        case .distribution("latency", let statistic, _):
            // A group without clients has what others measure.
            if groups.contains(where: { $0.clientCount == 0 || $0.behaviour.measuresLatency }) { return }
            throw parser.error(
                expression[...],
                "no answers are awaited, so that there is no latency; connections have connect.\(statistic)")
        case .single(let single):
            if single.isOfServer, !hasServer { throw parser.error(expression[...], Single.serverRemedy) }
        case .distribution: break
        }
    }

    package func verdict(_ figures: RunFigures) -> ThresholdVerdict {
        var index: Int?
        if let group {
            index = figures.record.plan.groups.firstIndex { $0.name == group }
            if index == nil { return failed("the run has no group of this name") }
        }
        switch metric.value(figures, index) {
        case .missing(let reason): return failed(reason)
        case .value(let value):
            return ThresholdVerdict(
                expression: expression, value: value, found: metric.quantity.text(value),
                passed: !comparison.holds(value, limit))
        }
    }

    private func failed(_ reason: String) -> ThresholdVerdict {
        ThresholdVerdict(expression: expression, value: nil, found: reason, passed: false)
    }
}

/// What became of a threshold.
package struct ThresholdVerdict: Sendable, Equatable {
    package let expression: String
    /// Nil: there was nothing to compare.
    package let value: Double?
    /// The value as people read it, or why there is none.
    package let found: String
    /// The condition does not hold.
    package let passed: Bool

    package init(expression: String, value: Double?, found: String, passed: Bool) {
        self.expression = expression
        self.value = value
        self.found = found
        self.passed = passed
    }
}

/// What is wrong with an expression.
package struct ThresholdError: Error, Equatable, CustomStringConvertible {
    package let expression: String
    /// Of the wrong part: the characters before it, and its own.
    package let offset: Int
    package let length: Int
    package let reason: String

    /// The expression in a line of its own, and what is wrong in it marked below.
    package var description: String {
        let marks = String(repeating: " ", count: offset) + String(repeating: "^", count: max(length, 1))
        return "'\(expression)': \(reason)\n  \(expression)\n  \(marks)"
    }
}

// MARK: Metrics

extension Threshold {
    /// What values are, and in which units they are given.
    package enum Quantity: Sendable, Equatable {
        case time, count, rate, percent, bytes, timePerHour, bytesPerHour

        /// What each unit stands for; the empty one is a number alone.
        var units: [(name: String, factor: Double)] {
            switch self {
            case .time: [("ns", 1), ("us", 1e3), ("ms", 1e6), ("s", 1e9)]
            case .count, .rate: [("", 1), ("k", 1e3)]
            case .percent: [("", 1), ("%", 1)]
            case .bytes: [("", 1), ("B", 1), ("KB", 1e3), ("KiB", 1_024), ("MB", 1e6), ("MiB", 1_048_576)]
            case .timePerHour: Self.time.units.map { ($0.name + "/h", $0.factor) }
            case .bytesPerHour: Self.bytes.units.filter { !$0.name.isEmpty }.map { ($0.name + "/h", $0.factor) }
            }
        }

        func text(_ value: Double) -> String {
            switch self {
            case .time: Format.duration(nanoseconds: UInt64(clamping: Int(value)))
            case .count: Format.wholeNumber(value)
            case .rate: Format.perSecond(value)
            case .percent: Format.decimal(value, digits: 3) + " %"
            case .bytes: Format.bytes(Int(value))
            case .timePerHour: Self.signed(.time, value) + "/h"
            case .bytesPerHour: Self.signed(.bytes, value) + "/h"
            }
        }

        private static func signed(_ quantity: Self, _ value: Double) -> String {
            (value < 0 ? "-" : "+") + quantity.text(min(abs(value), 1e18))
        }
    }

    package enum Value: Sendable, Equatable {
        case value(Double)
        case missing(String)

        static let nothing = Value.missing("nothing was measured")
    }

    package enum Metric: Sendable, Equatable {
        /// "min", "mean", "max", or nil and a percentile.
        case distribution(String, statistic: String, percent: Double?)
        case single(Single)

        var name: String {
            switch self {
            case .distribution(let distribution, let statistic, _): "\(distribution).\(statistic)"
            case .single(let single): single.rawValue
            }
        }

        var quantity: Quantity {
            switch self {
            case .distribution: .time
            case .single(let single): single.quantity
            }
        }

        var isOfGroup: Bool {
            switch self {
            case .distribution: true
            case .single(let single): single.isOfGroup
            }
        }

        func value(_ figures: RunFigures, _ group: Int?) -> Value {
            let measured = group.map { figures.measured[$0] } ?? figures.measuredTotal
            let whole = group.map { figures.whole[$0] } ?? figures.wholeTotal
            switch self {
            case .single(let single): return single.value(figures, measured.counters, whole.counters)
            case .distribution(let name, let statistic, let percent):
                guard let path = Distributions.all.first(where: { $0.name == name })?.path else { return .nothing }
                let histogram = (Distributions.isOfWholeRun(name) ? whole : measured).distributions[keyPath: path]
                return Self.value(histogram, statistic, percent)
            }
        }

        private static func value(_ histogram: NanosecondHistogram, _ statistic: String, _ percent: Double?) -> Value {
            guard histogram.totalCount > 0 else { return .nothing }
            if let percent { return .value(Double(DistributionSummary.value(histogram, percent))) }
            switch statistic {
            case "min": return .value(Double(histogram.min))
            case "mean": return .value(HistogramSlots(histogram).mean)
            default: return .value(Double(histogram.maxRecorded))  // the parser knows no other
            }
        }
    }

    /// A metric of one number.
    package enum Single: String, Sendable, CaseIterable {
        case errors, errorRate = "error_rate"
        case failed, lost, duplicated, reordered
        case rate, sentRate = "sent_rate"
        case receivedRate = "received_rate"
        case connected, serverCPU = "server_cpu"
        case ratePerCPU = "rate_per_cpu"
        case memoryPerConnection = "memory_per_connection"
        /// What the server's memory, and the p99 of latency, grow by in an hour; 0 where that may be chance.
        case memoryTrend = "memory_trend"
        case latencyTrend = "p99_trend"

        var quantity: Quantity {
            switch self {
            case .errors, .failed, .lost, .duplicated, .reordered, .connected, .ratePerCPU: .count
            case .rate, .sentRate, .receivedRate: .rate
            case .errorRate, .serverCPU: .percent
            case .memoryPerConnection: .bytes
            case .memoryTrend: .bytesPerHour
            case .latencyTrend: .timePerHour
            }
        }

        var isOfGroup: Bool {
            switch self {
            case .failed, .lost, .duplicated, .reordered, .rate, .sentRate, .receivedRate, .connected: true
            case .errors, .errorRate, .serverCPU, .ratePerCPU, .memoryPerConnection, .memoryTrend, .latencyTrend: false
            }
        }

        static let serverRemedy = "nothing was measured of the server: give --server-pid"

        var isOfServer: Bool {
            switch self {
            case .serverCPU, .ratePerCPU, .memoryPerConnection, .memoryTrend: true
            case .errors, .errorRate, .failed, .lost, .duplicated, .reordered, .rate, .sentRate, .receivedRate,
                .connected, .latencyTrend:
                false
            }
        }

        func value(_ figures: RunFigures, _ measured: Counters, _ whole: Counters) -> Value {
            let hasMessages = whole.sent > 0 || whole.received > 0 || whole.completed > 0
            func count(_ value: Int, _ hasData: Bool) -> Value { hasData ? .value(Double(value)) : .nothing }
            func perSecond(_ value: Int) -> Value {
                figures.seconds > 0 ? .value(figures.perSecond(value)) : .nothing
            }
            func ofServer(_ value: Double?) -> Value {
                value.map(Value.value) ?? .missing(Self.serverRemedy)
            }
            switch self {
            case .errors: return .value(Double(figures.errorCount))
            case .errorRate: return figures.errorPercent.map(Value.value) ?? .nothing
            case .failed: return count(whole.failed, whole.started > 0)
            case .lost: return count(whole.lost, hasMessages)
            case .duplicated: return count(whole.duplicated, hasMessages)
            case .reordered: return count(whole.reordered, hasMessages)
            case .rate: return perSecond(measured.completed)
            case .sentRate: return perSecond(measured.sent)
            case .receivedRate: return perSecond(measured.received)
            case .connected: return count(whole.connected, whole.started > 0)
            case .serverCPU: return ofServer(figures.server.cpuShare.map { $0 * 100 })
            case .ratePerCPU: return ofServer(figures.completedPerCPUSecond)
            case .memoryPerConnection: return ofServer(figures.server.bytesPerConnection["anonymous"])
            case .memoryTrend: return ofServer(Trend.serverMemory(figures.record)?.perHourBeyondChance)
            case .latencyTrend:
                return Trend.latency99(figures.record).map { .value($0.perHourBeyondChance) } ?? .nothing
            }
        }
    }
}
