// SPDX-License-Identifier: Apache-2.0

import RuntimeHandlers
import Synchronization
import Testing

@testable import RoostRuntime

/// What processes of one scheduler share without wanting to: its thread.
extension RuntimeTests {
    @Suite("Processes of one thread do not lock each other out", .timeLimit(.minutes(1)), .serialized)
    struct SharedThreadTests {
        @Test(
            "Hazard 4: a global whose initialiser is long is initialised once, by the first process that needs it"
        )
        func initialisesGlobals() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let sum = Counter()
                for _ in 0..<10 { runtime.spawn { _ in sum.add(readSlowGlobal() + readOuterGlobal()) } }
                await runtime.waitForProcessCount(0)
                #expect(sum.value == 10 * 44)
            }
        }

        @Test(
            "Hazard 4: a trap in the initialiser of a global ends its process, and the next one initialises it",
            arguments: [false, true])
        func retriesGlobals(_ overflows: Bool) async throws {
            try await withRuntime { runtime in
                isTrappingInGlobal = true
                let read: @Sendable () -> Int = { overflows ? readRecursingGlobal() : readTrappingGlobal() }
                for _ in 0..<6 {
                    let reason = await runtime.outcome { _ in _ = read() }
                    #expect(reason.trap != nil)
                }
                isTrappingInGlobal = false
                for _ in 0..<4 {
                    let value = try await runtime.value { _ in read() }
                    #expect(value == (overflows ? 8 : 7))
                }
                #expect(read() == (overflows ? 8 : 7), "from outside, too")
            }
        }

        @Test("Hazard 4: a description that works long or traps while it is printed leaves stdout unlocked")
        func printsUnderNoLock() async throws {
            try await withRuntime { runtime in
                for round in 0..<20 {
                    runtime.spawn { _ in printSlowly(PrintsSlowly(rounds: 50_000, cause: round % 4 == 3 ? .index : nil))
                    }
                }
                await runtime.waitForProcessCount(0)
                #expect(runtime.trapCount == 5)
                print(" still printing, here")
                try await runtime.value { _ in print("and there") }
            }
        }

        @Test("Hazard 4: a lock held across reduction points inside withoutPreemption locks out nobody")
        func holdsLocks() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let total = Total()
                for _ in 0..<20 {
                    runtime.spawn { context in
                        for _ in 0..<50 {
                            total.add { work(1_000) }
                            if total.isEven() { try context.yield() }
                        }
                    }
                }
                await runtime.waitForProcessCount(0)
                #expect(total.value == 1_000)
                #expect(runtime.statistics[0].preemptions > 100, "put off, not lost")
            }
        }

        private final class Total: Sendable {
            private let count = Mutex(0)
            func add(_ meanwhile: @Sendable () -> Void) {
                withoutPreemption {
                    count.withLock {
                        meanwhile()
                        $0 += 1
                    }
                }
            }
            func isEven() -> Bool { withoutPreemption { count.withLock { $0 % 2 == 0 } } }
            var value: Int { count.withLock { $0 } }
        }
    }
}

extension RuntimeTests {
    @Suite("Schedulers", .timeLimit(.minutes(1)))
    struct SchedulerTests {
        @Test("Idle schedulers are given processes that may move, and each of them runs to its end once")
        func sharesWork() async throws {
            try await withRuntime(schedulers: 3) { runtime in
                let ran = Counter()
                try await runtime.value { context in
                    for _ in 0..<Build.rounds(3_000) {
                        context.spawn { _ in
                            work(3_000)
                            ran.add()
                        }
                    }
                }
                await runtime.waitForProcessCount(0)
                #expect(ran.value == Build.rounds(3_000))
                #expect(runtime.statistics.map(\.exits).reduce(0, +) >= Build.rounds(3_000) + 1)
            }
        }

        @Test("Processes that talk, trap, sleep, link and are killed at random all end, and every reason arrives")
        func survivesEverythingAtOnce() async throws {
            var (random, seed) = SeededGenerator.fresh()
            try await withRuntime(schedulers: 3) { runtime in
                let ended = Counter()
                let count = Build.rounds(3_000)
                var pids: [Address<Int>] = []
                for number in 0..<count {
                    let kind = Int.random(in: 0..<9, using: &random)
                    let friend = pids.randomElement(using: &random)
                    let process = runtime.spawn(receiving: Int.self) { context in
                        if let friend {
                            friend.send(number)
                            if number % 5 == 0 { context.link(friend.pid) }
                            if number % 7 == 0 { _ = context.monitor(friend.pid) }
                        }
                        switch kind {
                        case 0: _ = try context.receive(timeout: .milliseconds(number % 5))
                        case 1: trapNested(number % 5, TrapCause.allCases[number % TrapCause.allCases.count])
                        case 2: try context.sleep(.microseconds(number))
                        case 3: work(number * 10)
                        case 4: throw Refused()
                        case 5: _ = try context.receive(timeout: .milliseconds(3)) { $0 % 2 == 0 ? $0 : nil }
                        case 6:
                            context.trapExits()
                            _ = try context.receiveAny(timeout: .milliseconds(2))
                        case 7: context.spawnLink { _ in work(500) }
                        default: _ = recurse(to: number % 300, rounds: 3_000)
                        }
                    }
                    runtime.whenEnded(process.pid) { _, _ in ended.add() }
                    pids.append(process)
                    if number % 11 == 0, let victim = pids.randomElement(using: &random) {
                        runtime.exit(victim.pid, .kill)
                    }
                }
                await ended.wait(for: count)
                await runtime.waitForProcessCount(0)
            }
            _ = seed
        }

        @Test("A runtime that its owner forgets goes on until it is stopped")
        func outlivesItsOwner() async throws {
            let done = Counter()
            do {
                let runtime = try Runtime()
                runtime.spawn { [weak runtime] context in
                    try context.sleep(.milliseconds(3))
                    done.add(runtime == nil ? 100 : 1)
                }
            }
            await done.wait(for: 1)
        }
    }
}
