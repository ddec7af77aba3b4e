// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

/// The runtime, its schedulers and its clock on one thread, and chance, from one seed, in charge of everything that a
/// real run leaves open: which scheduler goes next and for how many reductions, when a timer fires, who shares work,
/// what comes from outside, who traps and who is told to exit.
///
/// The same seed is the same run, instruction for instruction: a seed that fails, fails again. After TigerBeetle's VOPR
/// and FoundationDB's simulator. What is checked between steps is in `Simulation+Invariants.swift`; what the processes
/// do, in `SimulatedWork.swift`.
// one thread uses it: the one that calls `run`
package final class Simulation: @unchecked Sendable {
    /// Code of a target that is built preemptible, for the processes of a simulation to run.
    package struct Handlers: Sendable {
        /// Takes about so many reductions.
        package let work: @Sendable (Int) -> Void
        package let trap: @Sendable () -> Void
        package let spin: @Sendable () -> Void

        package init(
            work: @escaping @Sendable (Int) -> Void, trap: @escaping @Sendable () -> Void,
            spin: @escaping @Sendable () -> Void
        ) {
            self.work = work
            self.trap = trap
            self.spin = spin
        }
    }

    /// What must hold and did not.
    package struct Failure: Sendable {
        package let seed: UInt64
        package let step: Int
        /// As ARCHITECTURE.md numbers it.
        package let invariant: String
        package let text: String
        /// The last events, oldest first.
        package let events: [String]
    }

    package struct Outcome: Sendable {
        /// Of everything that happened: equal for equal runs.
        package let hash: UInt64
        package let stepCount: Int
        package let counts: Counts
        package let failure: Failure?
    }

    /// What a run came to, so that a test can see that it did something.
    package struct Counts: Sendable {
        package var processes = 0
        package var parcels = 0
        package var received = 0
        package var preemptions = 0
        package var migrations = 0
        package var traps = 0
        package var abandoned = 0
        package var interleavings = 0
        package var restarts = 0
        package var downs = 0

        package static func + (a: Self, b: Self) -> Self {
            var sum = a
            sum.processes += b.processes
            sum.parcels += b.parcels
            sum.received += b.received
            sum.preemptions += b.preemptions
            sum.migrations += b.migrations
            sum.traps += b.traps
            sum.abandoned += b.abandoned
            sum.interleavings += b.interleavings
            sum.restarts += b.restarts
            sum.downs += b.downs
            return sum
        }

        package init() {}
    }

    /// Steps in which a run must come to rest once nothing new comes from outside.
    static let restingStepsMax = 400_000
    /// Where the clock starts: not 0, which means the real one.
    static let start = MonotonicTime(nanoseconds: 1_000_000_000)

    let seed: UInt64
    let handlers: Handlers
    let threads: SimulatedThreads
    let profile: SimulationProfile
    let runtime: Runtime
    var choices: Choices
    var trace = SimulationTrace()
    var counts = Counts()
    var failure: Failure?
    var stepNumber = 0
    var clock = start
    var isAsleep: [Bool]
    /// Steps under way: 1, and 2 or 3 where one runs in the middle of another.
    var depth = 0
    // What the processes know and have done.
    var actors: [SimulatedActor] = []
    var parcels: [ParcelRecord] = []
    var watches: [Int] = []
    var supervisors: [SupervisedGroup] = []
    var commandsPosted = 0
    var commandsRun = 0
    /// Nothing new is begun: all finish what they do, and wait.
    var isResting = false

    /// Runs `seed` to its end, or to the first invariant that does not hold; `onEvent` hears every event. On the thread
    /// that made `threads`, outside any process; after a failure the processes of the run are left as they are.
    package static func run(
        seed: UInt64, handlers: Handlers, threads: SimulatedThreads, onEvent: ((String) -> Void)? = nil
    ) throws(RuntimeError) -> Outcome {
        roost_simulate_time(start.nanoseconds)
        defer { roost_simulate_time(0) }
        let simulation = try Simulation(seed, handlers, threads)
        simulation.trace.onEvent = onEvent
        #if ROOST_SIMULATION
        unsafe SimulationPoint.simulation = simulation
        defer { unsafe SimulationPoint.simulation = nil }
        #endif
        simulation.runAll()
        return simulation.finish()
    }

    private init(_ seed: UInt64, _ handlers: Handlers, _ threads: SimulatedThreads) throws(RuntimeError) {
        self.seed = seed
        self.handlers = handlers
        self.threads = threads
        choices = Choices(seed: seed)
        profile = SimulationProfile(&choices)
        var configuration = RuntimeConfiguration()
        configuration.schedulerCount = profile.schedulerCount
        configuration.stackByteCount = SimulatedThreads.stackByteCount
        configuration.stackGuardByteCount = SimulatedThreads.guardByteCount
        configuration.stackReserveByteCount = SimulatedThreads.stackReserveByteCount
        runtime = try Runtime(withoutThreads: configuration, onEvent: nil)
        isAsleep = Array(repeating: false, count: profile.schedulerCount)
        for (index, scheduler) in runtime.schedulers.enumerated() { threads.setScheduler(scheduler, of: index) }
    }

    private func runAll() {
        let before = inUse
        for _ in 0..<choices.within(1...4) { actFromOutside(.spawn) }
        if profile.hasSupervisor { startSupervisor() }
        while stepNumber < profile.stepCount, failure == nil { step() }
        rest()
        checkRest()
        endAll()
        checkEnd(inUseBefore: before)
    }

    private func finish() -> Outcome {
        for statistics in runtime.statistics {
            counts.preemptions += Int(statistics.preemptions)
            counts.migrations += Int(statistics.migrations)
            counts.traps += Int(statistics.traps)
        }
        counts.abandoned = runtime.abandonedCount
        counts.processes = actors.count
        counts.parcels = parcels.count
        let outcome = Outcome(hash: trace.hash, stepCount: stepNumber, counts: counts, failure: failure)
        guard failure == nil else { return outcome }
        for scheduler in runtime.schedulers {
            scheduler.state.slots.drain()
            unsafe scheduler.pointer.deinitialize(count: 1)
            unsafe scheduler.pointer.deallocate()
        }
        // What a trap lost may hold on to this object: let it hold on to little.
        actors = []
        parcels = []
        trace = SimulationTrace()
        return outcome
    }

    func note(_ event: SimulationTrace.Event, _ first: Int, _ second: Int = 0) {
        trace.note(event, first, second, step: stepNumber)
    }

    /// The first one counts: what follows may follow from it.
    func violate(_ invariant: String, _ text: @autoclosure () -> String) {
        guard failure == nil else { return }
        failure = Failure(seed: seed, step: stepNumber, invariant: invariant, text: text(), events: trace.lines)
    }

    func expect(_ condition: Bool, _ invariant: String, _ text: @autoclosure () -> String) {
        if !condition { violate(invariant, text()) }
    }
}

