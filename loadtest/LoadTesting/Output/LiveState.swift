// SPDX-License-Identifier: Apache-2.0

/// What a view of a running test knows. Pure: the time is given, in seconds since the view began.
package struct LiveState: Sendable {
    package let plan: LoadPlan
    package private(set) var phase = Phase.connecting
    /// When the phase began.
    package private(set) var phaseSince = 0.0
    /// Clients whose first attempt is over, of all, and those of them that failed.
    package private(set) var settledCount = 0
    package private(set) var clientCount: Int
    package private(set) var failedCount = 0
    package private(set) var last: Interval?
    package private(set) var errors: [TestError] = []
    /// Completed in each second: the newest last.
    package private(set) var rates: [Double] = []
    /// By group, while it was measured; before that, since the run began.
    package private(set) var total: [GroupMeasure]
    /// Cores that the server used over the last interval, where its samples tell.
    package private(set) var serverCoreCount: Double?
    private var lastSample: (sample: ServerSample, endSeconds: Double)?

    /// Intervals that a sparkline shows.
    package static let rateCountMax = 60

    package init(plan: LoadPlan) {
        self.plan = plan
        clientCount = plan.clientCount
        total = plan.groups.map { _ in GroupMeasure() }
    }

    package mutating func phaseChanged(_ phase: Phase, at seconds: Double) {
        // What is counted until the measurement begins is not part of its figures.
        if phase == .measuring { total = plan.groups.map { _ in GroupMeasure() } }
        self.phase = phase
        phaseSince = seconds
    }

    package mutating func connecting(settled: Int, of all: Int, failed: Int) {
        settledCount = settled
        clientCount = all
        failedCount = failed
    }

    package mutating func interval(_ interval: Interval, errors: [TestError]) {
        self.errors = errors
        // A phase ends with a step that may be as short as it likes: too little happens in it for a figure.
        let isLong = interval.seconds >= plan.intervalSeconds / 3
        if isLong || last == nil { last = interval } else { last?.open = interval.open }
        let isMeasured = phase == .measuring || phase == .ending
        if !isMeasured || interval.phase == .measuring {
            for (index, group) in interval.groups.enumerated() where index < total.count { total[index].add(group) }
        }
        if isLong { rates.append(interval.rate(\.completed)) }
        if rates.count > Self.rateCountMax { rates.removeFirst(rates.count - Self.rateCountMax) }
        guard let server = interval.server else { return }
        let end = interval.startSeconds + interval.seconds
        if let lastSample, end > lastSample.endSeconds {
            serverCoreCount = max(server.cpuSeconds - lastSample.sample.cpuSeconds, 0) / (end - lastSample.endSeconds)
        }
        lastSample = (server, end)
    }

    /// How much of the phase is over, where that is known: 0...1.
    package func progress(at seconds: Double) -> Double? {
        guard let phaseSeconds else { return nil }
        return phaseSeconds > 0 ? min(max((seconds - phaseSince) / phaseSeconds, 0), 1) : 1
    }

    /// How long the phase takes, at most; nil: until all are connected, or until Ctrl-C.
    package var phaseSeconds: Double? {
        switch phase {
        case .connecting: nil
        case .warmup: plan.warmupSeconds
        case .measuring: plan.durationSeconds
        case .ending: plan.endTimeoutSeconds
        }
    }

    /// Connections open at the last interval's end; before the first, those that have opened so far.
    package var openCount: Int { last?.open.reduce(0, +) ?? max(settledCount - failedCount, 0) }

    package var errorCount: Int { errors.reduce(0) { $0 + $1.count } }
}

extension Interval {
    /// Of all groups, in each second.
    package func rate(_ path: KeyPath<Counters, Int>) -> Double {
        seconds > 0 ? Double(groups.reduce(0) { $0 + $1.counters[keyPath: path] }) / seconds : 0
    }
}
