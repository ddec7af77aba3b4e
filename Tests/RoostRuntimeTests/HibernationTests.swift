// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostRuntime

extension RuntimeTests {
    @Suite("Hibernation", .timeLimit(.minutes(1)))
    struct HibernationTests {
        /// Where a hibernating process is in its life.
        private func waitUntilHibernating(_ runtime: Runtime, _ pid: Pid) async throws -> ProcessInformation {
            while true {
                let found = try #require(await runtime.information(of: pid, timeout: .seconds(50)))
                if found.status == .waiting(in: .hibernation) { return found }
                await Task.yield()
            }
        }

        @Test("A hibernated process keeps nothing of its stack, and goes on with the message it is woken by")
        func goesOn() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let (released, sum) = (Counter(), Counter())
                let address = runtime.spawn(receiving: Int.self) { process in
                    let held = Payload(1, released)
                    sum.add(try process.receive())
                    process.setLabel("sleeper")
                    try withExtendedLifetime(held) {
                        try process.hibernate { woken in
                            sum.add(10 * (try woken.receive()))
                            #expect(woken.label == "sleeper")
                        }
                    }
                }
                address.send(1)
                let found = try await waitUntilHibernating(runtime, address.pid)
                #expect(released.value == 1, "what its frames held is released")
                #expect(found.stackByteCount == 0 && found.backtrace.functions.isEmpty)
                let least = MemoryLayout<ProcessControlBlock>.stride + ProcessExtras.byteCount
                #expect(found.heapByteCount - found.allocatedByteCount <= least)
                #expect(sum.value == 1)
                address.send(2)
                await runtime.waitForProcessCount(0)
                #expect(sum.value == 21)
            }
        }

        @Test("A message that waits already wakes it at once; one that it did not receive is kept")
        func wakesAtOnce() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let seen = try await runtime.value { process in
                    let seen = Locked<[Int]>([])
                    let (address, reference) = process.spawnMonitor(receiving: Int.self) { other in
                        let three = try other.receive(matching: { $0 == 3 ? $0 : nil })
                        seen.withLock { $0.append(three) }
                        try other.hibernate { woken in
                            for _ in 0..<2 {
                                let next = try woken.receive()
                                seen.withLock { $0.append(next) }
                            }
                        }
                    }
                    for number in 1...3 { address.send(number) }
                    _ = try process.receiveDown(of: reference)
                    return seen.withLock { $0 }
                }
                #expect(seen == [3, 1, 2])
            }
        }

        @Test("Links, monitors, labels and questions do not wake it; an exit ends it without running it")
        func endsUnawakened() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let (released, woken) = (Counter(), Counter())
                let captured = Payload(1, released)
                let pid = runtime.spawn(receiving: Int.self) { [captured] process in
                    try process.hibernate { _ in
                        woken.add()
                        _ = captured
                    }
                }.pid
                for _ in 0..<5 { _ = try await waitUntilHibernating(runtime, pid) }
                async let reason = runtime.exitReason(of: pid)
                _ = try await waitUntilHibernating(runtime, pid)
                runtime.exit(pid, .shutdown)
                let end = await reason
                #expect(end.isShutdown || end.isNoProcess)
                await runtime.waitForProcessCount(0)
                #expect(woken.value == 0)
            }
        }

        @Test("It hibernates over and over, and traps and throws as any process does when it is awake")
        func repeats() async throws {
            try await withRuntime(schedulers: 2) { runtime in
                for trap in [false, true] {
                    let address = runtime.spawn(receiving: Int.self) { process in
                        try process.hibernate { try countDown($0, trap: trap) }
                    }
                    async let reason = runtime.exitReason(of: address.pid)
                    for number in (0...1_000).reversed() { address.send(number) }
                    let end = await reason
                    if trap {
                        #expect(end.trap != nil || end.isNoProcess, "\(end)")
                    } else {
                        #expect(end.refusal == Refused(number: 7) || end.isNoProcess, "\(end)")
                    }
                }
            }
        }

        @Test("Code that catches the error goes on, and ends as it ends")
        func isCaught() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let woken = Counter()
                let reason = await runtime.outcome { process in
                    do { try process.hibernate { _ in woken.add() } } catch {
                        #expect("\(error)".contains("let this error pass"))
                    }
                    throw Refused(number: 3)
                }
                #expect(reason.refusal == Refused(number: 3))
                #expect(woken.value == 0)
            }
        }
    }
}

private func countDown(_ process: borrowing ProcessContext<Int>, trap: Bool) throws {
    if try process.receive() == 0 {
        if trap { fatalError("woken up") }
        throw Refused(number: 7)
    }
    try process.hibernate { try countDown($0, trap: trap) }
}
