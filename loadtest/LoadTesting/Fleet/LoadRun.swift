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
    /// Some fifty times a second.
    func tick()
    func finish()
}

/// One run: leads the workers through its phases and gathers what they measure.
package final class LoadRun {
    private let plan: LoadPlan
    private let workers: [any WorkerLink]
    private let server: ProcessMeter?
    private let observer: (any RunObserver)?
    private let startedAt = ContinuousClock.now
    private var record: RunRecord
    /// By worker: what it had counted at the last step.
    private var counted: [[Counters]]
    private var errors: [[TestError]]
    private var ownByteCounts: [Int?]
    private var stepStart = ContinuousClock.now
    private var phase = Phase.connecting

    package init(_ plan: LoadPlan, _ workers: [any WorkerLink], server: ProcessMeter?, observer: (any RunObserver)?) {
        self.plan = plan
        self.workers = workers
        self.server = server
        self.observer = observer
        record = RunRecord(plan: plan, startedAt: WallClock.secondsSince1970)
        record.workerCount = workers.count
        counted = workers.map { _ in plan.groups.map { _ in Counters() } }
        errors = workers.map { _ in [] }
        ownByteCounts = workers.map { _ in nil }
    }

    /// Runs to the end. A worker that is lost ends it: what was measured until then is reported, and the loss is an
    /// error.
    package func run() async -> RunRecord {
        do throws(LoadTestError) {
            try await runPhases()
        } catch {
            addError(error.description)
            await lastStep()
        }
        for worker in workers { await worker.stop(timeoutSeconds: 1) }
        observer?.finish()
        record.wasInterrupted = Interrupt.isRequested
        record.errors = TestError.merged(errors)
        record.warnings += record.limitWarnings
        return record
    }

    private func runPhases() async throws(LoadTestError) {
        record.serverBefore = server?.sample
        try await step()
        record.ownByteCountBefore = ownByteCount
        stepStart = .now
        for worker in workers { try await worker.connect() }
        if plan.connectsFirst { try await connectAll() }
        guard !Interrupt.isRequested else { return try await end() }
        try await tell(.begin)
        if plan.warmupSeconds > 0 { try await hold(.warmup, for: plan.warmupSeconds) }
        if plan.scenario == .storm { try await tell(.drop) }
        try await hold(.measuring, for: plan.durationSeconds)
        record.serverAfter = server?.sample
        record.ownByteCountAfter = ownByteCount
        try await end()
    }

    private func connectAll() async throws(LoadTestError) {
        enter(.connecting)
        while !Interrupt.isRequested {
            let status = try await status()
            observer?.connecting(settled: status.settledCount, of: status.clientCount, failed: status.failedCount)
            if status.settledCount == status.clientCount || status.isDeserted { break }
            try await pause()
        }
        try await step()
    }

    private func end() async throws(LoadTestError) {
        enter(.ending)
        try await tell(.end)
        let deadline = ContinuousClock.now + .seconds(plan.endTimeoutSeconds)
        var status = try await status()
        while status.openCount > 0, ContinuousClock.now < deadline {
            try await pause()
            status = try await self.status()
        }
        if status.openCount > 0, plan.awaitsAnswers {
            addError(
                "\(status.openCount) connections had messages unanswered \(plan.endTimeoutSeconds) s after the end")
        }
        try await step()
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
        try await step()
    }

    private func isOver(_ phase: Phase) async throws(LoadTestError) -> Bool {
        let status = try await status()
        if status.isDeserted { return true }
        guard phase == .measuring, plan.durationSeconds == nil || plan.scenario == .storm else { return false }
        switch plan.scenario {
        case .ramp: return status.settledCount == status.clientCount
        // With time for the drop to take effect.
        case .storm: return status.openCount == status.clientCount && ContinuousClock.now - stepStart > .seconds(0.5)
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
        let due = stepStart + .seconds(plan.intervalSeconds)
        let next = min(.now + .milliseconds(20), due, end ?? due)
        try? await Task.sleep(until: next, clock: .continuous)
        if ContinuousClock.now >= due { try await step() }
    }

    private func step() async throws(LoadTestError) {
        let begin = stepStart
        var groups = plan.groups.map { _ in GroupMeasure() }
        var open = plan.groups.map { _ in 0 }
        var usage: [SchedulerUsage] = []
        for (index, worker) in workers.enumerated() {
            let snapshot = try await worker.snapshot()
            for (group, measure) in snapshot.groups.enumerated() {
                groups[group].counters = groups[group].counters + (measure.counters - counted[index][group])
                groups[group].distributions.add(measure.distributions)
                open[group] += measure.counters.open
                counted[index][group] = measure.counters
            }
            usage += snapshot.usage
            errors[index] = snapshot.errors
            ownByteCounts[index] = snapshot.ownByteCount
        }
        stepStart = .now
        let interval = Interval(
            phase: phase, startSeconds: (begin - startedAt).seconds, seconds: (stepStart - begin).seconds,
            groups: groups, open: open, usage: usage, server: server?.sample)
        record.intervals.append(interval)
        observer?.interval(interval, errors: TestError.merged(errors))
    }

    /// Of the workers that still answer.
    private func lastStep() async {
        try? await step()
    }

    private var ownByteCount: Int? {
        ownByteCounts.contains { $0 == nil } ? nil : ownByteCounts.reduce(0) { $0 + ($1 ?? 0) }
    }

    // MARK: Workers

    private func tell(_ command: WorkerCommand) async throws(LoadTestError) {
        for worker in workers { try await worker.tell(command) }
    }

    private func status() async throws(LoadTestError) -> WorkerStatus {
        var all = WorkerStatus(clientCount: 0, settledCount: 0, openCount: 0, failedCount: 0, isDeserted: true)
        for worker in workers {
            let status = try await worker.status()
            all.clientCount += status.clientCount
            all.settledCount += status.settledCount
            all.openCount += status.openCount
            all.failedCount += status.failedCount
            all.isDeserted = all.isDeserted && status.isDeserted
        }
        return all
    }

    private func addError(_ kind: String) {
        errors.append([TestError(kind: kind, count: 1, firstSeconds: (ContinuousClock.now - startedAt).seconds)])
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
            byKind[error.kind] = TestError(
                kind: error.kind, count: known.count + error.count,
                firstSeconds: min(known.firstSeconds, error.firstSeconds))
        }
        return byKind.values.sorted { ($0.count, $1.kind) > ($1.count, $0.kind) }
    }
}

extension LoadPlan {
    /// Clients stay open after the end while something is unanswered.
    var awaitsAnswers: Bool {
        groups.contains { group in
            switch group.behaviour {
            case .echo: true
            case .idle: false
            case .script(let plan): plan.hasExpectations
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
                    + "give server and load tester cores of their own with taskset")
        }
        return warnings
    }
}
