// SPDX-License-Identifier: Apache-2.0

import RuntimeHandlers
import Testing

@testable import RoostRuntime

extension RuntimeTests {
    @Suite("Processes and Swift's concurrency", .timeLimit(.minutes(1)))
    struct AwaitTests {
        /// Suspends until the task is cancelled.
        private static func untilCancelled() async {
            let (stream, continuation) = AsyncStream<Never>.makeStream()
            await withTaskCancellationHandler {
                for await _ in stream {}
            } onCancel: {
                continuation.finish()
            }
        }

        @Test("A process waits for a task: its value or its error comes back")
        func awaits() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let sum = try await runtime.value { process in
                    try process.await {
                        async let a = opaque(1)
                        async let b = opaque(2)
                        await Task.yield()
                        return await a + b
                    }
                }
                #expect(sum == 3)
                let reason = await runtime.outcome { process in
                    do {
                        try process.await(priority: .high) {
                            await Task.yield()
                            throw Refused(number: 4)
                        }
                    } catch let error as Refused { throw Refused(number: error.number + 1) }
                }
                #expect(reason.refusal == Refused(number: 5))
            }
        }

        @Test("The task has the priority that is asked for")
        func hasPriority() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let priority = try await runtime.value { try $0.await(priority: .low) { Task.currentPriority } }
                #expect(priority == .low)
            }
        }

        @Test("A process that is told to end leaves at once; its task is cancelled and the result destroyed")
        func cancels() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let (running, destroyed, cancelled, box) = (Counter(), Counter(), Counter(), PidBox())
                async let reason = runtime.outcome { process in
                    box.put(process.pid)
                    _ = try process.await {
                        running.add()
                        await Self.untilCancelled()
                        if Task.isCancelled { cancelled.add() }
                        return Payload(1, destroyed)
                    }
                }
                await running.wait(for: 1)
                runtime.exit(await box.take(), .kill)
                #expect(await reason.isKilled)
                await destroyed.wait(for: 1)
                #expect(cancelled.value == 1)
            }
        }

        @Test("The destructor of a result that nobody waits for is contained")
        func orphanTraps() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let (running, box) = (Counter(), PidBox())
                async let reason = runtime.outcome { process in
                    box.put(process.pid)
                    _ = try process.await {
                        running.add()
                        await Self.untilCancelled()
                        return TrapsInDeinit(.index)
                    }
                }
                await running.wait(for: 1)
                runtime.exit(await box.take(), .kill)
                #expect(await reason.isKilled)
                while runtime.trapCount != 1 { await Task.yield() }
            }
        }

        @Test("Messages that come meanwhile stay in order; the scheduler runs others")
        func staysAProcess() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let (stream, continuation) = AsyncStream<Void>.makeStream()
                let numbers = try await runtime.value { process in
                    let numbers = Locked<[Int]>([])
                    let (address, reference) = process.spawnMonitor(receiving: Int.self) { child in
                        try child.await { for await _ in stream { return } }
                        for _ in 0..<100 {
                            let number = try child.receive()
                            numbers.withLock { $0.append(number) }
                        }
                    }
                    for number in 0..<100 {
                        address.send(number)
                        try process.yield()
                    }
                    #expect(numbers.withLock { $0 } == [])
                    continuation.yield()
                    _ = try process.receiveDown(of: reference)
                    return numbers.withLock { $0 }
                }
                #expect(numbers == Array(0..<100))
            }
        }

        @Test("However kills and ends of tasks race, everything is destroyed once")
        func killsRace() async throws {
            var (random, seed) = SeededGenerator.fresh()
            try await withRuntime(schedulers: 2) { runtime in
                let (made, destroyed) = (Counter(), Counter())
                for _ in 0..<Build.rounds(1_000) {
                    let spins = Int.random(in: 0..<20_000, using: &random)
                    let pid = runtime.spawn { process in
                        _ = try process.await {
                            await Task.yield()
                            made.add()
                            return Payload(1, destroyed)
                        }
                    }
                    work(spins)
                    runtime.exit(pid, .kill)
                }
                await runtime.waitForProcessCount(0)
                while destroyed.value != made.value { await Task.yield() }
                #expect(runtime.trapCount == 0, "seed \(seed)")
            }
        }

        // MARK: The other way round

        @Test("A task waits for a process: its value or its error comes back")
        func runs() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let sum = try await runtime.run { process in try process.dirty(.cpu) { 1 + opaque(2) } }
                #expect(sum == 3)
                await #expect(throws: Refused(number: 6)) { try await runtime.run { _ in throw Refused(number: 6) } }
            }
        }

        @Test("A process that ends without a value is an error that says why", arguments: [TrapCause.index, .fatal])
        func runFails(_ cause: TrapCause) async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let trapped = await #expect(throws: ProcessExit.self) { try await runtime.run { _ in cause.trap() } }
                #expect(trapped?.reason.trap != nil)
                let killed = await #expect(throws: ProcessExit.self) {
                    try await runtime.run { process in
                        process.exit(process.pid, .kill)
                        try process.sleep(.seconds(100))
                    }
                }
                #expect(killed?.reason.isKilled == true)
            }
        }

        @Test("A task that is cancelled, then or before, ends the process that it waits for", arguments: [true, false])
        func runIsCancelled(isBefore: Bool) async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let (running, ended) = (Counter(), Counter())
                let task = Task {
                    if isBefore { await Self.untilCancelled() }
                    try await runtime.run { process in
                        running.add()
                        defer { ended.add() }
                        try process.sleep(.seconds(1_000))
                    }
                }
                if !isBefore { await running.wait(for: 1) }
                task.cancel()
                await #expect(throws: CancellationError.self) { try await task.value }
                #expect(ended.value == running.value)
                await runtime.waitForProcessCount(0)
            }
        }
    }
}
