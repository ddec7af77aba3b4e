// SPDX-License-Identifier: Apache-2.0

internal import Histogram
internal import RoostRuntime

/// Who watches a run: a terminal, or nobody. Called from the run's task.
package protocol RunObserver: AnyObject {
    func phaseChanged(_ phase: Phase)
    /// While clients connect: those that have opened or failed, of all.
    func connecting(settled: Int, of count: Int, failed: Int)
    /// A step of the timeline is complete. `errors` since the beginning.
    func interval(_ interval: Interval, errors: [TestError])
    /// Each minute: all that was found so far, so that a run that is killed does not take it along.
    func checkpoint(_ record: RunRecord)
    /// Some fifty times a second.
    func tick()
    func finish()
}

extension RunObserver {
    package func checkpoint(_ record: RunRecord) {}
}

/// One run: leads the workers through its phases and gathers what they measure.
package final class LoadRun {
    private let plan: LoadPlan
    private let workers: WorkerSet
    private let server: ProcessMeter?
    private let observer: (any RunObserver)?
    private let startedAt = ContinuousClock.now
    private var record: RunRecord
    /// What had been counted at the last step.
    private var counted: [Counters]
    /// The workers', and the run's own.
    private var workerErrors: [TestError] = []
    private var ownErrors: [TestError] = []
    private var ownByteCount: Int?
    private var stepStart = ContinuousClock.now
    private var phase = Phase.connecting
    /// From one checkpoint to the next.
    package var checkpointSeconds = 60.0
    private var lastCheckpoint = ContinuousClock.now
    /// Of a ramp: since when all connections are open or have failed.
    private var settledSince: ContinuousClock.Instant?

    package init(_ plan: LoadPlan, _ workers: [any WorkerLink], server: ProcessMeter?, observer: (any RunObserver)?) {
        self.plan = plan
        self.workers = WorkerSet(workers, groupCount: plan.groups.count)
        self.server = server
        self.observer = observer
        record = RunRecord(plan: plan, startedAt: WallClock.secondsSince1970)
        record.workerCount = self.workers.workerCount
        counted = plan.groups.map { _ in Counters() }
    }

    /// Runs to the end. A worker that is lost ends it: what was measured until then is reported, and the loss is an
    /// error.
    package func run() async -> RunRecord {
        do throws(LoadTestError) {
            try await runPhases()
        } catch {
            await step()
            // The loss of a worker is among the workers' errors.
            if !workerErrors.contains(where: { $0.kind == error.description }) { addError(error.description) }
        }
        if plan.measuresAcrossWorkers { await workers.compareClocks() }
        await workers.stop(timeoutSeconds: 1)
        observer?.finish()
        return summary
    }

    /// What was found so far.
    private var summary: RunRecord {
        var record = record
        record.wasInterrupted = Interrupt.isRequested
        record.errors = errors
        record.warnings += record.limitWarnings + record.paceWarnings + clockWarnings
        return record
    }

    private func runPhases() async throws(LoadTestError) {
        // The first sample is of before the first connection.
        await step()
        let ownBefore = ownByteCount
        stepStart = .now
        try await workers.connect()
        if plan.connectsFirst { try await connectAll() }
        guard !Interrupt.isRequested else { return try await end() }
        try await workers.tell(.begin)
        if plan.warmupSeconds > 0 { try await hold(.warmup, for: plan.warmupSeconds) }
        if plan.scenario == .storm, plan.dropsConnections { try await workers.tell(.drop) }
        try await hold(.measuring, for: plan.durationSeconds)
        if let ownBefore, let ownAfter = ownByteCount { record.ownByteCounts = (ownBefore, ownAfter) }
        try await end()
    }

    private func connectAll() async throws(LoadTestError) {
        enter(.connecting)
        while !Interrupt.isRequested {
            let status = try await workers.status()
            observer?.connecting(settled: status.settledCount, of: status.clientCount, failed: status.failedCount)
            if status.settledCount == status.clientCount || status.isDeserted { break }
            try await pause()
        }
        await step()
    }

    private func end() async throws(LoadTestError) {
        enter(.ending)
        try await workers.tell(.end)
        let deadline = ContinuousClock.now + .seconds(plan.endTimeoutSeconds)
        let wasInterrupted = Interrupt.isRequested
        var status = try await workers.status()
        while status.connectionCount > 0, ContinuousClock.now < deadline, wasInterrupted || !Interrupt.isRequested {
            try await pause()
            status = try await workers.status()
        }
        if status.openCount > 0, plan.awaitsAnswers, ContinuousClock.now >= deadline {
            // They note what was lost, which the last step takes along.
            try await workers.tell(.drop)
            while status.openCount > 0, ContinuousClock.now < deadline + .seconds(5) {
                try await pause()
                status = try await workers.status()
            }
            // The others' server did not take part in the closing handshake.
            if status.abandonedCount > 0 {
                addError(
                    "\(status.abandonedCount) connections had messages unanswered \(plan.endTimeoutSeconds) s after "
                        + "the end")
            }
        }
        await step()
    }

    /// Lets the clients work for `seconds`, until none is left or the user interrupts.
    private func hold(_ phase: Phase, for seconds: Double?) async throws(LoadTestError) {
        enter(phase)
        let start = ContinuousClock.now
        while !Interrupt.isRequested {
            if let seconds, ContinuousClock.now - start >= .seconds(seconds) { break }
            if try await isOver(phase) { break }
            try await pause(until: seconds.map { start + .seconds($0) })
        }
        await step()
    }

    private func isOver(_ phase: Phase) async throws(LoadTestError) -> Bool {
        let status = try await workers.status()
        if status.isDeserted { return true }
        guard phase == .measuring, plan.durationSeconds == nil || plan.scenario == .storm else { return false }
        switch plan.scenario {
        case .ramp:
            guard status.settledCount == status.clientCount else { return false }
            let since = settledSince ?? .now
            settledSince = since
            return ContinuousClock.now - since >= .seconds(plan.holdSeconds)
        // Each has lost its connection, has one again, and is answered on it where it says something.
        case .storm:
            return status.lostCount >= status.clientCount && status.openCount == status.clientCount
                && status.silentCount == 0
        case .echo, .rate, .idle, .fanout, .churn, .slow, .soak, .mixed: return false
        }
    }

    // MARK: Steps of the timeline

    private func enter(_ phase: Phase) {
        self.phase = phase
        observer?.phaseChanged(phase)
    }

    /// A moment; a step of the timeline where one is due.
    private func pause(until end: ContinuousClock.Instant? = nil) async throws(LoadTestError) {
        observer?.tick()
        let due = stepStart + .seconds(record.plan.intervalSeconds)
        let next = min(.now + .milliseconds(20), due, end ?? due)
        try? await Task.sleep(until: next, clock: .continuous)
        if ContinuousClock.now >= due { await step() }
    }

    private func step() async {
        let begin = stepStart
        let snapshot = await workers.snapshot()
        var groups = snapshot.groups
        for (index, measure) in snapshot.groups.enumerated() {
            groups[index].counters = measure.counters - counted[index]
            counted[index] = measure.counters
        }
        workerErrors = snapshot.errors
        ownByteCount = snapshot.ownByteCount
        stepStart = .now
        let interval = Interval(
            phase: phase, startSeconds: (begin - startedAt).seconds, seconds: (stepStart - begin).seconds,
            groups: groups, open: counted.map(\.open), usage: snapshot.usage, server: server?.sample)
        record.append(interval)
        observer?.interval(interval, errors: errors)
        guard let observer, stepStart - lastCheckpoint >= .seconds(checkpointSeconds) else { return }
        lastCheckpoint = stepStart
        observer.checkpoint(summary)
    }

    // MARK: Errors and warnings

    private var errors: [TestError] { TestError.merged([workerErrors, ownErrors]) }

    /// Where times of one machine are compared with those of another.
    private var clockWarnings: [String] {
        guard plan.measuresAcrossWorkers, let uncertainty = workers.clockUncertaintyNanoseconds,
            uncertainty > 100_000
        else { return [] }
        return [
            "the agents' clocks are known to \(Format.duration(nanoseconds: uncertainty)) only: latencies between "
                + "machines are no more exact than that; use a faster network between them, and NTP for long runs"
        ]
    }

    private func addError(_ kind: String) {
        ownErrors.append(TestError(kind: kind, count: 1, firstSeconds: (ContinuousClock.now - startedAt).seconds))
    }
}

