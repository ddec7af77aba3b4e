// SPDX-License-Identifier: Apache-2.0

import RuntimeHandlers
import Testing

@testable import RoostRuntime

/// Does something when the last copy goes.
final class LastAct: Sendable {
    private let act: @Sendable () -> Void
    init(_ act: @escaping @Sendable () -> Void) { self.act = act }
    deinit { act() }
}

extension RuntimeTests {
    @Suite("Names and memberships at the end of a process", .timeLimit(.minutes(1)))
    struct NameExitTests {
        let names = Registry<String>()
        let rooms = ProcessGroups<String, Int>()

        @Test("N2: however a process ends, who is told finds its names and places free", arguments: WatchedEnd.allCases)
        func freesNames(_ ending: WatchedEnd) async throws {
            try await withRuntime { runtime in
                for _ in 0..<Build.rounds(ending == .isKilled ? 20 : 100) {
                    let problems = try await runtime.value { [names, rooms] context in
                        let (address, reference) = context.spawnMonitor(receiving: Int.self) { process in
                            try names.register("a", process)
                            try names.register("b", process, value: [1, 2, 3])
                            for _ in 0..<3 { rooms.join("lobby", process) }
                            _ = try process.receive()
                            try ending.happen()
                        }
                        // Others may have done so before it ran for the first time.
                        try names.register("c", address)
                        rooms.join("garden", address)
                        address.send(1)
                        while names.whereis("b") == nil && ending == .isKilled { try context.yield() }
                        if ending == .isKilled { context.exit(address.pid, .kill) }
                        _ = try context.receiveDown(of: reference)
                        for name in ["a", "b", "c"] { try names.register(name, context) }
                        return ["a", "b", "c"].filter { names.whereis($0) != context.pid } + rooms.groups
                    }
                    #expect(problems.isEmpty)
                }
                #expect(names.count == 0)
            }
        }

