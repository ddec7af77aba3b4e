// SPDX-License-Identifier: Apache-2.0

import RoostRuntime
import Testing

extension RuntimeTests {
    @Suite("Process groups", .timeLimit(.minutes(1)))
    struct GroupTests {
        let rooms = ProcessGroups<String, Int>()

        private func parked(_ runtime: Runtime, _ sum: Counter? = nil) -> Address<Int> {
            runtime.spawn(receiving: Int.self) { process in
                while true {
                    let number = try process.receive()
                    if number == 0 { return }
                    sum?.add(number)
                }
            }
        }

        @Test("Members join, are listed, and leave; a group without members is gone")
        func joinsAndLeaves() async throws {
            try await withRuntime { runtime in
                let (a, b) = (parked(runtime), parked(runtime))
                #expect(rooms.members(of: "lobby").isEmpty)
                #expect(rooms.join("lobby", a))
                #expect(rooms.join("lobby", b))
                #expect(rooms.join("garden", b))
                #expect(Set(rooms.members(of: "lobby")) == [a, b])
                #expect(rooms.members(of: "garden") == [b])
                #expect(Set(rooms.groups) == ["lobby", "garden"])
                #expect(rooms.leave("lobby", b))
                #expect(!rooms.leave("lobby", b))
                #expect(rooms.members(of: "lobby") == [a])
                #expect(rooms.leave("garden", b))
                #expect(rooms.groups == ["lobby"])
                #expect(rooms.memberCount(of: "garden") == 0)
            }
        }

        @Test("A process joins itself, and what it joined from elsewhere is the same")
        func joinsSelf() async throws {
            try await withRuntime { runtime in
                let seen = Locked<[Int]>([])
                let process = runtime.spawn(receiving: Int.self) { [rooms] process in
                    rooms.join("lobby", process)
                    while try process.receive() != 0 {}
                    seen.withLock { $0.append(rooms.leave("lobby", process) ? 1 : 0) }
                    seen.withLock { $0.append(rooms.leave("lobby", process) ? 1 : 0) }
                    seen.withLock { $0.append(rooms.leave("lobby", process) ? 1 : 0) }
                }
                while rooms.memberCount(of: "lobby") == 0 { await Task.yield() }
                #expect(rooms.join("lobby", process))
                process.send(0)
                _ = await runtime.exitReason(of: process.pid)
                #expect(seen.withLock { $0 } == [1, 1, 0])
                #expect(!rooms.join("lobby", process))
            }
        }

        @Test("pg: who joins several times gets as many copies and leaves as often")
        func countsMemberships() async throws {
            try await withRuntime { runtime in
                let sum = Counter()
                let process = parked(runtime, sum)
                for _ in 0..<1_000 { rooms.join("lobby", process) }
                #expect(rooms.dispatch(1, to: "lobby") == 1_000)
                await sum.wait(for: 1_000)
                #expect(rooms.members(of: "lobby").count == 1_000)
                for count in stride(from: 1_000, to: 0, by: -1) {
                    #expect(rooms.memberCount(of: "lobby") == count)
                    #expect(rooms.leave("lobby", process))
                }
                #expect(!rooms.leave("lobby", process))
                #expect(rooms.groups.isEmpty)
            }
        }

