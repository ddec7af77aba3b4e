// SPDX-License-Identifier: Apache-2.0

import Dispatch
import RuntimeHandlers
import Testing

@testable import RoostRuntime

extension RuntimeTests {
    @Suite("Inspection", .timeLimit(.minutes(1)))
    struct InspectionTests {
        @Test("A control block is no larger than a parked process of 512 bytes allows")
        func blockSize() { #expect(MemoryLayout<ProcessControlBlock>.stride <= 184) }

        /// Asks until the process is as it should be: it takes a while to get there.
        private func information(
            _ runtime: Runtime, _ pid: Pid, when condition: (ProcessInformation) -> Bool
        ) async throws -> ProcessInformation {
            while true {
                let information = try #require(await runtime.information(of: pid, timeout: .seconds(50)))
                if condition(information) { return information }
                await Task.yield()
            }
        }

        @Test("A spinning process is sampled at a reduction point: its backtrace names the loop")
        func inspectsSpinner() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let pid = runtime.spawn { _ in LoopShape.whileTrue.spin() }
                let found = try await information(runtime, pid) { !$0.backtrace.functions.isEmpty }
                #expect(found.status == .runnable)
                #expect(found.hasAnswered && !found.isStuck)
                #expect(found.currentFunction?.contains("spinWhileTrue") == true, "\(found.backtrace)")
                #expect(found.backtrace.functions.contains { $0.contains("LoopShape.spin") }, "\(found.backtrace)")
                // Under a sanitizer the walk ends at the entry of the process's own stack.
                let isNamed = found.backtrace.initialFunction?.contains("inspectsSpinner") == true
                #expect(isNamed || !Build.isPlain, "\(found.backtrace)")
                #expect(found.reductions >= 2_000)
                #expect(found.stackByteCount > 0 || !Build.isPlain)
            }
        }

        @Test("A process parked in receive is described: its function, the waiting call, what it has")
        func inspectsParked() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let (pid, parent, peer) = try await runtime.value { process in
                    let peer = process.spawn { other in try other.sleep(.seconds(500)) }
                    let options = ProcessOptions(
                        heapByteCountMax: 1 << 20, mailboxCountMax: 70, priority: .high, label: "the parked one")
                    let (address, reference) = process.spawnMonitor(receiving: Int.self, options: options) { other in
                        other.trapExits()
                        other.link(peer)
                        _ = other.monitor(peer)
                        try waitForSeven(other)
                    }
                    for number in 0..<3 { address.send(number) }
                    process.demonitor(reference)
                    _ = process.monitor(address.pid)
                    return (address.pid, process.pid, peer)
                }
                let found = try await information(runtime, pid) {
                    $0.messageCount == 3 && $0.links == [peer] && $0.monitoredBy.isEmpty
                }
                #expect(found.status == .waiting(in: .receive))
                #expect(found.currentFunction?.contains("waitForSeven") == true, "\(found.backtrace)")
                #expect(found.backtrace.functions[0].contains("ProcessContext"), "\(found.backtrace)")
                #expect(found.label == "the parked one")
                #expect(found.priority == .high && found.trapsExits && !found.isPinned)
                #expect(found.heapByteCountMax == 1 << 20 && found.mailboxCountMax == 70)
                #expect(found.monitors == [peer] && found.otherObserverCount == 0)
                #expect(found.parent == parent && found.pendingExit == nil && found.schedulerIndex == 0)
                #expect(found.heapByteCount > MemoryLayout<ProcessControlBlock>.stride)
                #expect(found.oldestMessageAge != nil)
                #expect(found.age >= .zero)
                let sleeping = try await information(runtime, peer) { $0.status == .waiting(in: .sleep) }
                #expect(sleeping.backtrace.functions[0].contains("sleep"), "\(sleeping.backtrace)")
                #expect(sleeping.monitoredBy == [pid] && sleeping.links == [pid] && sleeping.oldestMessageAge == nil)
            }
        }

        @Test("A dead process is nil, also where it dies with the question in its mailbox")
        func inspectsDead() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let pid = runtime.spawn { _ in }
                _ = await runtime.exitReason(of: pid)
                #expect(await runtime.information(of: pid) == nil)
                let inMailbox = try await runtime.value { process in
                    let answers = Counter()
                    let (doomed, reference) = process.spawnMonitor { _ in }
                    runtime.inspect(doomed, timeout: .seconds(500)) { if $0 != nil { answers.add() } }
                    _ = try process.receiveDown(of: reference)
                    runtime.inspect(doomed) { if $0 == nil { answers.add() } }
                    #expect(try process.information(of: doomed) == nil)
                    return answers.value
                }
                #expect(inMailbox == 2)
            }
        }

        @Test("A process asks about another, and about itself")
        func asksFromProcess() async throws {
            try await withRuntime(schedulers: 2) { runtime in
                let other = runtime.spawn(receiving: Int.self) { other in _ = try other.receive() }
                try await runtime.value { process in
                    process.setLabel("asking")
                    let found = try #require(try process.information(of: other.pid, timeout: .seconds(50)))
                    #expect(found.pid == other.pid && found.hasAnswered)
                    let own = try #require(try process.information(of: process.pid))
                    #expect(own.status == .running && own.label == "asking" && own.hasAnswered)
                    #expect(own.backtrace.functions.contains { $0.contains("asksFromProcess") }, "\(own.backtrace)")
                    process.setLabel(nil)
                    #expect(process.label == nil)
                }
            }
        }

        @Test("A process that is stuck in native code is described from outside, after a bounded time")
        func describesStuck() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let (gate, started) = (DispatchSemaphore(value: 0), Counter())
                let pid = runtime.spawn { _ in
                    started.add()
                    gate.wait()
                }
                await started.wait(for: 1)
                let found = try #require(await runtime.information(of: pid, timeout: .milliseconds(1)))
                #expect(found.isStuck && !found.hasAnswered && found.status == .running)
                #expect(found.heapByteCount >= MemoryLayout<ProcessControlBlock>.stride)
                #expect(found.backtrace.functions.isEmpty)
                gate.signal()
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("What a process is asked while it takes its messages is not booked on it")
        func isNotBooked() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let (grown, stop) = (Counter(), Counter())
                let pid = runtime.spawn { process in
                    let before = AllocationAccount.current()
                    while stop.value == 0 { _ = try process.receiveAny(timeout: .zero) }
                    grown.add(AllocationAccount.current() - before)
                }
                for _ in 0..<500 { _ = try await information(runtime, pid) { $0.status == .running } }
                stop.add()
                await runtime.waitForProcessCount(0)
                #expect(grown.value < 50_000, "\(grown.value) bytes")
            }
        }
    }
}

@inline(never)
private func waitForSeven(_ process: borrowing ProcessContext<Int>) throws {
    let seven = try process.receive(matching: { $0 == 7 ? $0 : nil })
    #expect(seven == 7)
}