        @Test("N1: a process that others name and that has not run yet gives its names up as well")
        func freesNamesOfTheUnstarted() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let (taken, left) = try await runtime.value { [names, rooms] context in
                    let (address, reference) = context.spawnMonitor(receiving: Int.self) { _ in }
                    try names.register("a", address)
                    rooms.join("lobby", address)
                    let taken = names.count + rooms.memberCount(of: "lobby")
                    context.exit(address.pid, .kill)
                    _ = try context.receiveDown(of: reference)
                    return (taken, names.count + rooms.memberCount(of: "lobby"))
                }
                #expect(taken == 2)
                #expect(left == 0)
            }
        }

        @Test("N2: a restarted child takes the name of its predecessor, every time")
        func restartedChildFindsItsName() async throws {
            try await withRuntime(schedulers: 3) { runtime in
                let rounds = Build.rounds(1_000)
                let (starts, refusals) = (Counter(), Counter())
                let supervisor = try await Supervisor.start(
                    in: runtime, intensity: RestartIntensity(rounds + 10, in: .seconds(600)),
                    children: [
                        ChildSpecification("clock", receiving: Int.self) { [names] process in
                            do { try names.register("clock", process) } catch { refusals.add() }
                            starts.add()
                            if starts.value >= rounds { _ = try process.receive() }
                            throw Refused()
                        }
                    ])
                await starts.wait(atLeast: rounds)
                #expect(refusals.value == 0)
                #expect(names.count == 1)
                await supervisor.stop()
                #expect(names.count == 0)
            }
        }

        @Test("N1: names that others give while the process ends are refused or vanish; none stays")
        func racesWithTheEnd() async throws {
            try await withRuntime(schedulers: 3) { runtime in
                let rounds = Build.rounds(20_000)
                let (given, refused) = (Counter(), Counter())
                for giver in 0..<2 {
                    runtime.spawn { [names, rooms] context in
                        for round in 0..<rounds {
                            let address = Address<Int>(pid: context.runtime.startAnywhere())
                            do {
                                try names.register("\(giver) \(round)", address)
                                given.add()
                            } catch { refused.add() }
                            rooms.join("lobby", address)
                        }
                    }
                }
                await runtime.waitForProcessCount(0)
                #expect(given.value + refused.value == 2 * rounds)
                #expect(names.count == 0)
                #expect(rooms.groups.isEmpty)
                #expect(rooms.memberCount(of: "lobby") == 0)
            }
        }

        @Test(
            "R5: a value whose deinit traps or loops for ever keeps the other names from nobody",
            arguments: [true, false])
        func survivesValuesThatTrap(_ traps: Bool) async throws {
            try await withRuntime { runtime in
                let destroyed = Counter()
                let reason = await runtime.outcome { [names] process in
                    for number in 0..<10 {
                        let value = LastAct {
                            destroyed.add()
                            if number == 5 { traps ? TrapCause.fatal.trap() : LoopShape.whileTrue.spin() }
                        }
                        try names.register("\(number)", process, value: value)
                    }
                    throw Refused(number: 3)
                }
                #expect(reason.refusal == Refused(number: 3) || reason.trap != nil, "\(reason)")
                #expect(destroyed.value == 10)
                #expect(names.count == 0)
            }
        }

        @Test("A process that ends, and registers a name in the deinit of a message, is refused")
        func refusesTheEnding() async throws {
            try await withRuntime { runtime in
                let outcomes = Locked<[String]>([])
                let process = runtime.spawn(receiving: LastAct.self) { process in try process.sleep(.seconds(60)) }
                let act = LastAct { [names, rooms] in
                    let address = Address<Int>(pid: process.pid)
                    do { try names.register("late", address) } catch { outcomes.withLock { $0.append("\(error)") } }
                    if !rooms.join("lobby", address) { outcomes.withLock { $0.append("not in the lobby") } }
                }
                process.send(consume act)
                try names.register("early", process)
                runtime.exit(process.pid, .shutdown)
                _ = await runtime.exitReason(of: process.pid)
                #expect(
                    outcomes.withLock { $0 } == [
                        NameError.noProcess(name: "late", pid: process.pid).description, "not in the lobby",
                    ])
                #expect(names.count == 0)
                #expect(rooms.groups.isEmpty)
            }
        }

        @Test("Very many processes in one group on several schedulers end at once and leave nothing")
        func endsAllAtOnce() async throws {
            try await withRuntime(schedulers: 3) { runtime in
                let count = Build.rounds(60_000)
                let joined = Counter()
                for _ in 0..<count {
                    runtime.spawn(receiving: Int.self) { [names, rooms] process in
                        rooms.join("lobby", process)
                        try names.register("\(process.pid)", process)
                        joined.add()
                        _ = try process.receive()
                    }
                }
                await joined.wait(for: count)
                #expect(rooms.memberCount(of: "lobby") == count)
                #expect(names.count == count)
                #expect(rooms.dispatch(1, to: "lobby") == count)
                await runtime.waitForProcessCount(0)
                #expect(rooms.groups.isEmpty)
                #expect(names.count == 0)
            }
        }

        @Test("A process that joins for ever meets its heap limit: memberships are charged")
        func chargesMemberships() async throws {
            guard Build.isPlain else { return }
            try await withRuntime { runtime in
                let rooms = ProcessGroups<Int, Never>()
                let reason = await runtime.outcome(options: ProcessOptions(heapByteCountMax: 1 << 20)) { process in
                    while true { rooms.join(0, process) }
                }
                #expect(reason.isHeapLimit, "\(reason)")
                let held = try await runtime.value { process in
                    let before = Inspection.allocatedByteCount()
                    for _ in 0..<100 { rooms.join(0, process) }
                    let during = Inspection.allocatedByteCount()
                    for _ in 0..<100 { rooms.leave(0, process) }
                    return (during - before, Inspection.allocatedByteCount() - before)
                }
                #expect(held.0 >= 100 * Tie.byteCount)
                // What the tables of the program grew by stays with whoever made them grow.
                #expect(held.1 < 100 * Tie.byteCount / 4)
            }
        }
    }
}
