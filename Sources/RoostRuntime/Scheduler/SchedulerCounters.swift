// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// Counters of one scheduler, as they were read: each is right, together they may be of different moments.
public struct SchedulerStatistics: Sendable, Equatable {
    /// Turns given to processes.
    public var turns: UInt64 = 0
    /// Turns that ended because the reductions were used up.
    public var preemptions: UInt64 = 0
    public var reductions: UInt64 = 0
    /// Processes started and ended here.
    public var spawns: UInt64 = 0
    public var exits: UInt64 = 0
    /// Processes given to idle schedulers.
    public var migrations: UInt64 = 0
    /// Processes that came from other schedulers while this one was idle.
    public var arrivals: UInt64 = 0
    public var traps: UInt64 = 0
    /// Turns that lasted longer than `RuntimeConfiguration.longSchedule`.
    public var longSchedules: UInt64 = 0
    /// Times that its thread was stuck in native code and another went on with it.
    public var handOvers: UInt64 = 0
    /// Times it asked the kernel for events, and times it slept there.
    public var polls: UInt64 = 0
    public var sleeps: UInt64 = 0
    /// Nanoseconds with processes and their timers, in asking the kernel for events while there was work, and asleep,
    /// up to the last time that the scheduler looked at the clock.
    public var runningNanoseconds: UInt64 = 0
    public var pollingNanoseconds: UInt64 = 0
    public var idleNanoseconds: UInt64 = 0

    /// Of a scheduler that has done nothing.
    package static let zero = SchedulerStatistics()
}

/// What a scheduler's time goes to.
enum SchedulerActivity { case running, polling, idle }

/// One word that its owner counts up and anyone reads. Relaxed: an addition is a load and a store, no locked
/// instruction.
struct OwnedCounter: ~Copyable {
    private let count = Atomic<UInt64>(0)

    var value: UInt64 { count.load(ordering: .relaxed) }

    /// Owner only.
    @inline(__always)
    static func &+= (counter: borrowing OwnedCounter, number: UInt64) {
        counter.count.store(counter.count.load(ordering: .relaxed) &+ number, ordering: .relaxed)
    }
}

/// Counters of one scheduler: written by its thread, read by any.
struct SchedulerCounters: ~Copyable {
    let turns = OwnedCounter()
    let preemptions = OwnedCounter()
    let reductions = OwnedCounter()
    let spawns = OwnedCounter()
    let exits = OwnedCounter()
    let migrations = OwnedCounter()
    let arrivals = OwnedCounter()
    let traps = OwnedCounter()
    /// The watch's.
    let longSchedules = OwnedCounter()
    let handOvers = OwnedCounter()
    let polls = OwnedCounter()
    let sleeps = OwnedCounter()
    private let running = OwnedCounter()
    private let polling = OwnedCounter()
    private let idle = OwnedCounter()

    /// Owner only.
    func add(_ nanoseconds: UInt64, to activity: SchedulerActivity) {
        switch activity {
        case .running: running &+= nanoseconds
        case .polling: polling &+= nanoseconds
        case .idle: idle &+= nanoseconds
        }
    }

    var values: SchedulerStatistics {
        SchedulerStatistics(
            turns: turns.value, preemptions: preemptions.value, reductions: reductions.value, spawns: spawns.value,
            exits: exits.value, migrations: migrations.value, arrivals: arrivals.value, traps: traps.value,
            longSchedules: longSchedules.value, handOvers: handOvers.value,
            polls: polls.value, sleeps: sleeps.value, runningNanoseconds: running.value,
            pollingNanoseconds: polling.value, idleNanoseconds: idle.value)
    }
}
