// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
internal import Synchronization

// What a scheduler's thread does: run processes, look for events, sleep.

extension SchedulerRef {
    /// While there are processes to run, events are looked for after this many reductions: eight full turns.
    static let pollInterval: Int64 = 16_000
    /// What a turn counts towards `pollInterval` beside its reductions, so that empty turns come to a poll as well.
    static let turnCharge: Int64 = 60
    /// A scheduler that has been busy for so many turns gives processes away to idle ones.
    static let busyTurnsBeforeSharing = 64

    /// Runs until the runtime stops, or until a thread that this scheduler was taken over from wants it back. True when
    /// the scheduler has been given back. Scheduler's thread.
    func runLoop() -> Bool {
        while !state.isStopping {
            if state.rejoining.load(ordering: .relaxed) != 0, giveBack() { return true }
            if !runOnce() { sleepUntilWoken() }
        }
        return false
    }

    /// Takes in what others left and gives one process a turn; false when there is none to run. One step of a
    /// simulation.
    @inline(__always)
    func runOnce() -> Bool {
        takeInbound()
        runCommands()
        guard let process = dequeue() else { return false }
        runTurn(process)
        if state.pollCredit <= 0 { pollBetweenTurns() }
        return true
    }

    private func pollBetweenTurns() {
        state.pollCredit = Self.pollInterval
        readClock(after: .running)
        poll(nanoseconds: 0)
        fireTimers(after: .polling)
        state.load.store(state.runQueue.count, ordering: .relaxed)
        state.runQueueCounts.publish(state.runQueue)
        if state.busyTurns >= Self.busyTurnsBeforeSharing, state.runQueue.count > 1 {
            unsafe state.runtime.share(from: self)
        }
    }

    private func sleepUntilWoken() {
        if releaseMemorySlice() {
            poll(nanoseconds: 0)
            return fireTimers()
        }
        guard fallAsleep() else { return }
        poll(nanoseconds: nanosecondsToSleep())
        wakeUp()
    }

    /// Declares that it sleeps, where there is nothing to do; `wakeUp` must follow.
    func fallAsleep() -> Bool {
        state.pollCredit = Self.pollInterval
        state.busyTurns = 0
        state.load.store(0, ordering: .relaxed)
        state.runQueueCounts.publish(state.runQueue)
        fireTimers()
        guard state.runQueue.isEmpty, !state.isStopping else { return false }
        // Before the other declaration: whoever wakes this scheduler may have answered the request for work already.
        unsafe state.runtime.markIdle(state.index, true)
        SimulationPoint.reached()
        // S1: say that it sleeps, then look once more at what others may have left.
        let (declared, _) = state.inbound.compareExchange(
            expected: SchedulerState.idle, desired: SchedulerState.asleep, ordering: .sequentiallyConsistent)
        guard declared else {
            unsafe state.runtime.markIdle(state.index, false)
            return false
        }
        SimulationPoint.reached()
        let hasCommands =
            state.hasCommands.load(ordering: .sequentiallyConsistent) && !Canary.sings(.sleepsThroughCommands)
        if hasCommands || state.rejoining.load(ordering: .sequentiallyConsistent) != 0 {
            declareAwake()
            unsafe state.runtime.markIdle(state.index, false)
            return false
        }
        return true
    }

    func wakeUp() {
        unsafe state.runtime.markIdle(state.index, false)
        state.statistics.sleeps &+= 1
        declareAwake()
        unsafe state.runtime.watch?.schedulerWoke()
        fireTimers(after: .idle)
    }

    private func declareAwake() {
        _ = state.inbound.compareExchange(
            expected: SchedulerState.asleep, desired: SchedulerState.idle, ordering: .sequentiallyConsistent)
    }

    /// Until the next timer; -1, without end, where there is none.
    func nanosecondsToSleep() -> Int64 {
        let timer = state.timers.nextDeadline()
        guard let deadline = nextRelease.map({ timer == nil ? $0 : min($0, timer!) }) ?? timer else { return -1 }
        guard deadline > state.now else { return 0 }
        return Int64(min(deadline.nanoseconds - state.now.nanoseconds, 3_600_000_000_000))
    }

