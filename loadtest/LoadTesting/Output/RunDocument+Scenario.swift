// SPDX-License-Identifier: Apache-2.0

// What a scenario finds beside its figures, under the names that its table has.

extension RunDocument {
    static func encodeScenario(
        _ record: RunRecord, _ container: inout KeyedEncodingContainer<DocumentKey>
    ) throws {
        switch record.plan.scenario {
        case .storm: try container.encode(StormDocument(StormFigures(record)), forKey: "storm")
        case .slow: try container.encodeIfPresent(SlowFigures(record).map(SlowDocument.init), forKey: "slow")
        case .soak: try container.encode(TrendsDocument(record), forKey: "trends")
        case .echo, .rate, .idle, .ramp, .fanout, .churn, .mixed: break
        }
    }
}

private struct StormDocument: Encodable {
    let figures: StormFigures

    init(_ figures: StormFigures) { self.figures = figures }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: DocumentKey.self)
        try container.encode(figures.clientCount, forKey: "clients")
        try container.encode(figures.lostCount, forKey: "lost_connection")
        try container.encode(figures.backCount, forKey: "back")
        for (percent, seconds) in figures.back.rows {
            try container.encode(seconds, forKey: DocumentKey("back_\(percent)_seconds"))
        }
        if let answered = figures.answered {
            try container.encode(figures.answeredCount, forKey: "answered")
            for (percent, seconds) in answered.rows {
                try container.encode(seconds, forKey: DocumentKey("answered_\(percent)_seconds"))
            }
            try container.encode(LatencyDocument(figures.before), forKey: "latency_before_ns")
            try container.encode(LatencyDocument(figures.after), forKey: "latency_since_ns")
        }
        try container.encode(figures.attemptCountMean, forKey: "attempts_mean")
        try container.encode(figures.attemptCountMax, forKey: "attempts_max")
        try container.encode(figures.failedCount, forKey: "attempts_failed")
        try container.encode(LatencyDocument(figures.connect), forKey: "connect_ns")
    }
}

private struct SlowDocument: Encodable {
    let fast: SubscribersDocument
    let slow: SubscribersDocument
    let slow_ends: [ErrorDocument]
    let server_growth_bytes: Int?

    init(_ figures: SlowFigures) {
        fast = SubscribersDocument(figures.fast)
        slow = SubscribersDocument(figures.slow)
        slow_ends = figures.slowEnds.map(ErrorDocument.init)
        server_growth_bytes = figures.serverGrowthByteCount
    }
}

private struct SubscribersDocument: Encodable {
    let clients: Int
    let deliveries: Int
    let lost: Int
    let ended: Int
    let latency_ns: LatencyDocument

    init(_ subscribers: SlowFigures.Subscribers) {
        clients = subscribers.clientCount
        deliveries = subscribers.deliveredCount
        lost = subscribers.lostCount
        ended = subscribers.endedCount
        latency_ns = LatencyDocument(subscribers.latency)
    }
}

private struct TrendsDocument: Encodable {
    let latency_p99_ns: TrendDocument?
    let server_memory_bytes: TrendDocument?

    init(_ record: RunRecord) {
        latency_p99_ns = Trend.latency99(record).map(TrendDocument.init)
        server_memory_bytes = Trend.serverMemory(record).map(TrendDocument.init)
    }
}

private struct TrendDocument: Encodable {
    let per_hour: Double
    let standard_error_per_hour: Double?
    /// Beyond what chance makes of values without a trend.
    let beyond_chance: Bool

    init(_ trend: Trend) {
        per_hour = trend.perHour
        standard_error_per_hour = trend.standardErrorPerHour
        beyond_chance = trend.isSignificant
    }
}

private struct LatencyDocument: Encodable {
    let latency: Latency

    init(_ latency: Latency) { self.latency = latency }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: DocumentKey.self)
        try container.encode(latency.count, forKey: "count")
        try container.encode(latency.mean, forKey: "mean")
        for (name, nanoseconds) in latency.rows { try container.encode(nanoseconds, forKey: DocumentKey(name)) }
    }
}
