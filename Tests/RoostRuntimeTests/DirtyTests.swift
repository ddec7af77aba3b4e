// SPDX-License-Identifier: Apache-2.0

import CRoost
import RuntimeHandlers
import Testing

@testable import RoostRuntime

extension RuntimeTests {
    @Suite("Dirty jobs", .timeLimit(.minutes(1)))
    struct DirtyTests {
        @Test("The closure runs on a thread of its pool and its value comes back", arguments: DirtyPool.allCases)
        func returnsValues(_ pool: DirtyPool) async throws {
            try await withRuntime { runtime in
                let (name, isScheduler) = try await runtime.value { process in
                    try process.dirty(pool) { (threadName(), SchedulerRef.current != nil) }
                }
                #expect(name == "roost-d\(pool.rawValue)-0")
                #expect(!isScheduler)
                let statistics = runtime.dirtyStatistics(of: pool)
                #expect(statistics.threadCount == 1)
                await runtime.wait(pool) { $0.doneCount == 1 && $0.runningCount == 0 && $0.queuedCount == 0 }
            }
        }

        @Test("What the closure throws is thrown by the call, as it is")
        func throwsErrors() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let number = try await runtime.value { process in
                    do {
                        try process.dirty(.io) { throw Refused(number: 7) }
                        return 0
                    } catch let error as Refused { return error.number }
                }
                #expect(number == 7)
                let reason = await runtime.outcome { process in try process.dirty(.cpu) { throw Refused(number: 8) } }
                #expect(reason.refusal == Refused(number: 8))
            }
        }

        @Test("A closure that does not throw makes a call that throws ProcessExit only")
        func throwsTyped() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let sum = try await runtime.value { process in
                    do throws(ProcessExit) { return try process.dirty(.cpu) { 1 + opaque(2) } } catch { return -1 }
                }
                #expect(sum == 3)
            }
        }

        @Test("What cannot be shared goes to the job and comes back")
        func sendsValues() async throws {
            final class Unshared { var numbers: [Int] = [] }
            try await withRuntime(schedulers: 1) { runtime in
                let numbers = try await runtime.value { process in
                    let unshared = Unshared()
                    unshared.numbers = [1]
                    let back = try process.dirty(.cpu) {
                        let fresh = Unshared()
                        fresh.numbers = unshared.numbers + [2]
                        return fresh
                    }
                    back.numbers.append(3)
                    return back.numbers
                }
                #expect(numbers == [1, 2, 3])
            }
        }

        // MARK: Traps

        @Test("A trap of any kind ends the process that waits, and it alone", arguments: TrapCause.allCases)
        func containsEveryTrap(_ cause: TrapCause) async throws {
            try await withRuntime(schedulers: 1, { $0.dirtyCPUThreadCount = 1 }) { runtime in
                let destroyed = Counter()
                let reason = await runtime.outcome { process in
                    let payload = Payload(1, destroyed)
                    try process.dirty(.cpu) { cause.trap() }
                    Issue.record("went on with \(payload.number)")
                }
                let trap = try #require(reason.trap)
                #expect(trap.backtrace.contains { $0.contains(cause.functionName) }, "\(trap.backtrace)")
                if cause == .fatal { #expect(trap.message?.contains("the cause of it") == true) }
                #expect(runtime.trapCount == 1)
                #expect(destroyed.value == 1, "the process's own frames unwind")
                try await runtime.checkFirstThread(of: .cpu)
                #expect(runtime.dirtyStatistics(of: .cpu).trapCount == 1)
            }
        }

        @Test("Recursion that uses up the thread's stack is a trap as any other")
        func containsStackOverflow() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                for _ in 0..<3 {
                    let reason = await runtime.outcome { process in
                        _ = try process.dirty(.cpu) { recurseForEver(0) }
                    }
                    #expect(reason.trap?.kind == .stackOverflow)
                }
            }
        }

        @Test("A process that catches the end that a trap brings meets it again, and ends for it")
        func trapIsFinal() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let reason = await runtime.outcome { process in
                    process.trapExits()
                    try? process.dirty(.io) { TrapCause.index.trap() }
                    #expect(throws: ProcessExit.self) { try process.dirty(.io) {} }
                }
                #expect(reason.trap != nil)
            }
        }

        @Test("Destructors of what the job captured and returned are contained where they run")
        func containsDestructors() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let captured = await runtime.outcome { process in
                    try process.dirty(.cpu) { [object = TrapsInDeinit(.index)] in _ = object }
                }
                #expect(captured.trap != nil)
                let returned = await runtime.outcome { process in
                    _ = try process.dirty(.cpu) { TrapsInDeinit(.none) }
                }
                #expect(returned.trap != nil)
                #expect(runtime.trapCount == 2)
            }
        }

        // MARK: No context

        @Test("A job that waits as a process does is told so, and ends its process only")
        func hasNoContext() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let bodies: [@Sendable () throws -> Void] = [
                    { try ProcessContext<Never>().dirty(.cpu) {} },
                    { try ProcessContext<Never>().await {} },
                    { try ProcessContext<Never>().sleep(.zero) },
                    { try ProcessContext<Never>().yield() },
                    { _ = try ProcessContext<Int>().receive() },
                    { _ = try ProcessContext<Int>().receive(timeout: .zero) },
                    { _ = ProcessContext<Int>().pid },
                ]
                for body in bodies {
                    let reason = await runtime.outcome { process in try process.dirty(.io) { try body() } }
                    #expect(reason.trap?.message?.contains("in a dirty job") == true, "\(reason)")
                }
                #expect(runtime.trapCount == bodies.count)
            }
        }

        @Test("A job sends messages and starts processes, as any thread does")
        func sendsAndSpawns() async throws {
            try await withRuntime { runtime in
                let numbers = try await runtime.value { process in
                    let address = process.spawn(receiving: Address<Int>.self) { child in
                        try child.receive().send(2)
                    }
                    let collector = Counter()
                    let (inner, reference) = process.spawnMonitor(receiving: Int.self) { child in
                        for _ in 0..<3 { collector.add(try child.receive()) }
                    }
                    try process.dirty(.cpu) { [runtime = process.runtime] in
                        inner.send(1)
                        address.send(inner)
                        runtime.spawn { _ in inner.send(4) }
                    }
                    _ = try process.receiveDown(of: reference)
                    return collector.value
                }
                #expect(numbers == 7)
            }
        }

        @Test("A message that a job sends to nobody is destroyed as the job")
        func containsUndelivered() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let reason = await runtime.outcome { process in
                    let (gone, reference) = process.spawnMonitor(receiving: TrapsInDeinit.self) { _ in }
                    let pid = gone.pid
                    _ = try process.receiveDown(of: reference)
                    try process.dirty(.io) {
                        // As a sender that looked the process up before it ended.
                        withoutPreemption {
                            let node = NodeMaker.make(TrapsInDeinit(.none), kind: .message, for: pid, at: .now()) {
                                External.allocate(byteCount: $0)
                            }
                            Discarded.shared.withLock { $0 = UInt(bitPattern: node.header) }
                        }
                        Discarded.destroy()
                    }
                }
                #expect(reason.trap != nil)
            }
        }

        // MARK: Meanwhile

        @Test("Messages that come meanwhile stay in order; monitors, timers and links work")
        func staysAProcess() async throws {
            try await withRuntime { runtime in
                let barrier = Barrier()
                let received = try await runtime.value { process in
                    let numbers = Locked<[Int]>([])
                    let (address, reference) = process.spawnMonitor(receiving: Int.self) { child in
                        child.address.send(0)
                        _ = child.send(1_000, to: child.address, after: .milliseconds(1))
                        let (pid, ended) = child.spawnMonitor { _ in }
                        try child.dirty(.io) { barrier.block() }
                        _ = try child.receiveDown(of: ended)
                        #expect(pid != child.pid)
                        while true {
                            let number = try child.receive()
                            numbers.withLock { $0.append(number) }
                            if numbers.withLock({ $0.count }) == 102 { return }
                        }
                    }
                    for number in 1...100 { address.send(number) }
                    while barrier.arrived.value == 0 { try process.yield() }
                    barrier.release()
                    _ = try process.receiveDown(of: reference)
                    return numbers.withLock { $0 }
                }
                #expect(received.filter { $0 != 1_000 && $0 != 0 } == Array(1...100))
                #expect(received.contains(1_000) && received.contains(0))
                let linked = Barrier()
                let reason = await runtime.outcome { process in
                    process.spawnLink { other in
                        while linked.arrived.value == 0 { try other.yield() }
                        throw Refused(number: 3)
                    }
                    try process.dirty(.io) { linked.block() }
                }
                #expect(reason.refusal == Refused(number: 3))
                linked.release()
            }
        }

        @Test("A thousand processes go through both pools at once")
        func manyAtOnce() async throws {
            try await withRuntime(
                schedulers: 2,
                {
                    $0.dirtyCPUThreadCount = 3
                    $0.dirtyIOThreadCount = 5
                }
            ) { runtime in
                let sum = Counter()
                let count = Build.rounds(1_000)
                for number in 0..<count {
                    runtime.spawn { process in
                        let doubled = try process.dirty(number % 2 == 0 ? .cpu : .io) { number * 2 }
                        sum.add(try process.dirty(number % 3 == 0 ? .cpu : .io) { doubled + 1 })
                    }
                }
                await runtime.waitForProcessCount(0)
                #expect(sum.value == count * (count - 1) + count)
                let all = DirtyPool.allCases.map { runtime.dirtyStatistics(of: $0) }
                #expect(all[0].threadCount <= 3 && all[1].threadCount <= 5)
                for pool in DirtyPool.allCases { await runtime.wait(pool) { $0.runningCount == 0 } }
                #expect(DirtyPool.allCases.map { runtime.dirtyStatistics(of: $0).doneCount }.reduce(0, +) == 2 * count)
            }
        }

        @Test("Jobs begin in the order they came, and their waiting is counted")
        func keepsOrder() async throws {
            try await withRuntime(schedulers: 1, { $0.dirtyCPUThreadCount = 1 }) { runtime in
                let barrier = Barrier()
                runtime.spawn { process in try process.dirty(.cpu) { barrier.block() } }
                await barrier.arrived.wait(for: 1)
                let order = Locked<[Int]>([])
                for number in 0..<20 {
                    runtime.spawn { process in try process.dirty(.cpu) { order.withLock { $0.append(number) } } }
                    await runtime.wait(.cpu) { $0.queuedCount == number + 1 }
                }
                barrier.release()
                await runtime.waitForProcessCount(0)
                #expect(order.withLock { $0 } == Array(0..<20))
                let statistics = runtime.dirtyStatistics(of: .cpu)
                #expect(statistics.waitingTimeMax > .zero && statistics.waitingTime >= statistics.waitingTimeMax)
            }
        }

        @Test("Stopping the runtime does not wait for a thread that is stuck in native code")
        func stopsBesideAStuckThread() async throws {
            let barrier = Barrier()
            let finished = Counter()
            try await withRuntime(schedulers: 1) { runtime in
                runtime.spawn { process in
                    try process.dirty(.io) {
                        barrier.block()
                        finished.add()
                    }
                }
                _ = try await runtime.value { try $0.dirty(.cpu) { 1 } }  // an idle thread, which is joined
                await barrier.arrived.wait(for: 1)
            }
            #expect(finished.value == 0)
            barrier.release()
            await finished.wait(for: 1)
        }

        @Test("The counts of threads and the grace are checked")
        func checksConfiguration() {
            var configuration = RuntimeConfiguration()
            configuration.dirtyCPUThreadCount = 65
            configuration.dirtyIOThreadCount = 0
            configuration.dirtyCancellationGrace = .zero
            #expect {
                try configuration.validate()
            } throws: { error in
                guard case .invalidConfiguration(let problems)? = error as? RuntimeError else { return false }
                return problems == [
                    "dirty-cpu-threads is 65; use 0...64", "dirty-io-threads is 0; use 1...1024",
                    "dirty-cancellation-grace is 0.0 seconds; use 1 ms...1 h",
                ]
            }
        }
    }
}

/// A node on its way to nobody.
private enum Discarded {
    static let shared = Locked<UInt>(0)

    static func destroy() {
        let address = shared.withLock { $0 }
        roost_enter()
        External.discard(Node(UnsafeMutablePointer(bitPattern: address)!))
        roost_leave()
    }
}