    func poll(nanoseconds: Int64) {
        state.statistics.polls &+= 1
        state.poller.wait(nanoseconds: nanoseconds) { data, events in
            guard let process = ProcessTable.find(Pid(word: data)) else { return }
            var flags: WakeFlags = []
            if events & UInt32(EPOLLIN.rawValue) != 0 { flags.insert(.readable) }
            if events & UInt32(EPOLLOUT.rawValue) != 0 { flags.insert(.writable) }
            // An error or a hangup shows in the next read and write.
            let failures = UInt32(EPOLLERR.rawValue) | UInt32(EPOLLHUP.rawValue) | UInt32(EPOLLRDHUP.rawValue)
            if events & failures != 0 { flags.formUnion([.hangup, .readable]) }
            if Mailbox.notify(process, flags) { process.home.enqueue(process) }
        }
    }

    /// Gives `process` one turn.
    @inline(__always)
    private func runTurn(_ process: ProcessRef) {
        let thread = unsafe roost_thread_current()
        if state.lanes.stuck != 0, putAside(process) { return }
        state.busyTurns &+= 1
        state.statistics.turns &+= 1
        collectInbox(of: process)
        if needsNoTurn(process) { return }
        if process.block.flags.contains(.isTraced) { Tracing.begin(process) }
        process.block.status = .running
        unsafe thread.pointee.current = unsafe UnsafeMutableRawPointer(process.pointer)
        unsafe roost_thread_set_owner(thread, process.pid.word)
        unsafe thread.pointee.live = Int64(process.block.allocatedByteCount)
        unsafe thread.pointee.live_max = Int64(heapByteCountMax(of: process))
        unsafe thread.pointee.refused = 0
        unsafe thread.pointee.over_heap_limit = 0
        unsafe thread.pointee.reductions = state.turnReductions
        let outcome = unsafe enter(process, thread)
        let used = unsafe state.turnReductions &- min(thread.pointee.reductions, state.turnReductions)
        unsafe thread.pointee.reductions = .max
        unsafe roost_thread_set_owner(thread, 0)
        unsafe thread.pointee.current = nil
        process.block.allocatedByteCount = unsafe Int(thread.pointee.live)
        process.block.reductions &+= UInt64(used)
        state.statistics.reductions &+= UInt64(used)
        state.pollCredit &-= used &+ Self.turnCharge
        if unsafe thread.pointee.is_traced != 0 { Tracing.end(process, reductions: used, outcome) }
        endTurn(process, outcome)
    }

    /// What its own allocations may come to before it is stopped: a process that unwinds has some more.
    @inline(__always)
    private func heapByteCountMax(of process: ProcessRef) -> Int {
        let limit = process.block.heapLimit
        return process.block.flags.contains(.isExiting) ? limit &+ min(limit / 4, .max &- limit) : limit
    }

    /// Switches to the process; comes back when it stops.
    @inline(__always)
    private func enter(_ process: ProcessRef, _ thread: UnsafeMutablePointer<roost_thread>) -> UInt32 {
        guard process.block.flags.contains(.hasStack) else {
            return startOnStack(process)
        }
        if let willResume = unsafe process.block.operations.pointee.willResume { unsafe willResume(process.raw) }
        if process.block.flags.contains(.wasPreempted) { unsafe roost_thread_set_depth(thread, 0) }
        process.block.flags.subtract([.hasStack, .wasPreempted])
        return resumeOnStack(process)
    }

    private func endTurn(_ process: ProcessRef, _ outcome: UInt32) {
        switch Int(outcome) {
        case Int(ROOST_FINISHED):
            // Its own frames, if it had some: nobody else's are where it runs.
            if unsafe process.block.stackCopy != nil || state.lanes[process.block.lane].resident != 0 {
                releaseStack(of: process)
            }
            if process.block.flags.contains(.isFinished) { return end(process) }
            guard !endIfOverHeapLimit(process) else { return }
            suspend(process)
        case Int(ROOST_PARKED):
            keepStack(of: process)
            guard !endIfOverHeapLimit(process) else { return }
            suspend(process)
        case Int(ROOST_PREEMPTED):
            process.block.flags.insert(.wasPreempted)
            state.statistics.preemptions &+= 1
            keepStack(of: process)
            guard !endIfOverHeapLimit(process), !abandonIfItWillNotEnd(process) else { return }
            enqueueSpent(process)
        default:
            landTrap(of: process)
        }
    }

    /// The process waits; or runs again if there is something new for it.
    @inline(__always)
    func suspend(_ process: ProcessRef) {
        process.block.status = .waiting
        if !Mailbox.wait(process) { enqueueLocal(process) }
    }
}