extension TestError {
    /// Of all workers, by kind, most frequent first.
    static func merged(_ errors: [[TestError]]) -> [TestError] {
        var byKind: [String: TestError] = [:]
        for error in errors.joined() {
            guard let known = byKind[error.kind] else {
                byKind[error.kind] = error
                continue
            }
            let first = known.firstSeconds <= error.firstSeconds ? known : error
            byKind[error.kind] = TestError(
                kind: error.kind, count: known.count + error.count, firstSeconds: first.firstSeconds,
                firstOpenCount: first.firstOpenCount, isExpected: error.isExpected)
        }
        return byKind.values.sorted { ($0.count, $1.kind) > ($1.count, $0.kind) }
    }
}

extension LoadPlan {
    /// A message's time is taken by one worker when it is sent and by another when it comes: not in a closed loop,
    /// where a room's clients are in one worker.
    package var measuresAcrossWorkers: Bool {
        groups.contains { group in
            switch group.behaviour.fanOut?.pace {
            case .rate: true
            case .inFlight, nil: false
            }
        }
    }

    /// Clients stay open after the end while something is unanswered.
    var awaitsAnswers: Bool {
        groups.contains { group in
            switch group.behaviour {
            case .echo, .churn, .heartbeat: true
            case .paced(let plan): plan.awaitsAnswers
            case .script(let plan): plan.hasExpectations || plan.awaitsClose
            case .idle, .publish, .subscribe: false
            }
        }
    }
}

extension RunRecord {
    /// Where the load tester, not the server, may have set the pace.
    var limitWarnings: [String] {
        let measuring = intervals.filter { $0.phase == .measuring && $0.seconds > 0 }
        guard let first = measuring.first else { return [] }
        var warnings: [String] = []
        let seconds = measuring.reduce(0) { $0 + $1.seconds }
        // In a moment anything can be busy.
        guard seconds >= 0.1 else { return [] }
        func mean(_ share: KeyPath<SchedulerUsage, Double>) -> Double {
            let means = first.usage.indices.map { scheduler in
                measuring.reduce(0) { sum, interval in
                    guard scheduler < interval.usage.count else { return sum }
                    return sum + interval.usage[scheduler][keyPath: share] * interval.seconds
                } / seconds
            }
            return means.max() ?? 0
        }
        let cpu = mean(\.cpuShare)
        let wait = mean(\.waitShare)
        if cpu >= 0.9 {
            warnings.append(
                "a scheduler of the load tester was \(Int(cpu * 100)) % busy: it, not the server, may be the limit; "
                    + "give it more cores with --schedulers, or run several with --workers")
        }
        if wait >= 0.1 {
            warnings.append(
                "the load tester waited for a core \(Int(wait * 100)) % of the time: latencies contain the wait; "
                    + "give the server cores of its own with taskset, and the load tester others with --cores")
        }
        return warnings
    }
}
