// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Dispatch
internal import Synchronization

/// When a scheduler next looks whether there is memory to give back, and how far it is with it.
struct ReleaseRound {
    /// What is left to do in a round that has begun.
    enum Stage: UInt8 { case none, timers, blocks, slots, malloc }

    /// Between two rounds: long enough that a server whose load comes in waves keeps what it needs.
    static let interval = Duration.milliseconds(500)
    /// Turns of this runtime since the last `malloc_trim` that make another one worth while.
    static let turnsBeforeTrim: UInt64 = 10_000

    var stage = Stage.none
    var due: MonotonicTime
    /// Whether nothing at all ran since the round before.
    var isQuiet = false
    /// Turns of this scheduler when the last round began.
    var turns: UInt64 = 0
    /// Turns of all schedulers at the last trim of malloc's arenas.
    var turnsAtTrim: UInt64 = 0
    /// Turns of this scheduler when there was nothing more to give back: until there are more, it sleeps without end.
    var turnsAtEnd: UInt64?

    init(now: MonotonicTime) { due = now + Self.interval }
}

// Memory is given back between turns, by schedulers that have nothing to run, in slices of some tens of microseconds.

extension SchedulerRef {
    /// A slice of the work of giving memory back, where it is time for one. True when it did something: events are
    /// looked for before the next slice. Scheduler's thread, with nothing to run.
    func releaseMemorySlice() -> Bool {
        if state.release.stage == .none {
            guard let due = nextRelease, state.now >= due else { return false }
            beginRelease()
        }
        let quiet = state.release.isQuiet
        switch state.release.stage {
        case .none: return false
        case .timers: if !state.timers.releaseChunks(16) { state.release.stage = .blocks }
        case .blocks:
            if !SharedBlockPool.shared.releaseSlice(sortsBatches: quiet) { state.release.stage = .slots }
        case .slots:
            if !ProcessTable.releaseSlice(sortsBatches: quiet) { state.release.stage = quiet ? .malloc : .none }
        case .malloc:
            trimMalloc()
            state.release.stage = .none
            state.release.turnsAtEnd = state.statistics.turns.value
        }
        return true
    }

    private func beginRelease() {
        state.release.due = state.now + ReleaseRound.interval
        // Who does this has nothing else to do, and does not keep the others from seeing that all is quiet.
        unsafe state.runtime.markIdle(state.index, true)
        let isQuiet = unsafe state.runtime.isIdle(but: self)
        state.release.isQuiet = isQuiet && state.release.turns == state.statistics.turns.value
        state.release.turns = state.statistics.turns.value
        state.release.stage = .timers
        if state.release.isQuiet {
            state.blocks.giveBack()
            state.slots.drain()
        }
        SharedBlockPool.shared.beginRelease(everything: state.release.isQuiet)
        ProcessTable.beginRelease(everything: state.release.isQuiet)
    }

    /// Free pages inside malloc's arenas. It holds the lock of each arena for a while: only where nothing runs, and
    /// only after something has. (malloc_trim(3))
    private func trimMalloc() {
        let turns = unsafe state.runtime.statistics.reduce(0) { $0 + $1.turns }
        guard turns - state.release.turnsAtTrim >= ReleaseRound.turnsBeforeTrim else { return }
        state.release.turnsAtTrim = turns
        roost_malloc_trim()
    }

    /// Until the next round, for a scheduler that would sleep longer; nil when none is needed.
    var nextRelease: MonotonicTime? {
        state.release.turnsAtEnd == state.statistics.turns.value ? nil : state.release.due
    }
}

extension Runtime {
    /// Gives all memory that nobody uses back to the kernel, now: the runtime's and malloc's, of the whole program.
    ///
    /// Schedulers that have nothing to do give memory back by themselves, a second after the load has gone; this
    /// is for those who cannot wait. Takes milliseconds for each 100 MiB. Returns when it is done. Not from a process.
    public func releaseMemory() {
        precondition(
            SchedulerRef.current == nil,
            "Runtime.releaseMemory was called on one of its schedulers; call it from another thread")
        let done = DispatchSemaphore(value: 0)
        for scheduler in schedulers {
            scheduler.post(
                .run {
                    scheduler.state.blocks.giveBack()
                    scheduler.state.slots.drain()
                    while scheduler.state.timers.releaseChunks(.max) {}
                    done.signal()
                })
        }
        for _ in schedulers { done.wait() }
        External.giveBack()
        SharedBlockPool.shared.beginRelease(everything: true)
        while SharedBlockPool.shared.releaseSlice(sortsBatches: true) {}
        ProcessTable.beginRelease(everything: true)
        while ProcessTable.releaseSlice(sortsBatches: true) {}
        roost_malloc_trim()
    }

    /// What the program's processes have in memory, beside what their own code allocated. Any thread.
    public static var memory: RuntimeMemory {
        let (blocks, slots) = (SharedBlockPool.shared.figures, ProcessTable.figures)
        return RuntimeMemory(
            blockByteCount: blocks.mapped - blocks.released, emptyBlockByteCount: blocks.resident,
            slotByteCount: slots.opened - slots.released)
    }
}

/// Memory that the runtime got from the kernel and has not given back. In bytes.
public struct RuntimeMemory: Sendable, Equatable {
    /// For messages, parked stacks, connections: in use, kept free by schedulers, or empty.
    public let blockByteCount: Int
    /// Of these, what holds no block in use.
    public let emptyBlockByteCount: Int
    /// For the control blocks of processes, in use or free.
    public let slotByteCount: Int
}