/// What kind of run a seed is. Each leaves something out or overdoes something: a mixture of everything, always the
/// same, finds less. (A. Groce et al., "Swarm Testing", 2012.)
struct SimulationProfile {
    let schedulerCount: Int
    let stepCount: Int
    /// Most turns last at most so many reductions.
    let reductionsMax: Int
    /// How often another step runs at a point in the middle of one.
    let interleavingsPerMille: Int
    let populationMax: Int
    /// How fast each scheduler is.
    let speeds: [Int]
    let outsideWeight: Int
    let clockWeight: Int
    /// Of each `SimulatedWork.Operation`; 0 leaves it out.
    let operationWeights: [Int]
    let hasSupervisor: Bool

    init(_ choices: inout Choices) {
        schedulerCount = choices.within(1...SimulatedThreads.schedulerCountMax)
        stepCount = choices.pick([60, 150, 300, 600])
        reductionsMax = choices.pick([3, 30, 300, 2_000])
        interleavingsPerMille = choices.pick([0, 10, 60, 250])
        populationMax = choices.pick([3, 6, 12])
        var speeds: [Int] = []
        for _ in 0..<schedulerCount { speeds.append(choices.pick([1, 4, 4, 16])) }
        self.speeds = speeds
        outsideWeight = choices.pick([0, 1, 6])
        clockWeight = choices.pick([1, 4])
        operationWeights = SimulatedWork.Operation.allCases.map { operation in
            choices.happens(perMille: 250) ? 0 : operation.weight
        }
        hasSupervisor = choices.happens(perMille: 300)
    }
}
