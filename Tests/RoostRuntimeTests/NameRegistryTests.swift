// SPDX-License-Identifier: Apache-2.0

import RoostRuntime
import RuntimeHandlers
import Testing

/// A key of which any two have the same hash.
struct SameHashKey: Hashable, Sendable {
    let number: Int
    func hash(into hasher: inout Hasher) {}
}

/// A key that traps when it is compared with another.
struct TrappingKey: Hashable, Sendable {
    let number: Int
    func hash(into hasher: inout Hasher) {}
    static func == (a: TrappingKey, b: TrappingKey) -> Bool {
        if a.number == 666 || b.number == 666 { TrapCause.fatal.trap() }
        return a.number == b.number
    }
}

extension RuntimeTests {
    @Suite("Unique names", .timeLimit(.minutes(1)))
    struct NameRegistryTests {
        let names = Registry<String>()

        private func parked(_ runtime: Runtime) -> Address<Int> {
            runtime.spawn(receiving: Int.self) { process in while try process.receive() != 0 {} }
        }

        @Test("A name leads to the process that registered it, until it is given back")
        func registers() async throws {
            try await withRuntime { runtime in
                let process = parked(runtime)
                #expect(names.whereis("clock") == nil)
                try names.register("clock", process)
                #expect(names.whereis("clock") == process.pid)
                #expect(try names.address(of: "clock", receiving: Int.self) == process)
                #expect(names.count == 1)
                #expect(names.unregister("clock"))
                #expect(!names.unregister("clock"))
                #expect(names.whereis("clock") == nil)
                #expect(names.count == 0)
                try names.register("clock", process)
                #expect(names.whereis("clock") == process.pid)
            }
        }

        @Test("A taken name is refused, with the pid of its holder; also to the holder itself")
        func refusesTakenNames() async throws {
            try await withRuntime { runtime in
                let (first, second) = (parked(runtime), parked(runtime))
                try names.register("clock", first)
                for process in [first, second] {
                    #expect(throws: NameError.taken(name: "clock", holder: first.pid)) {
                        try names.register("clock", process)
                    }
                }
                #expect(!names.unregister("clock", holder: second.pid))
                #expect(names.unregister("clock", holder: first.pid))
                try names.register("clock", second)
                #expect(names.whereis("clock") == second.pid)
            }
        }

        @Test("A process registers itself, under several names, and finds them as keys of its pid")
        func registersSelf() async throws {
            try await withRuntime { runtime in
                let keys = try await runtime.value { [names] process in
                    for number in 0..<100 { try names.register("name \(number)", process) }
                    for number in stride(from: 0, to: 100, by: 2) { names.unregister("name \(number)") }
                    return names.keys(of: process.pid)
                }
                #expect(Set(keys) == Set(stride(from: 1, to: 100, by: 2).map { "name \($0)" }))
                #expect(names.count == 0)
            }
        }

        @Test("Another type of messages is an error that names both types, and not a crash of the receiver")
        func checksMessageTypes() async throws {
            try await withRuntime { runtime in
                let process = parked(runtime)
                try names.register("clock", process)
                let error = NameError.wrongMessageType(
                    name: "clock", holder: process.pid, receives: "Int", asked: "String")
                #expect(throws: error) { try names.address(of: "clock", receiving: String.self) }
                #expect(error.description.contains("receives Int, not String"))
                let via = names.via("clock", receiving: String.self)
                #expect(!via.send("tick"))
                #expect(throws: error) { try via.resolve() }
            }
        }

