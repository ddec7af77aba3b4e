// SPDX-License-Identifier: Apache-2.0

import RoostRuntime
import RuntimeHandlers
import Testing

extension RuntimeTests {
    @Suite("A process that loops costs the others nothing", .timeLimit(.minutes(1)))
    struct PreemptionTests {
        @Test(
            "A loop of any shape lets the other processes of its scheduler run, and is ended by a kill",
            arguments: LoopShape.allCases)
        func preemptsEveryLoop(_ shape: LoopShape) async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let started = Counter()
                let spinner = runtime.spawn { _ in
                    started.add()
                    shape.spin()
                }
                await started.wait(for: 1)
                let rounds = try await runtime.value { context in
                    for _ in 0..<200 { try context.yield() }
                    return 200
                }
                #expect(rounds == 200)
                async let reason = runtime.exitReason(of: spinner)
                // The monitor is in the mailbox before the kill: both are sent from outside, in this order.
                let ended = Counter()
                runtime.whenEnded(spinner) { _, _ in ended.add() }
                runtime.exit(spinner, .kill)
                await ended.wait(for: 1)
                let end = await reason
                #expect(end.isKilled || end.isNoProcess)
                #expect(runtime.statistics[0].preemptions > 0)
            }
        }

        @Test("Many spinners on one scheduler all get their turns, and all end when killed")
        func sharesAmongSpinners() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let progress = (0..<20).map { _ in Counter() }
                let spinners = progress.map { counter in
                    runtime.spawn { _ in
                        while true {
                            work(5_000)
                            counter.add()
                        }
                    }
                }
                for counter in progress { await counter.wait(atLeast: 3) }
                for spinner in spinners { runtime.exit(spinner, .kill) }
                await runtime.waitForProcessCount(0)
                #expect(runtime.abandonedCount == 20)
            }
        }

        @Test("A process preempted deep in recursion goes on with its frames intact", arguments: [10, 100, 1_000])
        func keepsDeepStacks(_ depth: Int) async throws {
            try await withRuntime(schedulers: 1) { runtime in
                async let a = runtime.value { _ in recurse(to: depth, rounds: 100_000) }
                async let b = runtime.value { _ in recurse(to: depth / 2, rounds: 100_000) }
                async let c = runtime.value { _ in recurse(to: depth * 2, rounds: 100_000) }
                let sums = try await [a, b, c]
                #expect(sums == [depth, depth / 2, depth * 2].map { $0 * ($0 + 1) / 2 })
                #expect(runtime.statistics[0].preemptions > 100)
            }
        }

        @Test(
            "Hazard 9: the stack of a process preempted in deep recursion counts towards its heap limit",
            .enabled(if: Build.isPlain))
        func countsDeepStacks() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let options = ProcessOptions(heapByteCountMax: 100_000)
                let reason = await runtime.outcome(options: options) { _ in _ = recurse(to: 6_000, rounds: 1_000_000) }
                #expect(reason.isHeapLimit, "\(reason)")
            }
        }
    }
}
