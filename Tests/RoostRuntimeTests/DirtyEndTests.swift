// SPDX-License-Identifier: Apache-2.0

import RuntimeHandlers
import Testing

@testable import RoostRuntime

extension RuntimeTests {
    @Suite("A process that ends, or waits no more, while its dirty job is open", .timeLimit(.minutes(1)))
    struct DirtyEndTests {
        @Test("Killed while its job waits for a thread: the job never runs, what it captured is destroyed")
        func killedWhileQueued() async throws {
            try await withRuntime(schedulers: 1, { $0.dirtyIOThreadCount = 1 }) { runtime in
                let (barrier, ran, destroyed, box) = (Barrier(), Counter(), Counter(), PidBox())
                runtime.spawn { process in try process.dirty(.io) { barrier.block() } }
                await barrier.arrived.wait(for: 1)
                async let reason = runtime.outcome { process in
                    box.put(process.pid)
                    try process.dirty(.io) { [payload = Payload(1, destroyed)] in ran.add(payload.number) }
                }
                await runtime.wait(.io) { $0.queuedCount == 1 }
                runtime.exit(await box.take(), .kill)
                #expect(await reason.isKilled)
                #expect(destroyed.value == 1)
                #expect(runtime.dirtyStatistics(of: .io).droppedCount == 1)
                #expect(runtime.dirtyStatistics(of: .io).queuedCount == 0)
                barrier.release()
                try await runtime.checkFirstThread(of: .io)
                #expect(ran.value == 0)
            }
        }

