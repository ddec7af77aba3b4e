// SPDX-License-Identifier: Apache-2.0

import RuntimeHandlers
import Testing

@testable import RoostRuntime

extension RuntimeTests {
    @Suite("Priorities", .timeLimit(.minutes(1)))
    struct PriorityTests {
        /// Slots without a process: a run queue looks at nothing but what orders it.
        private func slot(_ priority: ProcessPriority) -> ProcessRef {
            _ = ProcessTable.reserve
            let process = External.takeSlot()
            process.block.priority = priority
            return process
        }

        private func counts(_ queue: borrowing RunQueue) -> [ProcessPriority: Int] {
            var counts: [ProcessPriority: Int] = [:]
            for priority in ProcessPriority.allCases { counts[priority] = queue.count(of: priority) }
            return counts
        }

        private func drain(_ queue: inout RunQueue) -> [ProcessRef] {
            var taken: [ProcessRef] = []
            while let process = queue.dequeue() { taken.append(process) }
            return taken
        }

        @Test("Max goes before high before normal, and each is first in, first out")
        func isStrict() {
            var queue = RunQueue()
            let order: [ProcessPriority] = [.normal, .high, .normal, .max, .high, .max]
            let processes = order.map(slot)
            for process in processes { queue.enqueue(process) }
            #expect(counts(queue) == [.normal: 2, .low: 0, .high: 2, .max: 2])
            #expect(drain(&queue) == [3, 5, 1, 4, 0, 2].map { processes[$0] })
            #expect(counts(queue) == [.normal: 0, .low: 0, .high: 0, .max: 0])
        }

        @Test("A low process gets one turn where each normal one gets eight", arguments: [1, 3, 20])
        func passesLowProcesses(normalCount: Int) {
            var queue = RunQueue()
            let low = slot(.low)
            queue.enqueue(low)
            for _ in 0..<normalCount { queue.enqueue(slot(.normal)) }
            var picks = 0
            for _ in 0..<10 * (8 * normalCount + 1) {
                guard let process = queue.dequeue() else { break }
                if process == low { picks += 1 }
                queue.enqueue(process)
            }
            #expect(picks == 10)
        }

        @Test("Who was woken goes ahead of who used up its turn, but not for ever")
        func prefersTheWoken() {
            var queue = RunQueue()
            let woken = (0..<20).map { _ in slot(.normal) }
            let spent = (0..<3).map { _ in slot(.normal) }
            for process in spent { queue.enqueueSpent(process) }
            for process in woken { queue.enqueue(process) }
            #expect(counts(queue)[.normal] == 23)
            var order = woken
            for (position, process) in zip([8, 17, 22], spent) { order.insert(process, at: position) }
            #expect(drain(&queue) == order)
            #expect(queue.isEmpty && counts(queue)[.normal] == 0)
        }

        @Test("Beside low processes there is one list, so that their share is the same")
        func mergesListsForTheLow() {
            var queue = RunQueue()
            let (spent, later, woken, low) = (slot(.normal), slot(.normal), slot(.normal), slot(.low))
            queue.enqueueSpent(spent)
            queue.enqueue(low)
            queue.enqueueSpent(later)
            queue.enqueue(woken)
            #expect(drain(&queue) == [spent, later, woken, low])
        }

        @Test("Where all are low, nobody waits for anyone else")
        func runsLowProcessesAlone() {
            var queue = RunQueue()
            let processes = (0..<3).map { _ in slot(.low) }
            for process in processes { queue.enqueue(process) }
            #expect(counts(queue) == [.normal: 0, .low: 3, .high: 0, .max: 0])
            #expect(drain(&queue) == processes)
        }

        /// What a run queue must do, in the plainest way.
        private struct Model {
            var lists: [ProcessPriority: [ProcessRef]] = [:]
            var passes: [UInt32: Int] = [:]

            static func list(_ priority: ProcessPriority) -> ProcessPriority { priority == .low ? .normal : priority }

            mutating func enqueue(_ process: ProcessRef) {
                passes[process.pid.index] = process.block.priority == .low ? 7 : 0
                lists[Self.list(process.block.priority), default: []].append(process)
            }

            mutating func dequeue() -> ProcessRef? {
                for priority in [ProcessPriority.max, .high] where lists[priority]?.isEmpty == false {
                    return lists[priority]?.removeFirst()
                }
                guard var rest = lists[.normal], !rest.isEmpty else { return nil }
                while let first = rest.first, passes[first.pid.index]! > 0,
                    rest.contains(where: { $0.block.priority == .normal })
                {
                    passes[first.pid.index]! -= 1
                    rest.append(rest.removeFirst())
                }
                defer { lists[.normal] = rest }
                return rest.removeFirst()
            }

