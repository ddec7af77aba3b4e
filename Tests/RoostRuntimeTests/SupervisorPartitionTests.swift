// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostRuntime

extension RuntimeTests {
    @Suite("Partitioned supervision", .timeLimit(.minutes(1)))
    struct SupervisorPartitionTests {
        /// A child that tells which scheduler it runs on.
        private static let placed = ChildSpecification("placed", receiving: ReplyAddress<Int>.self) { process in
            while true { try process.receive().send(SchedulerRef.current?.index ?? -1) }
        }

        private static func place<Message>(of pid: Pid, _ process: borrowing ProcessContext<Message>) throws -> Int {
            try process.call(Address<ReplyAddress<Int>>(pid: pid)) { $0 }
        }

        @Test(
            "Each partition runs on its scheduler, and a child goes to the one of its starter's", arguments: [1, 2, 4])
        func staysOnItsScheduler(schedulers: Int) async throws {
            try await withRuntime(schedulers: schedulers) { runtime in
                let partitions = PartitionSupervisor(in: runtime, children: { _ in [Self.placed] })
                try await partitions.start()
                #expect(partitions.partitionCount == schedulers)
                for number in 0..<schedulers {
                    var options = ProcessOptions()
                    (options.schedulerIndex, options.isPinned) = (number, true)
                    let isRight = Locked<Bool?>(nil)
                    let starter = runtime.spawn(options: options) { process in
                        let near = partitions.partition(near: process) == partitions.partition(number)
                        let first = try partitions.partition(number).whichChildren(from: process)[0].pid
                        let added = try partitions.startChild(Self.placed, from: process)
                        let places = try [first, added].map { try $0.map { try Self.place(of: $0, process) } }
                        isRight.withLock { $0 = near && places == [number, number] }
                    }
                    _ = await runtime.exitReason(of: starter)
                    while isRight.withLock({ $0 == nil }) { await Task.yield() }
                    #expect(isRight.withLock { $0 } == true)
                }
                #expect(try await partitions.countChildren().active == 2 * schedulers)
                await partitions.stop()
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("A key leads to the same partition; children are counted, listed and ended over all")
        func routesByKey() async throws {
            try await withRuntime { runtime in
                let partitions = PartitionSupervisor(in: runtime, partitions: 5)
                try await partitions.start()
                let found = try await runtime.run { process in
                    let pids = try (0..<200).map { key in
                        try partitions.startChild(worker("w", restart: .temporary), key: "user \(key)", from: process)!
                    }
                    for (key, pid) in pids.enumerated() {
                        let partition = partitions.partition(for: "user \(key)")
                        #expect(partition == partitions.partition(for: "user \(key)"))
                        #expect(try partition.whichChildren(from: process).contains { $0.pid == pid })
                    }
                    let counts = try (0..<5).map { try partitions.partition($0).countChildren(from: process).active }
                    #expect(counts.allSatisfy { $0 > 0 } && counts.reduce(0, +) == 200)
                    try partitions.terminateChild(pids[7], from: process)
                    #expect(throws: SupervisorError.self) { try partitions.terminateChild(process.pid, from: process) }
                    return Set(try partitions.whichChildren(from: process).compactMap(\.pid))
                        == Set(pids).subtracting(
                            [pids[7]])
                }
                #expect(found)
                #expect(
                    try await partitions.countChildren()
                        == ChildCounts(specifications: 199, active: 199, supervisors: 0, workers: 199))
                await partitions.stop()
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("A partition that gives up is started again in its place, and the others notice nothing")
        func restartsPartitions() async throws {
            try await withRuntime { runtime in
                let partitions = PartitionSupervisor(
                    in: runtime, strategy: .oneForOne, intensity: RestartIntensity(0, in: .seconds(1)),
                    children: { _ in [worker("a")] })
                try await partitions.start()
                let (first, second) = (partitions.partition(0), partitions.partition(1))
                try await first.tell("a", .fail)
                while partitions.partition(0) == first { await Task.yield() }
                let children = try await partitions.partition(0).whichChildren()
                #expect(children.count == 1 && children[0].pid != nil)
                #expect(partitions.partition(1) == second)
                await partitions.stop()
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("It can be a child of another supervisor, and is started once at a time")
        func isPartOfATree() async throws {
            try await withRuntime { runtime in
                let partitions = PartitionSupervisor(in: runtime)
                let tree = try await Supervisor.start(
                    in: runtime, children: [worker("before"), partitions.childSpecification("partitions")])
                await #expect { try await partitions.start() } throws: { error in
                    guard let error = error as? SupervisorError, case .alreadyStarted = error else { return false }
                    return true
                }
                #expect(try await runtime.run { try partitions.startChild(worker("w"), from: $0) } != nil)
                #expect(try await tree.countChildren().supervisors == 1)
                await tree.stop()
                await runtime.waitForProcessCount(0)
                try await partitions.start()
                await partitions.stop()
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("Tens of thousands of children start, end by themselves or are ended, and nothing is left")
        func carriesMany() async throws {
            let count = Build.rounds(20_000)
            try await withRuntime { runtime in
                let partitions = PartitionSupervisor(in: runtime)
                try await partitions.start()
                try await runtime.run { process in
                    let child = ChildSpecification("w", receiving: ChildEnding.self, restart: .temporary) {
                        try obey($0)
                    }
                    for number in 0..<count {
                        let pid = try partitions.startChild(child, key: number, from: process)!
                        if number % 2 == 0 { Address<ChildEnding>(pid: pid).send(number % 4 == 0 ? .return : .kill) }
                    }
                }
                while try await partitions.countChildren().active > count / 2 {}
                #expect(try await partitions.countChildren().specifications == count / 2)
                await partitions.stop()
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("A dictionary in parts holds what a plain one does", arguments: [UInt64(1), 2, 3])
        func spreadsEntries(seed: UInt64) {
            var random = SeededGenerator(seed: seed)
            var spread = SpreadDictionary<Int, Int>()
            var plain: [Int: Int] = [:]
            for range in [0..<20_000, 0..<6_000] {
                for step in 0..<40_000 {
                    let key = Int.random(in: range, using: &random)
                    if Bool.random(using: &random) {
                        #expect(spread.updateValue(step, forKey: key) == plain.updateValue(step, forKey: key))
                    } else {
                        #expect(spread.removeValue(forKey: key) == plain.removeValue(forKey: key))
                    }
                }
                #expect(spread.count == plain.count && plain.allSatisfy { spread[$0] == $1 })
                let keys = (0..<spread.partCount).flatMap { spread.keys(inPart: $0) }
                #expect(keys.count == plain.count && Set(keys) == Set(plain.keys) && spread.partCount > 1)
            }
            for key in plain.keys { spread[key] = nil }
            #expect(spread.isEmpty && spread.partCount == 0 && spread[1] == nil && spread.keys(inPart: 0).isEmpty)
        }
    }
}
