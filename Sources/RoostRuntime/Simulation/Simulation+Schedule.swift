// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

// Who goes next.

extension Simulation {
    /// Reductions that a turn of a process that is to end has at least: it must come to its end within
    /// `SchedulerRef.exitTurnsMax` turns, or it is rightly abandoned.
    private static let exitReductionsMin = 400

    /// One thing happens, and everything that must hold still holds.
    func step() {
        stepNumber += 1
        depth = 1
        happen()
        depth = 0
        checkStep()
    }

    private func happen() {
        var weights = profile.speeds
        for index in weights.indices where !canStep(index) { weights[index] = 0 }
        weights.append(isResting ? 0 : profile.outsideWeight)
        weights.append(weights.allSatisfy { $0 == 0 } ? 1 : profile.clockWeight)
        let chosen = choices.weighted(weights) ?? 0
        if chosen < profile.schedulerCount { return stepScheduler(chosen) }
        if chosen == profile.schedulerCount { return actFromOutside(nil) }
        advanceClock(by: .microseconds(choices.pick([1, 100, 700, 3_000, 20_000])))
    }

    /// Whether a scheduler's thread would do something: it is awake, or somebody woke it, or its sleep is over.
    func canStep(_ index: Int) -> Bool {
        if threads.isInside(index) { return false }
        if !isAsleep[index] { return true }
        let scheduler = runtime.schedulers[index]
        if scheduler.state.inbound.load(ordering: .relaxed) != SchedulerState.asleep { return true }
        return scheduler.state.timers.nextDeadline().map { $0 <= clock } ?? false
    }

    /// What a scheduler's thread does until it next looks for something to do, or falls asleep or wakes.
    func stepScheduler(_ index: Int) {
        let scheduler = runtime.schedulers[index]
        if isAsleep[index] { return wake(scheduler, index) }
        guard checkQueues(of: index) else { return }
        let reductions = drawReductions(for: scheduler)
        let isBusy = choices.happens(perMille: 250)
        let polls = choices.happens(perMille: 250)
        var runs = false
        note(.steps, index, reductions)
        threads.inside(index) {
            scheduler.state.turnReductions = Int64(reductions)
            if isBusy { scheduler.state.busyTurns = SchedulerRef.busyTurnsBeforeSharing }
            if polls { scheduler.state.pollCredit = 0 }
            runs = scheduler.runOnce()
            if !runs, scheduler.fallAsleep() { isAsleep[index] = true }
        }
        if isAsleep[index] { note(.sleeps, index) }
        note(.reductions, index, Int(truncatingIfNeeded: scheduler.state.statistics.reductions.value))
        expect(threads.isBetweenTurns(index), "R3", "scheduler \(index) came back from a turn inside a section")
    }

    private func wake(_ scheduler: SchedulerRef, _ index: Int) {
        let isCalled = scheduler.state.inbound.load(ordering: .relaxed) != SchedulerState.asleep
        threads.inside(index) {
            let isWoken = scheduler.state.poller.wait(nanoseconds: 0) { _, _ in }
            // Whoever calls it may be right between that and waking it, in the step around this one.
            if isCalled, !isWoken, depth > 1 { return }
            expect(isWoken || !isCalled, "S1", "scheduler \(index) was given something and sleeps on: nobody woke it")
            isAsleep[index] = false
            note(.wakes, index)
            scheduler.wakeUp()
        }
    }

    private func drawReductions(for scheduler: SchedulerRef) -> Int {
        let isLong = choices.happens(perMille: 120)
        let drawn = isLong ? choices.within(1...2_000) : choices.within(1...profile.reductionsMax)
        guard let process = nextProcess(of: scheduler) else { return drawn }
        let mustEnd = process.block.flags.contains(.isExiting) || Mailbox.isClosed(process)
        return mustEnd ? drawn + Self.exitReductionsMin : drawn
    }

    /// The process whose turn is next on `scheduler`, as far as its run queue knows.
    private func nextProcess(of scheduler: SchedulerRef) -> ProcessRef? {
        readyProcesses(of: scheduler).first ?? inboundProcesses(of: scheduler).last
    }

    /// Queues longer than this go round in circles: a process is in one twice.
    private static let queueCountMax = 10_000

    /// Processes in a scheduler's run queue, urgent ones first.
    func readyProcesses(of scheduler: SchedulerRef) -> [ProcessRef] {
        var found: [ProcessRef] = []
        scheduler.state.runQueue.forEach { process in
            found.append(process)
            return found.count <= Self.queueCountMax
        }
        expect(found.count <= Self.queueCountMax, "M1", "a run queue goes round in circles")
        return found
    }

    /// Processes that others made runnable, newest first.
    func inboundProcesses(of scheduler: SchedulerRef) -> [ProcessRef] {
        var found: [ProcessRef] = []
        var word = scheduler.state.inbound.load(ordering: .relaxed)
        while word > SchedulerState.asleep, ProcessTable.isSlot(word), found.count <= Self.queueCountMax {
            found.append(ProcessRef(queued: word))
            word = ProcessRef(queued: word).block.runNext
        }
        expect(found.count <= Self.queueCountMax, "M1", "what others made runnable goes round in circles")
        return found
    }

    func advanceClock(by duration: Duration) {
        clock = clock + duration
        roost_simulate_time(clock.nanoseconds)
        note(.clock, Int(truncatingIfNeeded: clock.nanoseconds))
    }

    /// Between two atomic steps of the runtime: now and then something else happens there.
    func interleave() {
        guard depth > 0, depth < 3, failure == nil else { return }
        guard choices.happens(perMille: profile.interleavingsPerMille) else { return }
        depth += 1
        defer { depth -= 1 }
        counts.interleavings += 1
        note(.interleaves, depth)
        // A few steps in a row: some races need two of the other's.
        for _ in 0..<choices.within(1...4) {
            var weights = (0..<profile.schedulerCount).map { canStep($0) ? profile.speeds[$0] : 0 }
            weights.append(isResting || threads.isInside(SimulatedThreads.outside) ? 0 : profile.outsideWeight)
            weights.append(1)
            guard let chosen = choices.weighted(weights) else { return }
            if chosen < profile.schedulerCount {
                stepScheduler(chosen)
            } else if chosen == profile.schedulerCount {
                actFromOutside(nil)
            } else {
                advanceClock(by: .microseconds(choices.pick([1, 700, 3_000])))
            }
        }
    }

    // MARK: The end of a run

    /// Nothing new is begun; goes on until no scheduler has anything to do and no timer is armed.
    func rest() {
        isResting = true
        nudgeAll()
        runUntilQuiet()
    }

    func runUntilQuiet() {
        let limit = stepNumber + Self.restingStepsMax
        while failure == nil {
            if stepNumber >= limit { return violate("L1", "no rest after \(Self.restingStepsMax) steps") }
            if runtime.schedulers.indices.contains(where: canStep) {
                step()
                continue
            }
            let deadlines = runtime.schedulers.compactMap { $0.state.timers.nextDeadline() }
            guard let next = deadlines.min() else { return }
            advanceClock(by: next - clock)
        }
    }

    /// Kills whoever is left, until nobody is.
    func endAll() {
        for _ in 0..<20 where failure == nil {
            if liveProcesses().isEmpty { return }
            // Not in the order of the table: which slot a process got depends on the runs before.
            let pids = actors.compactMap(\.pid) + supervisors.flatMap { [$0.owner, $0.supervisor].compactMap(\.self) }
            threads.inside(SimulatedThreads.outside) {
                for pid in pids { runtime.exit(pid, .kill) }
            }
            runUntilQuiet()
        }
    }
}