            mutating func take(_ countMax: Int, where isMovable: (ProcessRef) -> Bool) -> [ProcessRef] {
                var taken: [ProcessRef] = []
                for priority in [ProcessPriority.max, .high, .normal] {
                    var stay: [ProcessRef] = []
                    for process in lists[priority] ?? [] {
                        if taken.count < countMax && isMovable(process) {
                            taken.append(process)
                        } else {
                            stay.append(process)
                        }
                    }
                    lists[priority] = stay
                }
                return taken
            }

            var counts: [ProcessPriority: Int] {
                let all = lists.values.joined()
                return ProcessPriority.allCases.reduce(into: [:]) { counts, priority in
                    counts[priority] = all.count { $0.block.priority == priority }
                }
            }
        }

        @Test("It does what the plain model does, whatever comes and goes")
        func agreesWithModel() {
            var (random, seed) = SeededGenerator.fresh()
            var queue = RunQueue()
            var model = Model()
            var idle = (0..<30).map { _ in slot(.normal) }
            for _ in 0..<20_000 {
                switch Int.random(in: 0..<10, using: &random) {
                case 0..<5:
                    guard let process = idle.popLast() else { continue }
                    process.block.priority = ProcessPriority.allCases.randomElement(using: &random)!
                    queue.enqueue(process)
                    model.enqueue(process)
                case 5..<9:
                    let (process, expected) = (queue.dequeue(), model.dequeue())
                    #expect(process == expected, "seed \(seed)")
                    if let process { idle.append(process) }
                default:
                    let (countMax, odd) = (
                        Int.random(in: 0..<10, using: &random), UInt32.random(in: 1...3, using: &random)
                    )
                    var taken: [ProcessRef] = []
                    queue.take(atMost: countMax, where: { $0.pid.index % odd == 0 }, giving: { taken.append($0) })
                    #expect(taken == model.take(countMax) { $0.pid.index % odd == 0 }, "seed \(seed)")
                    idle += taken
                }
                #expect(counts(queue) == model.counts, "seed \(seed)")
                guard idle.count + queue.count == 30 else {
                    Issue.record("a process was lost; seed \(seed)")
                    return
                }
            }
        }

        @Test("Who takes from a queue looks at a bounded number of those that stay, and leaves all in their order")
        func boundsWhatItPasses() {
            var queue = RunQueue()
            let all = (0..<40).map { _ in slot(.normal) }
            for process in all { queue.enqueue(process) }
            var looked: [ProcessRef] = []
            func take(_ count: Int, passing: Int, _ movable: Set<UInt32>) -> [ProcessRef] {
                var taken: [ProcessRef] = []
                looked = []
                queue.take(
                    atMost: count, passing: passing,
                    where: {
                        looked.append($0)
                        return movable.contains($0.pid.index)
                    }, giving: { taken.append($0) })
                return taken
            }
            #expect(take(20, passing: 10, [all[30].pid.index]) == [] && looked == Array(all.prefix(10)))
            #expect(take(20, passing: 10, [all[3].pid.index, all[10].pid.index]) == [all[3], all[10]])
            #expect(looked == Array(all.prefix(12)) && queue.count == 38)
            let left = all.indices.filter { $0 != 3 && $0 != 10 }.map { all[$0] }
            #expect((0..<38).map { _ in queue.dequeue() } == left && queue.isEmpty)
        }

        @Test("A process of high priority runs before those that were runnable first; its options and it itself say so")
        func ordersTurns() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let order = try await runtime.value { process in
                    let order = Locked<[String]>([])
                    let note: @Sendable (String) -> Void = { name in order.withLock { $0.append(name) } }
                    let first = process.spawn { _ in note("normal") }
                    process.spawn(options: ProcessOptions(priority: .high)) { other in
                        #expect(other.priority == .high)
                        note("high")
                        #expect(other.setPriority(.max) == .high)
                        try other.yield()
                        note("max")
                    }
                    process.spawn(options: ProcessOptions(priority: .max)) { other in
                        other.setPriority(.normal)
                        note("was max")
                        try other.yield()
                        note("is normal")
                    }
                    #expect(process.priority == .normal)
                    _ = try process.receiveDown(of: process.monitor(first))
                    while order.withLock({ $0.count }) < 5 { try process.yield() }
                    return order.withLock { $0 }
                }
                #expect(order == ["was max", "high", "max", "normal", "is normal"])
            }
        }

        @Test("Spinners of low priority get fewer turns than those of normal priority, and are not starved")
        func sharesTime() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let turns = [ProcessPriority.low, .normal].map { ($0, Counter()) }
                let spinners = turns.map { priority, counter in
                    runtime.spawn(options: ProcessOptions(priority: priority)) { _ in
                        while true {
                            work(2_000)
                            counter.add()
                        }
                    }
                }
                // The first may have been alone for a while.
                await turns[1].1.wait(atLeast: 1)
                let alone = turns.map { $0.1.value }
                await turns[0].1.wait(atLeast: alone[0] + 20)
                #expect(turns[1].1.value - alone[1] > 4 * 20)
                for spinner in spinners { runtime.exit(spinner, .kill) }
                await runtime.waitForProcessCount(0)
            }
        }
    }
}
