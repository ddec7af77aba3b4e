// SPDX-License-Identifier: Apache-2.0

import Glibc
import RuntimeCheckedHandlers
import RuntimeHandlers

import Synchronization
import Testing

@testable import RoostRuntime

extension RuntimeTests {
    @Suite("A process that is stuck in native code holds up nobody else", .timeLimit(.minutes(1)))
    struct StuckTests {
        @Test("What waits for a silent pipe is freed by another process of its scheduler", arguments: [1, 5, 20])
        func freesBlockedProcesses(_ count: Int) async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let pipes = (0..<count).map { _ in Pipe() }
                let (blocked, returned) = (Counter(), Counter())
                for pipe in pipes {
                    runtime.spawn { _ in
                        blocked.add()
                        precondition(pipe.blockingRead(), "interrupted")
                        returned.add()
                    }
                }
                await blocked.wait(for: count)
                // Each of them holds a thread by now. This one is started where they are.
                runtime.spawn { _ in for pipe in pipes { pipe.write() } }
                await returned.wait(for: count)
                await runtime.waitForProcessCount(0)
                #expect(runtime.statistics[0].handOvers >= UInt64(count))
            }
        }

        @Test("What computes without reduction points is no hindrance either")
        func freesComputingProcess() async throws {
            let function = Locked<String?>(nil)
            let hear: @Sendable (RuntimeEvent) -> Void = { event in
                if case .longSchedule(let report) = event { function.withLock { $0 = $0 ?? report.function } }
            }
            try await withRuntime(schedulers: 1, { _ in }, onEvent: hear) { runtime in
                let flag = Flag()
                let started = Counter()
                let pid = runtime.spawn { _ in
                    started.add()
                    _ = computeWithoutReductions { flag.isSet }
                }
                await started.wait(for: 1)
                let ended = Counter()
                runtime.whenEnded(pid) { _, _ in ended.add() }
                runtime.spawn { _ in flag.set() }
                await ended.wait(for: 1)
                while function.withLock({ $0 == nil }) { await Task.yield() }
                #expect(function.withLock { $0 } != nil)
            }
        }

        @Test("It goes on where it was, with its messages in order, and what it sends arrives")
        func goesOn() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let pipe = Pipe()
                let received = Locked<[Int]>([])
                let end = Counter()
                let collector = runtime.spawn(receiving: Int.self) { context in
                    while true {
                        let number = try context.receive()
                        received.withLock { $0.append(number) }
                        if number == 10 { end.add() }
                    }
                }
                let stuck = runtime.spawn(receiving: Int.self) { context in
                    var sum = try context.receive()
                    precondition(pipe.blockingRead())
                    collector.send(sum)
                    for _ in 0..<100 { sum += try context.receive() }
                    collector.send(sum)
                    precondition(pipe.blockingRead())
                    collector.send(10)
                }
                stuck.send(1)
                runtime.spawn { _ in
                    for number in 0..<100 { stuck.send(number) }
                    pipe.write()
                    pipe.write()
                }
                await end.wait(for: 1)
                #expect(received.withLock { $0 } == [1, 4_951, 10])
            }
        }

        @Test("Of the processes that wait mid-code, those of its lane wait for it and the others go on")
        func sharesLanes() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let pipe = Pipe()
                let (ready, answered, blocked) = (Counter(), Counter(), Counter())
                let count = 3 * LaneSet.countMax
                let waiting = (0..<count).map { _ in
                    runtime.spawn(receiving: Bool.self) { context in
                        ready.add()
                        _ = try context.receive()
                        answered.add()
                    }
                }
                await ready.wait(for: count)
                runtime.spawn { _ in
                    blocked.add()
                    precondition(pipe.blockingRead())
                }
                await blocked.wait(for: 1)
                for address in waiting { address.send(true) }
                // At most the share of one lane has to wait; in builds with a stack for each process, nobody.
                await answered.wait(atLeast: count - count / LaneSet.countMax - 1)
                pipe.write()
                await answered.wait(for: count)
            }
        }

        @Test("Told to end meanwhile, it ends when it comes back; a trap there is contained")
        func endsAfterwards() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let (first, second) = (Pipe(), Pipe())
                let blocked = Counter()
                let killed = runtime.spawn { context in
                    blocked.add()
                    precondition(first.blockingRead())
                    try context.sleep(.seconds(1_000))
                }
                let trapping = runtime.spawn { _ in
                    blocked.add()
                    trapAfter { precondition(second.blockingRead()) }
                }
                await blocked.wait(for: 2)
                async let killReason = runtime.exitReason(of: killed)
                async let trapReason = runtime.exitReason(of: trapping)
                runtime.spawn { context in
                    context.exit(killed, .kill)
                    first.write()
                    second.write()
                }
                #expect(await killReason.isKilled)
                #expect(await trapReason.trap?.message?.contains("after native code") == true)
            }
        }

        @Test("The turn is reported once, with the process, its label and the function, and the return as well")
        func reportsLongTurns() async throws {
            let reports = Locked<[LongSchedule]>([])
            let rejoined = Counter()
            let stuckPid = Locked<Pid?>(nil)
            let hear: @Sendable (RuntimeEvent) -> Void = { event in
                switch event {
                case .longSchedule(let report): reports.withLock { $0.append(report) }
                case .rejoined(let pid, _): if stuckPid.withLock({ $0 }) == pid { rejoined.add() }
                default: break
                }
            }
            try await withRuntime(schedulers: 1, { _ in }, onEvent: hear) { runtime in
                let pipe = Pipe()
                let blocked = Counter()
                let pid = runtime.spawn { context in
                    context.setLabel("reads a pipe")
                    blocked.add()
                    readSomePipe(pipe)
                }
                stuckPid.withLock { $0 = pid }
                await blocked.wait(for: 1)
                while reports.withLock({ $0.allSatisfy { $0.process.pid != pid } }) { await Task.yield() }
                pipe.write()
                await rejoined.wait(for: 1)
                let own = reports.withLock { $0.filter { $0.process.pid == pid } }
                #expect(own.count == 1)
                #expect(own[0].isHandedOver && own[0].process.label == "reads a pipe")
                #expect(own[0].duration >= runtime.configuration.stuckSchedule)
                #expect(own[0].function?.contains("Pipe") == true, "\(String(describing: own[0].function))")
                #expect(runtime.statistics[0].longSchedules >= 1)
            }
        }

        @Test("Where there are no more spare threads that is said, once, and all goes on when one comes back")
        func runsOutOfThreads() async throws {
            let lacks = Counter()
            let hear: @Sendable (RuntimeEvent) -> Void = { if case .noSpareThread(2) = $0 { lacks.add() } }
            try await withRuntime(schedulers: 1, { $0.spareThreadCountMax = 2 }, onEvent: hear) { runtime in
                let pipes = (0..<5).map { _ in Pipe() }
                let returned = Counter()
                for pipe in pipes {
                    runtime.spawn { _ in
                        precondition(pipe.blockingRead())
                        returned.add()
                    }
                }
                await lacks.wait(for: 1)
                for pipe in pipes { pipe.write() }
                await returned.wait(for: 5)
                #expect(lacks.value == 1)
            }
        }

        @Test("More than there are lanes: the last ones hold their scheduler up, and all go on in the end")
        func runsOutOfLanes() async throws {
            let lacks = Counter()
            let hear: @Sendable (RuntimeEvent) -> Void = { if case .noSpareThread = $0 { lacks.add() } }
            try await withRuntime(
                schedulers: 1,
                {
                    $0.spareThreadCountMax = 100
                    $0.stuckSchedule = .milliseconds(2)
                }, onEvent: hear
            ) { runtime in
                let pipes = (0..<LaneSet.countMax + 8).map { _ in Pipe() }
                let returned = Counter()
                for pipe in pipes {
                    runtime.spawn { _ in
                        precondition(pipe.blockingRead())
                        returned.add()
                    }
                }
                await lacks.wait(for: 1)
                for pipe in pipes { pipe.write() }
                await returned.wait(for: pipes.count)
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("A runtime stops although one of its threads never comes back")
        func stopsNevertheless() async throws {
            let pipe = Pipe()
            try await withRuntime(schedulers: 1) { runtime in
                let (blocked, others) = (Counter(), Counter())
                runtime.spawn { _ in
                    blocked.add()
                    _ = pipe.blockingRead()
                }
                await blocked.wait(for: 1)
                runtime.spawn { _ in others.add() }
                await others.wait(for: 1)
            }
            pipe.write()
        }

        @Test("Many that block now and then, on every scheduler, lose no message", arguments: [1, 2, 3])
        func survivesChurn(_ seed: UInt64) async throws {
            try await withRuntime(schedulers: 2) {
                $0.stuckSchedule = .milliseconds(1)
                $0.longSchedule = .microseconds(100)
            } _: { runtime in
                let (received, count, rounds) = (Counter(), 60, 40)
                let sink = runtime.spawn(receiving: Int.self) { context in
                    while true { received.add(try context.receive()) }
                }
                for index in 0..<count {
                    runtime.spawn(receiving: Int.self) { context in
                        var random = SeededGenerator(seed: seed &* 1_000 &+ UInt64(index))
                        for round in 0..<rounds {
                            switch random.next() % 4 {
                            case 0: nap(microseconds: random.next() % 2_500)
                            case 1: _ = recurse(to: 20, rounds: 20)
                            case 2: try context.sleep(.microseconds(random.next() % 500))
                            default: try context.yield()
                            }
                            context.address.send(round)
                            sink.send(try context.receive() == round ? 1 : 1_000_000)
                        }
                    }
                }
                await received.wait(for: count * rounds)
                #expect(runtime.statistics.reduce(0) { $0 + $1.handOvers } > 0)
            }
        }
    }
}

private final class Flag: Sendable {
    private let value = Atomic<Bool>(false)
    var isSet: Bool { value.load(ordering: .relaxed) }
    func set() { value.store(true, ordering: .relaxed) }
}

@inline(never) private func readSomePipe(_ pipe: Pipe) { precondition(pipe.blockingRead(), "interrupted") }

/// nanosleep(2), again where it was interrupted: as native code waits for something.
private func nap(microseconds: UInt64) {
    var time = timespec(tv_sec: 0, tv_nsec: Int(microseconds) * 1_000)
    var left = timespec()
    while nanosleep(&time, &left) != 0 { time = left }
}
