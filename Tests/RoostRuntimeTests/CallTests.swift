// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostRuntime

extension RuntimeTests {
    @Suite("Calls", .timeLimit(.minutes(1)))
    struct CallTests {
        private struct Question: Sendable {
            let answer: ReplyAddress<Payload>
            let goesOn: Address<Bool>?
        }

        @Test("A call is answered with what the callee sends; other messages stay in order")
        func answers() async throws {
            let destroyed = Counter()
            try await withRuntime { runtime in
                let answer = try await runtime.value { process in
                    let echo = process.spawnLink(receiving: ReplyAddress<Payload>.self) {
                        try $0.receive().send(Payload(7, destroyed))
                    }
                    return try process.call(echo) { $0 }.number
                }
                #expect(answer == 7)
                await destroyed.wait(for: 1)
            }
        }

        @Test("A callee that has ended, or ends before it answers, is an error at once")
        func noticesEnds() async throws {
            try await withRuntime { runtime in
                let reasons: [ExitReason] = try await runtime.value { process in
                    let callee = process.spawn(receiving: ReplyAddress<Int>.self) {
                        _ = try $0.receive()
                        throw Refused(number: 4)
                    }
                    return try (0..<2).map { _ in
                        do { _ = try process.call(callee) { $0 } } catch let error as CallError {
                            if case .ended(let reason) = error.cause { return reason }
                            if case .noProcess = error.cause { return .noProcess }
                        }
                        throw Refused()
                    }
                }
                #expect(reasons[0].refusal == Refused(number: 4))
                #expect(reasons[1].isNoProcess)
            }
        }

        @Test("A late answer is destroyed, and reaches no mailbox")
        func dropsLateAnswers() async throws {
            let destroyed = Counter()
            try await withRuntime { runtime in
                let held = try await runtime.value { process in
                    let me = process.spawnMonitor(receiving: Bool.self) { caller in
                        let callee = caller.spawnLink(receiving: Question.self) { callee in
                            let late = try callee.receive()
                            let question = try callee.receive()
                            late.answer.send(Payload(1, destroyed))
                            question.answer.send(Payload(2, destroyed))
                            question.goesOn?.send(true)
                        }
                        let isLate: Bool
                        do {
                            _ = try caller.call(callee, timeout: .zero) { Question(answer: $0, goesOn: nil) }
                            isLate = false
                        } catch let error as CallError { isLate = error.isTimeout }
                        let address = caller.address
                        let second = try caller.call(callee) { Question(answer: $0, goesOn: address) }.number
                        guard isLate, second == 2, case .message(true)? = try caller.receiveAny() else {
                            throw Refused()
                        }
                        guard try caller.receiveAny(timeout: .zero) == nil, Inspection.monitorCount() == 0 else {
                            throw Refused()
                        }
                    }
                    return try process.receiveDown(of: me.reference)!.reason
                }
                #expect(held.isPlainNormal, "\(held)")
                await destroyed.wait(for: 2)
            }
        }
    }
}