        @Test("Killed while its job runs: it ends at once; the job learns of it, and its result is destroyed")
        func killedWhileRunning() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let (barrier, destroyed, cancelled, box) = (Barrier(), Counter(), Counter(), PidBox())
                async let reason = runtime.outcome { process in
                    box.put(process.pid)
                    _ = try process.dirty(.cpu) {
                        if !Dirty.isCancelled { barrier.block() }
                        if Dirty.isCancelled { cancelled.add() }
                        do { try Dirty.checkCancellation() } catch { cancelled.add() }
                        return Payload(1, destroyed)
                    }
                }
                await barrier.arrived.wait(for: 1)
                runtime.exit(await box.take(), .kill)
                #expect(await reason.isKilled)
                #expect(destroyed.value == 0)
                barrier.release()
                await destroyed.wait(for: 1)
                #expect(cancelled.value == 2)
                #expect(runtime.abandonedCount == 0)
            }
        }

        @Test("A destructor of a result that nobody waits for is contained", arguments: [TrapCause.index, .cast])
        func orphanTraps(_ cause: TrapCause) async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let (barrier, box) = (Barrier(), PidBox())
                async let reason = runtime.outcome { process in
                    box.put(process.pid)
                    _ = try process.dirty(.cpu) {
                        barrier.block()
                        return TrapsInDeinit(cause)
                    }
                }
                await barrier.arrived.wait(for: 1)
                runtime.exit(await box.take(), .kill)
                #expect(await reason.isKilled)
                barrier.release()
                while runtime.trapCount != 1 { await Task.yield() }
                try await runtime.checkFirstThread(of: .cpu)
            }
        }

        @Test("However a kill and the end of a job race, everything is destroyed once")
        func killsRace() async throws {
            var (random, seed) = SeededGenerator.fresh()
            try await withRuntime(schedulers: 2) { runtime in
                let (made, destroyed) = (Counter(), Counter())
                let count = Build.rounds(2_000)
                for round in 0..<count {
                    let spins = Int.random(in: 0..<20_000, using: &random)
                    let pid = runtime.spawn { process in
                        for _ in 0..<3 {
                            made.add(2)
                            let captured = Payload(1, destroyed)
                            let result = try process.dirty(round % 2 == 0 ? .io : .cpu) { [captured] in
                                work(captured.number * 100)
                                return Payload(2, destroyed)
                            }
                            use(result)
                        }
                    }
                    work(spins)
                    runtime.exit(pid, .kill)
                }
                await runtime.waitForProcessCount(0)
                for pool in DirtyPool.allCases { await runtime.wait(pool) { $0.runningCount == 0 } }
                let dropped = DirtyPool.allCases.map { runtime.dirtyStatistics(of: $0).droppedCount }.reduce(0, +)
                // A job that was dropped made no result; one that was never submitted captured nothing that lives.
                let done = DirtyPool.allCases.map { runtime.dirtyStatistics(of: $0).doneCount }.reduce(0, +)
                #expect(runtime.abandonedCount == 0 && runtime.trapCount == 0, "seed \(seed)")
                let submitted = Int(dropped + done)
                #expect(destroyed.value == made.value / 2 + Int(done), "seed \(seed), \(submitted) submitted")
            }
        }

        @Test("A loop that nobody waits for is abandoned after its grace, and its thread goes on", arguments: [1, 20])
        func abandons(milliseconds: Int) async throws {
            try await withRuntime(
                schedulers: 1,
                {
                    $0.dirtyCPUThreadCount = 1
                    $0.dirtyCancellationGrace = .milliseconds(milliseconds)
                }
            ) { runtime in
                let (running, box) = (Counter(), PidBox())
                async let reason = runtime.outcome { process in
                    box.put(process.pid)
                    try process.dirty(.cpu) {
                        running.add()
                        LoopShape.stringBuilding.spin()
                    }
                }
                await running.wait(for: 1)
                runtime.exit(await box.take(), .kill)
                #expect(await reason.isKilled)
                try await runtime.checkFirstThread(of: .cpu)
                #expect(runtime.abandonedCount == 1)
                #expect(runtime.dirtyStatistics(of: .cpu).abandonedCount == 1)
            }
        }

        @Test("Code that asks whether it is cancelled ends by itself, with nothing lost")
        func cooperates() async throws {
            try await withRuntime(schedulers: 1, { $0.dirtyCPUThreadCount = 1 }) { runtime in
                let (running, destroyed, box) = (Counter(), Counter(), PidBox())
                async let reason = runtime.outcome { process in
                    box.put(process.pid)
                    try process.dirty(.cpu) { [payload = Payload(1, destroyed)] in
                        running.add(payload.number)
                        while true {
                            work(100)
                            try Dirty.checkCancellation()
                        }
                    }
                }
                await running.wait(for: 1)
                runtime.exit(await box.take(), .shutdown)
                #expect(await reason.isShutdown)
                await destroyed.wait(for: 1)
                await runtime.wait(.cpu) { $0.doneCount == 1 }
                #expect(runtime.abandonedCount == 0)
            }
        }

        @Test("A job that takes too long is given up, whether it runs or not")
        func timesOut() async throws {
            try await withRuntime(schedulers: 1, { $0.dirtyIOThreadCount = 1 }) { runtime in
                let (barrier, destroyed, ran) = (Barrier(), Counter(), Counter())
                let errors = try await runtime.value { process in
                    var errors: [DirtyError] = []
                    while barrier.arrived.value == 0 {  // on a busy machine the first may not begin in time
                        do throws(any Error) {
                            _ = try process.dirty(.io, timeout: .milliseconds(5)) {
                                barrier.block()
                                return Payload(1, destroyed)
                            }
                        } catch { errors = [try #require(error as? DirtyError)] }
                    }
                    do throws(any Error) {
                        try process.dirty(.io, timeout: .milliseconds(5)) { [payload = Payload(2, destroyed)] in
                            ran.add(payload.number)
                        }
                    } catch { errors.append(try #require(error as? DirtyError)) }
                    return errors
                }
                #expect(errors == [.timedOut(.milliseconds(5)), .timedOut(.milliseconds(5))])
                #expect(destroyed.value == 1)
                barrier.release()
                await destroyed.wait(for: 2)
                let number = try await runtime.value { try $0.dirty(.io, timeout: .seconds(50)) { 5 } }
                #expect(number == 5)
                #expect(ran.value == 0)
            }
        }

        // MARK: Memory

        @Test("What a job allocates is the process's, until it is freed", .enabled(if: Build.isPlain))
        func chargesMemory() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let counts = try await runtime.value { process in
                    // The Swift runtime allocates for types that it has not met before.
                    for _ in 0..<2 {
                        let bytes = try process.dirty(.cpu) { [UInt8](repeating: 1, count: 1 << 20) }
                        _ = try process.dirty(.cpu) { [bytes] in bytes.count }
                    }
                    let before = Inspection.allocatedByteCount()
                    var bytes = try process.dirty(.cpu) { [UInt8](repeating: 1, count: 1 << 20) }
                    let with = Inspection.allocatedByteCount()
                    let sum = try process.dirty(.cpu) { [bytes] in bytes.count }
                    bytes = []
                    let after = Inspection.allocatedByteCount()
                    return (before, with, after, sum)
                }
                // The thread may still hold the shells of the last jobs.
                #expect(counts.1 - counts.0 > 1 << 20 - 4_096)
                #expect(counts.1 - counts.0 < 1 << 20 + 4_096)
                #expect(abs(counts.2 - counts.0) < 4_096)
                #expect(counts.3 == 1 << 20)
            }
        }

        @Test(
            "A job that takes its process over the heap limit ends it, however it does", .enabled(if: Build.isPlain),
            arguments: 0..<4)
        func limitsMemory(_ kind: Int) async throws {
            try await withRuntime(schedulers: 1, { $0.dirtyCPUThreadCount = 1 }) { runtime in
                let reason = await runtime.outcome(options: ProcessOptions(heapByteCountMax: 1 << 20)) { process in
                    switch kind {
                    case 0: try process.dirty(.cpu) { hogBySmallObjects() }  // at a reduction point
                    case 1: try process.dirty(.cpu) { hogByAppending() }
                    case 2: try process.dirty(.cpu) { hogAtOnce(8 << 20) }  // refused
                    default:  // at its end: this target has no reduction points
                        let pieces = try process.dirty(.cpu) { (0..<30).map { [UInt8](repeating: $0, count: 50_000) } }
                        Issue.record("went on with \(pieces.count)")
                    }
                }
                #expect(reason.isHeapLimit, "\(reason)")
                try await runtime.checkFirstThread(of: .cpu)
            }
        }
    }
}

@inline(never) private func use(_ payload: Payload) { if payload.number < 0 { Issue.record("cannot be") } }
