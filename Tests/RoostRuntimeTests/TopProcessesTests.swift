// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostRuntime

extension RuntimeTests {
    @Suite("Finding processes", .timeLimit(.minutes(2)))
    struct TopProcessesTests {
        @Test("The bounded heap keeps the greatest values of any sequence", arguments: [0, 1, 2, 7, 100])
        func keepsGreatest(capacity: Int) {
            var (random, seed) = SeededGenerator.fresh()
            for count in [0, 1, 50, 300] {
                var heap = BoundedHeap(capacity: capacity)
                let values = (0..<count).map { _ in UInt64.random(in: 0..<1_000, using: &random) }
                for (index, value) in values.enumerated() where heap.accepts(value) {
                    heap.insert(value, UInt64(index))
                }
                let found = heap.descending
                #expect(found.map(\.value) == Array(values.sorted(by: >).prefix(capacity)), "seed \(seed)")
                #expect(found.allSatisfy { values[Int($0.word)] == $0.value }, "seed \(seed)")
            }
        }

        @Test("Of 1,000,000 processes the ones with most memory, reductions and messages are found, in order")
        func findsTop() async throws {
            let count = Build.isPlain ? 1_000_000 : 2_000
            try await withRuntime(schedulers: 2) { runtime in
                let special = try await runtime.value { process in
                    for _ in 0..<count - 9 {
                        process.spawn(receiving: [UInt8].self) { other in _ = try other.receive() }
                    }
                    // Three of each kind, the largest first.
                    let hoarders = (1...3).reversed().map { size in
                        process.spawn(receiving: Bool.self) { other in
                            let hoard = [UInt8](repeating: 1, count: size * 1_000_000)
                            _ = try other.receive()
                            #expect(hoard.count == size * 1_000_000)
                        }.pid
                    }
                    let workers = (1...3).reversed().map { size in
                        process.spawn(receiving: Bool.self) { other in
                            let own = other.address
                            for _ in 0..<size * 500 {
                                own.send(true)
                                _ = try other.receive()
                            }
                            _ = try other.receive()
                        }.pid
                    }
                    let flooded = (1...3).reversed().map { size in
                        let address = process.spawn(receiving: Int.self) { other in
                            _ = try other.receive(matching: { $0 == -1 ? $0 : nil })
                        }
                        for number in 0..<size * 100 { address.send(number) }
                        return address.pid
                    }
                    return [ProcessFigure.memory: hoarders, .reductions: workers, .mailbox: flooded]
                }
                for figure in ProcessFigure.allCases {
                    var found: [TopProcess] = []
                    // Their first turns may still be to come.
                    repeat {
                        found = runtime.topProcesses(by: figure, 3)
                        await Task.yield()
                    } while found.map(\.pid) != special[figure] && Build.isPlain
                    #expect(found.count == 3)
                    #expect(found[0].value(of: figure) >= found[2].value(of: figure))
                }
                #expect(runtime.processes().count == count)
                #expect(Set(runtime.processes()).count == count)
                #expect(runtime.schedulerInformation.map(\.processCount).reduce(0, +) == count)
                #expect(runtime.topProcesses(by: .memory, 0).isEmpty)
            }
        }

        @Test("Another runtime's processes are not counted in")
        func keepsRuntimesApart() async throws {
            try await withRuntime(schedulers: 1) { other in
                other.spawn(receiving: Int.self) { process in _ = try process.receive() }
                try await withRuntime(schedulers: 1) { runtime in
                    let pid = runtime.spawn(receiving: Int.self) { process in _ = try process.receive() }.pid
                    #expect(runtime.processes() == [pid])
                    #expect(runtime.topProcesses(by: .memory, 10).map(\.pid) == [pid])
                }
            }
        }

        @Test("A scheduler tells what it does: its queue, its turns, where its time goes")
        func describesSchedulers() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                while !runtime.schedulerInformation[0].isIdle { await Task.yield() }
                let idle = runtime.schedulerInformation[0]
                let spinners = (0..<4).map { number in
                    runtime.spawn(options: ProcessOptions(priority: number == 0 ? .low : .normal)) { process in
                        while true { try process.yield() }
                    }
                }
                var busy = runtime.schedulerInformation[0]
                while busy.runQueueCount < 3 || busy.statistics.polls < idle.statistics.polls + 10 {
                    await Task.yield()
                    busy = runtime.schedulerInformation[0]
                }
                #expect(!busy.isIdle && busy.processCount == 4)
                #expect(busy.runQueueCounts[.high] == 0 && busy.runQueueCount <= 4)
                #expect(busy.statistics.turns > idle.statistics.turns)
                #expect(busy.statistics.runningNanoseconds > idle.statistics.runningNanoseconds)
                #expect(busy.statistics.pollingNanoseconds > idle.statistics.pollingNanoseconds)
                let later = runtime.schedulerInformation[0]
                #expect(later.utilization(since: busy) > 0 && later.utilization(since: busy) <= 1)
                for spinner in spinners { runtime.exit(spinner, .kill) }
                await runtime.waitForProcessCount(0)
                while !runtime.schedulerInformation[0].isIdle { await Task.yield() }
                let rested = runtime.schedulerInformation[0]
                #expect(rested.runQueueCount == 0)
                while runtime.schedulerInformation[0].statistics.idleNanoseconds == rested.statistics.idleNanoseconds {
                    await Task.yield()
                }
            }
        }

        @Test("What one scheduler gives away another one counts as arrived", .enabled(if: Runtime.coreCount() > 1))
        func countsSteals() async throws {
            try await withRuntime(schedulers: 2) { runtime in
                runtime.spawn { process in
                    for _ in 0..<200 {
                        process.spawn(receiving: Bool.self) { other in
                            other.address.send(true)
                            // Between two of these it has no stack: it may move.
                            try other.hibernate { try hibernateForEver($0) }
                        }
                    }
                }
                func steals() -> (given: UInt64, taken: UInt64) {
                    let all = runtime.statistics
                    return (all.map(\.migrations).reduce(0, +), all.map(\.arrivals).reduce(0, +))
                }
                while steals().taken == 0 { await Task.yield() }
                #expect(steals().given > 0)
                for pid in runtime.processes() { runtime.exit(pid, .kill) }
                await runtime.waitForProcessCount(0)
                #expect(steals().given == steals().taken)
            }
        }
    }
}

private func hibernateForEver(_ process: borrowing ProcessContext<Bool>) throws {
    process.address.send(try process.receive())
    try process.hibernate { try hibernateForEver($0) }
}
