// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostRuntime

extension RuntimeTests {
    @Suite("Pending calls, and calls from tasks", .timeLimit(.minutes(1)))
    struct PendingCallTests {
        private typealias Request = (ReplyAddress<Payload>, Payload?)

        private static func echo(_ process: borrowing ProcessContext<Request>) throws {
            while true {
                let (reply, payload) = try process.receive()
                guard let payload else { throw Refused(number: 9) }
                reply.send(payload)
            }
        }

        @Test("Any number of calls may be pending, and are answered in any order; other messages stay")
        func startsCalls() async throws {
            let destroyed = Counter()
            try await withRuntime { runtime in
                let numbers: [Int] = try await runtime.value { process in
                    let echo = process.spawnLink(receiving: Request.self) { try Self.echo($0) }
                    let calls = try (0..<20).map { number in
                        try process.startCall(echo) { ($0, Payload(number, destroyed)) }
                    }
                    let between = try process.call(echo) { ($0, Payload(100, destroyed)) }.number
                    let answers = try calls.reversed().map { try process.receiveAnswer(to: $0)!.number }
                    guard Inspection.monitorCount() == 0, Inspection.queueCount() == 0 else { throw Refused() }
                    return [between] + answers
                }
                #expect(numbers == [100] + (0..<20).reversed())
                await destroyed.wait(for: 21)
            }
        }

        @Test("An answer that is late may be asked for again; the callee's end is an error")
        func waitsAgain() async throws {
            let destroyed = Counter()
            try await withRuntime { runtime in
                let (isLate, number, reason): (Bool, Int, ExitReason?) = try await runtime.value { process in
                    let echo = process.spawn(receiving: Request.self) { try Self.echo($0) }
                    let call = try process.startCall(echo) { ($0, Payload(3, destroyed)) }
                    let isLate = try process.receiveAnswer(to: call, timeout: .zero) == nil
                    let number = try process.receiveAnswer(to: call, timeout: nil)!.number
                    let last = try process.startCall(echo) { ($0, nil) }
                    do {
                        _ = try process.receiveAnswer(to: last, timeout: nil)
                        return (isLate, number, nil)
                    } catch let error as CallError { return (isLate, number, error.endReason) }
                }
                #expect(isLate && number == 3)
                #expect(reason?.refusal == Refused(number: 9))
                await destroyed.wait(for: 1)
            }
        }

        @Test("A pending call that is forgotten leaves no monitor and no reply behind")
        func forgetsCalls() async throws {
            let destroyed = Counter()
            try await withRuntime { runtime in
                let reason = await runtime.outcome { process in
                    let echo = process.spawnLink(receiving: Request.self) { try Self.echo($0) }
                    do { _ = try process.startCall(echo) { ($0, Payload(3, destroyed)) } }
                    _ = try process.call(echo) { ($0, Payload(4, destroyed)) }
                    guard Inspection.monitorCount() == 0, Inspection.queueCount() == 0 else { throw Refused() }
                }
                #expect(reason.isPlainNormal, "\(reason)")
                await destroyed.wait(for: 2)
            }
        }

        @Test("A task calls without a process: answer, end, timeout")
        func callsFromOutside() async throws {
            let destroyed = Counter()
            try await withRuntime { runtime in
                let echo = runtime.spawn(receiving: Request.self) { try Self.echo($0) }
                let number = try await runtime.call(echo) { ($0, Payload(8, destroyed)) }.number
                #expect(number == 8)
                let silent = runtime.spawn(receiving: Request.self) { silent in
                    _ = try silent.receive(matching: { $0.1?.number == -1 ? true : nil })
                }
                await #expect { _ = try await runtime.call(silent, timeout: .milliseconds(1)) { ($0, nil) } } throws: {
                    ($0 as? CallError)?.isTimeout == true
                }
                await #expect { _ = try await runtime.call(echo) { ($0, nil) } } throws: {
                    ($0 as? CallError)?.endReason?.refusal == Refused(number: 9)
                }
                await #expect { _ = try await runtime.call(echo) { ($0, nil) } } throws: {
                    ($0 as? CallError)?.isNoProcess == true
                }
                runtime.exit(silent.pid, .kill)
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("A task that is cancelled while it waits for an answer is told at once, and its process ends")
        func cancelsCalls() async throws {
            try await withRuntime { runtime in
                let asked = Counter()
                let silent = runtime.spawn(receiving: ReplyAddress<Int>.self) { silent in
                    _ = try silent.receive()
                    asked.add()
                    try silent.sleep(.seconds(60))
                }
                let task = Task { try await runtime.call(silent, timeout: nil) { $0 } }
                await asked.wait(for: 1)
                task.cancel()
                await #expect(throws: CancellationError.self) { _ = try await task.value }
                await runtime.waitForProcessCount(1)
                let early = Task {
                    withUnsafeCurrentTask { $0?.cancel() }
                    return try await runtime.call(silent, timeout: nil) { $0 }
                }
                await #expect(throws: CancellationError.self) { _ = try await early.value }
                runtime.exit(silent.pid, .kill)
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("A reply may come from a thread that runs no process")
        func repliesFromOutside() async throws {
            let destroyed = Counter()
            try await withRuntime { runtime in
                let kept = Locked<ReplyAddress<Payload>?>(nil)
                let asked = Counter()
                let keeper = runtime.spawn(receiving: Request.self) { keeper in
                    let (reply, _) = try keeper.receive()
                    kept.withLock { $0 = reply }
                    asked.add()
                    try keeper.sleep(.seconds(60))
                }
                async let answer = runtime.call(keeper, timeout: nil) { ($0, nil) }.number
                await asked.wait(for: 1)
                kept.withLock { $0 }?.send(Payload(6, destroyed))
                let number = try await answer
                #expect(number == 6)
                kept.withLock { $0 }?.send(Payload(7, destroyed))
                await destroyed.wait(for: 2)
            }
        }
    }
}