        @Test("A process that has ended gets no name")
        func refusesTheDead() async throws {
            try await withRuntime { runtime in
                let process = parked(runtime)
                process.send(0)
                _ = await runtime.exitReason(of: process.pid)
                #expect(throws: NameError.noProcess(name: "clock", pid: process.pid)) {
                    try names.register("clock", process)
                }
                #expect(names.count == 0)
            }
        }

        @Test("A name as a destination leads to whoever has it at each send")
        func sendsVia() async throws {
            try await withRuntime { runtime in
                let received = Locked<[String]>([])
                let clock = names.via("clock", receiving: Int.self)
                #expect(!clock.send(1))
                #expect(throws: NameError.notRegistered(name: "clock")) { try clock.resolve() }
                for name in ["first", "second"] {
                    let process = runtime.spawn(receiving: Int.self) { process in
                        let message = try process.receive()
                        received.withLock { $0.append("\(name) \(message)") }
                    }
                    try names.register("clock", process)
                    #expect(try clock.resolve() == process)
                    #expect(clock.send(2))
                    _ = await runtime.exitReason(of: process.pid)
                }
                #expect(received.withLock { $0 } == ["first 2", "second 2"])
                #expect(!clock.send(3))
            }
        }

        @Test("A value lies beside a name; its holder replaces it, others may not")
        func keepsValues() async throws {
            try await withRuntime { runtime in
                let process = parked(runtime)
                try names.register("clock", process, value: 7)
                #expect(try names.value(of: "clock", as: Int.self) == 7)
                #expect(throws: NameError.wrongValueType(name: "clock", holder: process.pid, has: "Int", asked: "Bool"))
                {
                    try names.value(of: "clock", as: Bool.self)
                }
                #expect(throws: NameError.notTheHolder(name: "clock", holder: process.pid)) {
                    try names.updateValue(of: "clock") { (old: Int?) in (old ?? 0) + 1 }
                }
                let seen = try await runtime.value { [names] process in
                    try names.register("own", process)
                    for _ in 0..<3 { try names.updateValue(of: "own") { (old: Int?) in (old ?? 0) + 1 } }
                    return try names.value(of: "own", as: Int.self)
                }
                #expect(seen == 3)
                #expect(try names.value(of: "own", as: Int.self) == nil)
                #expect(throws: NameError.notRegistered(name: "own")) { try names.updateValue(of: "own") { $0 ?? 1 } }
            }
        }

        @Test("Names of the same hash are kept apart")
        func keepsCollidingNamesApart() async throws {
            try await withRuntime { runtime in
                let names = Registry<SameHashKey>()
                let processes = (0..<20).map { _ in parked(runtime) }
                for (number, process) in processes.enumerated() {
                    try names.register(SameHashKey(number: number), process)
                }
                for number in stride(from: 0, to: 20, by: 3) { #expect(names.unregister(SameHashKey(number: number))) }
                for (number, process) in processes.enumerated() {
                    #expect(names.whereis(SameHashKey(number: number)) == (number % 3 == 0 ? nil : process.pid))
                }
            }
        }

        @Test("A key whose == traps ends the process that compares it, and holds no lock")
        func survivesTrappingKeys() async throws {
            try await withRuntime { runtime in
                let names = Registry<TrappingKey>()
                let process = parked(runtime)
                try names.register(TrappingKey(number: 1), process)
                for _ in 0..<3 {
                    let reason = await runtime.outcome { process in
                        try names.register(TrappingKey(number: 666), process)
                    }
                    #expect(reason.trap?.kind == .check, "\(reason)")
                }
                #expect(names.whereis(TrappingKey(number: 1)) == process.pid)
                #expect(names.unregister(TrappingKey(number: 1)))
                #expect(names.count == 0)
            }
        }

        @Test("Of processes that register one name at once, exactly one gets it; the others hear who")
        func givesANameOnce() async throws {
            try await withRuntime(schedulers: 4) { runtime in
                let rounds = Build.rounds(2_000)
                for round in 0..<rounds {
                    let winners = Locked<[Pid]>([])
                    let losers = Locked<[Pid]>([])
                    let addresses = (0..<4).map { _ in
                        runtime.spawn(receiving: Bool.self) { [names] process in
                            do throws(NameError) {
                                try names.register("\(round)", process)
                                winners.withLock { $0.append(process.pid) }
                            } catch {
                                guard case .taken(_, let holder) = error else { throw error }
                                losers.withLock { $0.append(holder) }
                            }
                            _ = try process.receive()
                        }
                    }
                    while winners.withLock({ $0.count }) + losers.withLock({ $0.count }) < 4 { await Task.yield() }
                    let winner = try #require(winners.withLock { $0 }.first)
                    #expect(winners.withLock { $0.count } == 1)
                    #expect(losers.withLock { $0 } == [winner, winner, winner])
                    #expect(names.whereis("\(round)") == winner)
                    for address in addresses { address.send(true) }
                }
                await runtime.waitForProcessCount(0)
                #expect(names.count == 0)
            }
        }

        @Test("Random operations agree with a dictionary")
        func agreesWithAModel() async throws {
            var (random, _) = SeededGenerator.fresh()
            try await withRuntime { runtime in
                let names = Registry<Int>()
                var model: [Int: Pid] = [:]
                var processes = (0..<8).map { _ in parked(runtime) }
                for _ in 0..<Build.rounds(20_000) {
                    let key = Int.random(in: 0..<600, using: &random)
                    let place = Int.random(in: 0..<processes.count, using: &random)
                    switch Int.random(in: 0..<100, using: &random) {
                    case 0:
                        let dead = processes[place]
                        dead.send(0)
                        _ = await runtime.exitReason(of: dead.pid)
                        model = model.filter { $0.value != dead.pid }
                        processes[place] = parked(runtime)
                    case 1...55:
                        let isFree = model[key] == nil
                        let isRegistered = (try? names.register(key, processes[place])) != nil
                        #expect(isRegistered == isFree)
                        if isFree { model[key] = processes[place].pid }
                    case 56...90: #expect(names.unregister(key) == (model.removeValue(forKey: key) != nil))
                    default: #expect(names.whereis(key) == model[key])
                    }
                }
                #expect(names.count == model.count)
                for process in processes {
                    #expect(Set(names.keys(of: process.pid)) == Set(model.filter { $0.value == process.pid }.keys))
                }
            }
        }
    }
}
