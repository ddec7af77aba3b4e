// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

/// What is known of one scheduler at one moment.
public struct SchedulerInformation: Sendable {
    public let index: Int
    /// Whether it sleeps because there is nothing to do.
    public let isIdle: Bool
    /// Runnable processes at each priority, as of its last poll: at most some tens of microseconds ago while it is
    /// busy with code that has reduction points.
    public let runQueueCounts: [ProcessPriority: Int]
    /// Its counters. The times include the one since it last looked at the clock.
    public let statistics: SchedulerStatistics
    /// Processes that are at home there.
    public let processCount: Int

    public var runQueueCount: Int { runQueueCounts.values.reduce(0, +) }

    /// The share of its time that it was not asleep between an `earlier` reading and this one, 0...1. (Erlang:
    /// `scheduler_wall_time`.)
    public func utilization(since earlier: SchedulerInformation) -> Double {
        func elapsed(_ time: (SchedulerStatistics) -> UInt64) -> Double {
            let (then, now) = (time(earlier.statistics), time(statistics))
            return now > then ? Double(now - then) : 0
        }
        let busy = elapsed(\.runningNanoseconds) + elapsed(\.pollingNanoseconds)
        let total = busy + elapsed(\.idleNanoseconds)
        return total > 0 ? busy / total : 0
    }
}

extension Runtime {
    /// What each scheduler does. Nobody waits for it; it looks at every process once, some nanoseconds each. Any
    /// thread.
    public var schedulerInformation: [SchedulerInformation] {
        roost_enter()
        defer { roost_leave() }
        var processCounts = Array(repeating: 0, count: schedulers.count)
        forEachPublished { process in processCounts[process.home.index] += 1 }
        return schedulers.map { $0.information(processCount: processCounts[$0.index]) }
    }
}

extension SchedulerRef {
    fileprivate func information(processCount: Int) -> SchedulerInformation {
        var statistics = state.statistics.values
        let isIdle = state.inbound.load(ordering: .relaxed) == SchedulerState.asleep
        let last = state.publishedNow.load(ordering: .relaxed)
        let now = MonotonicTime.now().nanoseconds
        if now > last {
            if isIdle { statistics.idleNanoseconds += now - last } else { statistics.runningNanoseconds += now - last }
        }
        var counts: [ProcessPriority: Int] = [:]
        for priority in ProcessPriority.allCases { counts[priority] = state.runQueueCounts.count(of: priority) }
        return SchedulerInformation(
            index: index, isIdle: isIdle, runQueueCounts: counts, statistics: statistics, processCount: processCount)
    }
}

/// How long a run queue was at the last poll: written by the scheduler, read by anyone.
struct PublishedRunQueue: ~Copyable {
    private let low = Atomic<Int>(0)
    private let normal = Atomic<Int>(0)
    private let high = Atomic<Int>(0)
    private let max = Atomic<Int>(0)

    /// Owner only.
    func publish(_ queue: borrowing RunQueue) {
        low.store(queue.count(of: .low), ordering: .relaxed)
        normal.store(queue.count(of: .normal), ordering: .relaxed)
        high.store(queue.count(of: .high), ordering: .relaxed)
        max.store(queue.count(of: .max), ordering: .relaxed)
    }

    func count(of priority: ProcessPriority) -> Int {
        switch priority {
        case .low: low.load(ordering: .relaxed)
        case .normal: normal.load(ordering: .relaxed)
        case .high: high.load(ordering: .relaxed)
        case .max: max.load(ordering: .relaxed)
        }
    }
}
