// SPDX-License-Identifier: Apache-2.0

// A timeline that stays small however long the run is.

extension RunRecord {
    /// Of this many intervals neighbours are put together, two by two.
    package static let intervalCountMax = 600

    /// Adds a step. The timeline becomes half as fine each time it is full.
    package mutating func append(_ interval: Interval) {
        intervals.append(interval.packed)
        while intervals.count >= Self.intervalCountMax {
            let before = intervals.count
            coarsen()
            // Each is of another phase than the next.
            if intervals.count == before { return }
        }
    }

    /// Puts neighbours of the same phase together, two by two; further steps are twice as long. Totals stay.
    package mutating func coarsen() {
        var merged: [Interval] = []
        var index = 0
        while index < intervals.count {
            let interval = intervals[index]
            if index + 1 < intervals.count, intervals[index + 1].phase == interval.phase {
                merged.append(interval.merged(with: intervals[index + 1]))
                index += 2
            } else {
                merged.append(interval)
                index += 1
            }
        }
        intervals = merged
        plan.intervalSeconds *= 2
    }
}

extension Interval {
    /// This one and the next as one.
    func merged(with next: Interval) -> Interval {
        var result = self
        result.seconds += next.seconds
        for (index, group) in next.groups.enumerated() {
            result.groups[index].counters = groups[index].counters + group.counters
            result.groups[index].attemptCountMax = max(groups[index].attemptCountMax, group.attemptCountMax)
            result.groups[index].distributions.merge(group.distributions)
        }
        result.open = next.open
        result.server = next.server ?? server
        let whole = result.seconds
        guard whole > 0, usage.count == next.usage.count else { return result }
        result.usage = zip(usage, next.usage).map { first, second in
            SchedulerUsage(
                cpuShare: (first.cpuShare * seconds + second.cpuShare * next.seconds) / whole,
                waitShare: (first.waitShare * seconds + second.waitShare * next.seconds) / whole)
        }
        return result
    }

    /// With histograms that take no more memory than what they hold is worth.
    var packed: Interval {
        var result = self
        for index in groups.indices { result.groups[index].distributions.pack() }
        return result
    }
}
