// SPDX-License-Identifier: Apache-2.0

import RuntimeHandlers
import Testing

@testable import RoostRuntime

extension RuntimeTests {
    /// `Scripts/simulate` runs many more seeds, and with interleavings in the middle of the lock-free protocols.
    @Suite("Simulation", .timeLimit(.minutes(2)), .enabled(if: Build.isPlain))
    struct SimulationTests {
        private static let handlers = Simulation.Handlers(
            work: { work($0) }, trap: { TrapCause.index.trap() }, spin: { LoopShape.whileTrue.spin() })

        @Test("Every invariant holds in every run, and the runs do all that they are for")
        func invariantsHold() async {
            // In a program of its own: blocks and slots are counted over the whole program.
            await #expect(processExitsWith: .success) {
                let threads = try SimulatedThreads()
                var counts = Simulation.Counts()
                for seed in 0..<UInt64(150) {
                    let outcome = try Simulation.run(seed: seed, handlers: Self.handlers, threads: threads)
                    if let failure = outcome.failure {
                        fatalError("seed \(seed), step \(failure.step): \(failure.invariant): \(failure.text)")
                    }
                    counts = counts + outcome.counts
                }
                let all = [
                    counts.processes, counts.parcels, counts.received, counts.preemptions, counts.migrations,
                    counts.traps, counts.abandoned, counts.restarts, counts.downs,
                ]
                if !all.allSatisfy({ $0 > 0 }) { fatalError("\(counts)") }
            }
        }

        @Test("A seed is the same run every time; another seed is another run")
        func replays() throws {
            let threads = try SimulatedThreads()
            let seeds = (0..<40).map { UInt64($0) * 1_000_003 }
            func hashes() throws -> [UInt64] {
                try seeds.map { try Simulation.run(seed: $0, handlers: Self.handlers, threads: threads).hash }
            }
            _ = try hashes()  // what is made on first use is made in runs that do not count
            let first = try hashes()
            #expect(try hashes() == first)
            #expect(Set(first).count == seeds.count)
        }

        @Test("A broken invariant is named, with the seed, the step and the last events")
        func reportsFailures() async {
            // In a program of its own, as above.
            await #expect(processExitsWith: .success) {
                let handlers = Simulation.Handlers(
                    work: { _ in withoutPreemption { SchedulerRef.currentProcess?.charge(byteCount: 1) } }, trap: {},
                    spin: {})
                let threads = try SimulatedThreads()
                let failures = try (0..<UInt64(20)).compactMap {
                    try Simulation.run(seed: $0, handlers: handlers, threads: threads).failure
                }
                guard let failure = failures.first else { fatalError("nothing failed") }
                if failure.invariant != "R6" || failure.step == 0 || failure.events.isEmpty { fatalError("\(failure)") }
            }
        }

        @Test("Time is the simulation's while it runs, and the machine's before and after")
        func keepsItsOwnTime() throws {
            let before = MonotonicTime.now()
            let threads = try SimulatedThreads()
            var events: [String] = []
            _ = try Simulation.run(seed: 1, handlers: Self.handlers, threads: threads) { events.append($0) }
            #expect(MonotonicTime.now() >= before)
            let times = events.filter { $0.contains(": clock ") }
            #expect(!times.isEmpty)
            #expect(times.first?.contains(": clock 1") == true)
        }
    }
}