        @Test(
            "A message reaches every member once, in small groups and in spread ones",
            arguments: [1, 31, 32, 33, 256, 257, 5_000])
        func dispatches(_ count: Int) async throws {
            try await withRuntime { runtime in
                let sum = Counter()
                let members = (0..<count).map { _ in parked(runtime, sum) }
                for member in members { rooms.join("lobby", member) }
                #expect(rooms.memberCount(of: "lobby") == count)
                #expect(rooms.dispatch(3, to: "lobby") == count)
                await sum.wait(for: 3 * count)
                // From a process, and by a closure.
                let met = try await runtime.value { [rooms] _ in
                    var met: Set<Pid> = []
                    rooms.dispatch(1, to: "lobby")
                    rooms.forEachMember(of: "lobby") { met.insert($0.pid) }
                    return met
                }
                #expect(met == Set(members.map(\.pid)))
                await sum.wait(for: 4 * count)
                for member in members { #expect(rooms.leave("lobby", member)) }
                #expect(rooms.groups.isEmpty)
                #expect(rooms.dispatch(9, to: "lobby") == 0)
                #expect(rooms.join("lobby", members[0]))
                #expect(rooms.members(of: "lobby") == [members[0]])
            }
        }

        @Test("Who stays gets every message exactly once while others join, leave and end all around")
        func dispatchesWhileOthersChurn() async throws {
            try await withRuntime(schedulers: 3) { runtime in
                let (stableCount, rounds) = (400, Build.rounds(400))
                let received = Locked<[Pid: Int]>([:])
                let stable = (0..<stableCount).map { _ in
                    runtime.spawn(receiving: Int.self) { process in
                        var count = 0
                        while try process.receive() != 0 { count += 1 }
                        received.withLock { $0[process.pid] = count }
                    }
                }
                // Between members that come and go, so that places are freed on all sides of theirs.
                let passing = (0..<stableCount).map { _ in parked(runtime) }
                for (a, b) in zip(stable, passing) {
                    rooms.join("lobby", b)
                    rooms.join("lobby", a)
                }
                let isOver = Counter()
                let churners = (0..<4).map { churner in
                    runtime.spawn { [rooms] process in
                        var random = SeededGenerator(seed: UInt64(churner))
                        while isOver.value == 0 {
                            let member = passing[Int.random(in: 0..<stableCount, using: &random)]
                            if !rooms.leave("lobby", member) { rooms.join("lobby", member) }
                            let short = process.spawn(receiving: Int.self) { [rooms] process in
                                rooms.join("lobby", process)
                            }
                            rooms.join("lobby", short)
                            try process.yield()
                        }
                    }
                }
                _ = try await runtime.value { [rooms] _ in
                    for _ in 0..<rounds { rooms.dispatch(1, to: "lobby") }
                }
                isOver.add()
                for churner in churners { _ = await runtime.exitReason(of: churner) }
                for process in stable + passing { process.send(0) }
                await runtime.waitForProcessCount(0)
                #expect(received.withLock { $0 } == Dictionary(uniqueKeysWithValues: stable.map { ($0.pid, rounds) }))
                #expect(rooms.groups.isEmpty)
                #expect(rooms.memberCount(of: "lobby") == 0)
            }
        }

        @Test("A dispatcher is preempted as in any loop of sends, and members may join and leave inside the closure")
        func isPreemptedWhileDispatching() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let members = (0..<5_000).map { _ in parked(runtime) }
                for member in members { rooms.join("lobby", member) }
                let before = runtime.statistics[0].preemptions
                _ = try await runtime.value { [rooms] _ in
                    rooms.forEachMember(of: "lobby") { member in
                        rooms.leave("lobby", member)
                        rooms.join("garden", member)
                    }
                }
                #expect(runtime.statistics[0].preemptions > before)
                #expect(rooms.groups == ["garden"])
                #expect(rooms.memberCount(of: "garden") == members.count)
            }
        }

        @Test("Random operations agree with counts per group and process")
        func agreesWithAModel() async throws {
            var (random, _) = SeededGenerator.fresh()
            try await withRuntime { runtime in
                let rooms = ProcessGroups<SameHashKey, Int>()
                var model: [SameHashKey: [Pid: Int]] = [:]
                var processes = (0..<700).map { _ in parked(runtime) }
                for _ in 0..<Build.rounds(40_000) {
                    let group = SameHashKey(number: Int.random(in: 0..<3, using: &random))
                    let place = Int.random(in: 0..<processes.count, using: &random)
                    let process = processes[place]
                    switch Int.random(in: 0..<1_000, using: &random) {
                    case 0...1:
                        process.send(0)
                        _ = await runtime.exitReason(of: process.pid)
                        for group in model.keys { model[group]?[process.pid] = nil }
                        processes[place] = parked(runtime)
                    case 2:
                        for member in rooms.members(of: group) { rooms.leave(group, member) }
                        model[group] = nil
                    case 3...600:
                        #expect(rooms.join(group, process))
                        model[group, default: [:]][process.pid, default: 0] += 1
                    case 601...998:
                        let count = model[group]?[process.pid] ?? 0
                        #expect(rooms.leave(group, process) == (count > 0))
                        if count > 0 { model[group]?[process.pid] = count == 1 ? nil : count - 1 }
                    default:
                        var counts: [Pid: Int] = [:]
                        for member in rooms.members(of: group) { counts[member.pid, default: 0] += 1 }
                        #expect(counts == model[group] ?? [:])
                    }
                }
                for (group, counts) in model {
                    #expect(rooms.memberCount(of: group) == counts.values.reduce(0, +))
                }
                #expect(Set(rooms.groups) == Set(model.filter { !$0.value.isEmpty }.keys))
                for process in processes { process.send(0) }
                await runtime.waitForProcessCount(0)
                #expect(rooms.groups.isEmpty)
            }
        }

        @Test("A process in very many groups leaves any of them, and all of them when it ends")
        func isInManyGroups() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let count = Build.rounds(20_000)
                let rooms = ProcessGroups<Int, Int>()
                let left = Counter()
                let preemptions = runtime.statistics[0].preemptions
                let process = runtime.spawn(receiving: Int.self) { process in
                    for group in 0..<count { rooms.join(group, process) }
                    for group in stride(from: 0, to: count, by: 3) where rooms.leave(group, process) { left.add() }
                    _ = try process.receive()
                }
                await left.wait(for: (count + 2) / 3)
                #expect(rooms.groups.count == count - (count + 2) / 3)
                let before = runtime.statistics[0].preemptions
                process.send(0)
                await runtime.waitForProcessCount(0)
                #expect(rooms.groups.isEmpty)
                // It gave them up under its budget.
                #expect(runtime.statistics[0].preemptions >= before + UInt64(count) / 1_000)
                #expect(before > preemptions)
            }
        }
    }
}
