// SPDX-License-Identifier: Apache-2.0

import RoostRuntime
import RuntimeCheckedHandlers
import RuntimeHandlers
import Synchronization
import Testing

extension RuntimeTests {
    @Suite("A process that traps ends itself and nothing else", .timeLimit(.minutes(1)))
    struct TrapTests {
        @Test(
            "A trap of any kind becomes the exit reason, with a backtrace that names the function",
            arguments: TrapCause.allCases)
        func containsEveryTrap(_ cause: TrapCause) async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let reason = await runtime.outcome { _ in cause.trap() }
                let trap = try #require(reason.trap)
                #expect(trap.backtrace.contains { $0.contains(cause.functionName) }, "\(trap.backtrace)")
                if cause == .fatal { #expect(trap.message?.contains("the cause of it") == true) }
                if cause == .cast {
                    #expect(trap.kind == .abort)
                    #expect(trap.message?.contains("Could not cast value") == true)
                } else if cause == .released {
                    #expect([.check, .abort].contains(trap.kind))
                } else {
                    #expect(trap.kind == .check)
                }
                #expect(runtime.trapCount == 1)
            }
        }

        @Test("A trap deep in nested calls carries all of them", arguments: [TrapCause.index, .fatal, .cast])
        func containsNestedTraps(_ cause: TrapCause) async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let reason = await runtime.outcome { _ in trapNested(10, cause) }
                let trap = try #require(reason.trap)
                #expect(trap.backtrace.filter { $0.contains("trapNested") }.count == 11, "\(trap.backtrace)")
            }
        }

        @Test("An exclusivity violation is contained, and the thread's record of accesses is clean afterwards")
        func containsExclusivityViolations() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                for _ in 0..<20 {
                    let reason = await runtime.outcome { _ in violateExclusivity() }
                    let trap = try #require(reason.trap)
                    #expect(trap.kind == .abort)
                    #expect(
                        trap.message?.contains("verlapping accesses") == true
                            || trap.message?.contains("Simultaneous accesses") == true)
                    let count = try await runtime.value { _ in
                        let box = CheckedBox()
                        box.update { $0.append(1) }
                        return box.read()
                    }
                    #expect(count == 1)
                }
            }
        }

        @Test(
            "Hazard 5: accesses that checked code holds open belong to the process, also when it stops or traps inside"
        )
        func keepsAccessRecordsApart() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let ended = Counter()
                for number in 0..<12 {
                    runtime.spawn { context in
                        for round in 0..<10 {
                            let box = CheckedBox()
                            box.update { numbers in
                                work(number * 500 + round * 1_000)
                                if number % 4 == 0 && round == 9 { TrapCause.index.trap() }
                                numbers.append(round)
                            }
                            if number % 4 == 1 { try context.yield() }
                        }
                        ended.add()
                    }
                }
                await runtime.waitForProcessCount(0)
                #expect(ended.value == 9)
                #expect(runtime.trapCount == 3)
            }
        }

        @Test("Endless recursion ends its process: plain, mutual, allocating, with big frames", arguments: 0..<4)
        func containsStackOverflow(_ kind: Int) async throws {
            try await withRuntime(schedulers: 1) { runtime in
                for _ in 0..<5 {
                    let reason = await runtime.outcome { _ in
                        switch kind {
                        case 0: _ = recurseForEver(0)
                        case 1: _ = recurseThere(0)
                        case 2: _ = recurseAllocating("")
                        default: _ = recurseWithBigFrames(0)
                        }
                    }
                    let trap = try #require(reason.trap)
                    #expect(trap.kind == .stackOverflow)
                    #expect(trap.backtrace.contains { $0.contains("recurse") }, "\(trap.backtrace)")
                }
                let sum = try await runtime.value { _ in recurse(to: 100, rounds: 10) }
                #expect(sum == 5_050)
            }
        }

        @Test("A long chain whose destruction recurses ends its process, not the program")
        func containsRecursiveDestruction() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let reason = await runtime.outcome { _ in _ = opaque(Chain(length: 200_000)) }
                let trap = try #require(reason.trap)
                #expect(trap.kind == .stackOverflow)
            }
        }

        @Test("Thousands of traps in a row leave the runtime as it was", arguments: TrapCause.allCases)
        func survivesThousandsOfTraps(_ cause: TrapCause) async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let reasons = try await runtime.value { context in
                    var trapped = 0
                    for _ in 0..<Build.rounds(2_000) {
                        let (_, reference) = context.spawnMonitor { _ in cause.trap() }
                        if let down = try context.receiveDown(of: reference), down.reason.trap != nil { trapped += 1 }
                    }
                    return trapped
                }
                #expect(reasons == Build.rounds(2_000))
                #expect(runtime.trapCount == Build.rounds(2_000))
            }
        }

        @Test("Traps on two schedulers at once do not disturb processes that exchange messages there")
        func trapsConcurrently() async throws {
            try await withRuntime(schedulers: 2) { runtime in
                let rounds = Build.rounds(20_000)
                let pairsDone = Counter()
                for _ in 0..<4 {
                    let echo = runtime.spawn(receiving: (Int, Address<Int>).self) { context in
                        while true {
                            let (number, from) = try context.receive()
                            from.send(number &+ 1)
                            if number == rounds - 1 { break }
                        }
                    }
                    runtime.spawn(receiving: Int.self) { context in
                        for number in 0..<rounds {
                            echo.send((number, context.address))
                            let answer = try context.receive()
                            precondition(answer == number + 1)
                        }
                        pairsDone.add()
                    }
                }
                for number in 0..<Build.rounds(4_000) {
                    let cause = TrapCause.allCases[number % TrapCause.allCases.count]
                    runtime.spawn { _ in trapNested(number % 7, cause) }
                }
                await pairsDone.wait(for: 4)
                await runtime.waitForProcessCount(0)
                #expect(runtime.trapCount == Build.rounds(4_000))
            }
        }

        @Test(
            "Hazard 7: a message whose deinit traps, in the receiver's hands, ends the receiver",
            arguments: [TrapCause.index, .fatal, .cast])
        func containsTrapsInMessageDeinit(_ cause: TrapCause) async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let reason = await runtime.reason(receiving: TrapsInDeinit.self) { context in
                    _ = try context.receive()
                } sending: {
                    [TrapsInDeinit(cause)]
                }
                #expect(reason.trap != nil, "\(reason)")
            }
        }

        @Test("Hazard 7: a message whose deinit traps inside a selective receive is destroyed once")
        func containsTrapsInMatchedMessageDeinit() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let reason = await runtime.reason(receiving: TrapsInDeinit.self) { context in
                    _ = try context.receive { _ in true }
                } sending: {
                    [TrapsInDeinit(.index)]
                }
                #expect(reason.trap != nil, "\(reason)")
                #expect(runtime.trapCount == 1)
            }
        }

        @Test(
            "Hazard 7: messages that trap in a dying mailbox keep no others from being destroyed, nor change the reason"
        )
        func destroysTheRestOfTheMailbox() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let destroyed = Counter()
                let reason = await runtime.reason(receiving: (any Sendable).self) { context in
                    try context.sleep(.milliseconds(1))
                    throw Refused(number: 3)
                } sending: {
                    (0..<10).map { number in
                        number % 3 == 1
                            ? TrapsInDeinit(.index) as any Sendable : Payload(number, destroyed) as any Sendable
                    }
                }
                await runtime.waitForProcessCount(0)
                #expect(destroyed.value == 7)
                #expect(runtime.trapCount == 3)
                #expect(reason.trap != nil || reason.refusal != nil, "\(reason)")
            }
        }

        @Test("Hazard 7: a trap while the messages of a trapped process are destroyed keeps the first reason")
        func keepsTheFirstTrap() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let reason = await runtime.reason(receiving: TrapsInDeinit.self) { context in
                    try context.sleep(.milliseconds(1))
                    TrapCause.fatal.trap()
                } sending: {
                    [TrapsInDeinit(.index), TrapsInDeinit(.index)]
                }
                #expect(reason.trap?.message?.contains("the cause of it") == true, "\(reason)")
            }
        }

        @Test("Hazard 7: captured state whose deinit traps ends its process, started or not", arguments: [false, true])
        func containsTrapsInCapturedState(_ isKilledFirst: Bool) async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let reason = try await runtime.value { context in
                    let (pid, reference) = context.spawnMonitor { [state = TrapsInDeinit(.index)] _ in _ = opaque(state)
                    }
                    if isKilledFirst { context.exit(pid, .kill) }
                    return try context.receiveDown(of: reference)!.reason
                }
                await runtime.waitForProcessCount(0)
                #expect(runtime.trapCount == 1, "\(reason)")
            }
        }

        @Test("Hazard 7: a message whose deinit loops for ever is given up after a bounded number of turns")
        func givesUpSpinningDeinits() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let destroyed = Counter()
                let reason = await runtime.reason(receiving: (any Sendable).self) { context in
                    try context.sleep(.milliseconds(1))
                } sending: {
                    [Payload(1, destroyed), SpinsInDeinit(), Payload(2, destroyed)]
                }
                _ = reason
                await runtime.waitForProcessCount(0)
                #expect(destroyed.value == 2)
                #expect(runtime.abandonedCount >= 1)
            }
        }

        @Test("Hazard 7: undeliverable messages whose deinit traps or works long hurt neither sender nor scheduler")
        func destroysUndeliverableMessages() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let done = Counter()
                let survived = try await runtime.value { context in
                    let (dead, reference) = context.spawnMonitor(receiving: (any Sendable).self) { _ in }
                    _ = try context.receiveDown(of: reference)
                    for _ in 0..<100 {
                        _ = context.send(TrapsInDeinit(.index) as any Sendable, to: dead, after: .zero)
                        _ = context.send(
                            WorksInDeinit(rounds: 10_000) { done.add() } as any Sendable, to: dead, after: .zero)
                    }
                    while done.value < 100 { try context.sleep(.milliseconds(1)) }
                    return true
                }
                #expect(survived)
                await runtime.waitForProcessCount(0)
                #expect(done.value == 100)
                #expect(runtime.trapCount == 100)
            }
        }

        @Test("Text for stderr that looks like a trap report is printed, not kept for a later trap")
        func doesNotSwallowReports() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                _ = await runtime.outcome { _ in report("(expected in this test) Fatal error in a peer's words\n") }
                let reason = await runtime.outcome { _ in TrapCause.fatal.trap() }
                let trap = try #require(reason.trap)
                #expect(trap.message?.contains("peer") == false, "\(trap)")
            }
        }
    }
}

extension Runtime {
    /// Runs `body` as a process that gets what `messages` makes, and returns why it ended.
    func reason<Message: Sendable>(
        receiving type: Message.Type, _ body: @escaping @Sendable (borrowing ProcessContext<Message>) throws -> Void,
        sending messages: @escaping @Sendable () -> [Message]
    ) async -> ExitReason {
        await withCheckedContinuation { continuation in
            spawn { context in
                let (address, reference) = context.spawnMonitor(receiving: type, body)
                sendAll(messages(), to: address)
                if let down = try context.receiveDown(of: reference) { continuation.resume(returning: down.reason) }
            }
        }
    }
}

@inline(never) private func sendAll<Message: Sendable>(_ messages: consuming [Message], to address: Address<Message>) {
    var messages = messages
    messages.reverse()
    while let message = messages.popLast() { address.send(message) }
}
