// SPDX-License-Identifier: Apache-2.0

import RoostRuntime
import RuntimeHandlers
import Testing

import Glibc

/// Runs `body` in a process and waits for it: for exit tests, in which the program must not live that long.
private func runAlone(_ body: @escaping @Sendable (borrowing ProcessContext<Int>) throws -> Void) async throws {
    let runtime = try Runtime()
    let process = runtime.spawn(receiving: Int.self, body)
    await runtime.waitForProcessCount(0)
    _ = process
    exit(0)
}

private func text(_ result: ExitTest.Result?) -> String {
    String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
}

extension RuntimeTests {
    @Suite("Hazard 8: a fault that is not a handler's ends the program", .timeLimit(.minutes(1)))
    struct AbortTests {
        @Test("A trap inside withoutPreemption")
        func trapInSection() async {
            let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                try await runAlone { _ in withoutPreemption { TrapCause.fatal.trap() } }
            }
            #expect(text(result).contains("the cause of it"))
            #expect(text(result).contains("trapByFatalError"))
        }

        @Test("A trap on a thread that is no scheduler")
        func trapOnPlainThread() async {
            let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                let runtime = try Runtime()
                TrapCause.fatal.trap()
                runtime.stop()
            }
            #expect(text(result).contains("trapByFatalError"))
        }

        @Test("A wild pointer in handler code")
        func wildPointer() async {
            let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                try await runAlone { _ in readWildPointer() }
            }
            #expect(text(result).contains("readWildPointer"))
        }

        @Test("An abort of the C library in handler code")
        func plainAbort() async {
            await #expect(processExitsWith: .failure) { try await runAlone { _ in abort() } }
        }

        @Test("A signal that another program sends, in the middle of handler code")
        func foreignSignal() async {
            await #expect(processExitsWith: .failure) {
                try await runAlone { _ in
                    kill(getpid(), SIGILL)
                    LoopShape.whileTrue.spin()
                }
            }
        }

        @Test("A trap in a callback on a scheduler")
        func trapInCallback() async {
            await #expect(processExitsWith: .failure) {
                let runtime = try Runtime()
                let pid = runtime.spawn { context in try context.sleep(.milliseconds(1)) }
                runtime.whenEnded(pid) { _, _ in TrapCause.fatal.trap() }
                try await Task.sleep(for: .seconds(20))
                exit(0)
            }
        }

        @Test("Stack overflow inside withoutPreemption")
        func overflowInSection() async {
            await #expect(processExitsWith: .failure) {
                try await runAlone { _ in withoutPreemption { _ = recurseForEver(0) } }
            }
        }

        @Test("A waiting call inside withoutPreemption, whether or not it would have waited", arguments: 0..<4)
        func waitInSection(_ kind: Int) async {
            let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { [kind] in
                try await runAlone { context in
                    context.address.send(1)
                    try withoutPreemption {
                        switch kind {
                        case 0: try context.sleep(.milliseconds(1))
                        case 1:
                            _ = try context.receive()
                            _ = try context.receive()
                        case 2: _ = try context.receive { $0 == 1 ? 1 : nil }
                        default: _ = try context.receiveAny(timeout: .zero)
                        }
                    }
                }
            }
            #expect(text(result).contains("a waiting call inside withoutPreemption"), "\(text(result))")
        }

        @Test("Hazard 10: where a signal handler was there before, what is not contained reaches it")
        func chainsToEarlierHandlers() async {
            await #expect(processExitsWith: .exitCode(77)) {
                var action = sigaction()
                action.__sigaction_handler.sa_sigaction = { _, _, _ in _exit(77) }
                action.sa_flags = SA_SIGINFO
                sigaction(SIGSEGV, &action, nil)
                try await runAlone { _ in readWildPointer() }
            }
            await #expect(processExitsWith: .exitCode(78)) {
                var action = sigaction()
                action.__sigaction_handler.sa_handler = { _ in _exit(78) }
                sigaction(SIGILL, &action, nil)
                try await runAlone { _ in withoutPreemption { TrapCause.fatal.trap() } }
            }
        }

        @Test("Hazard 10: with an earlier handler, too, a handler's trap is contained")
        func containsBesideEarlierHandlers() async {
            await #expect(processExitsWith: .exitCode(0)) {
                var action = sigaction()
                action.__sigaction_handler.sa_handler = { _ in _exit(78) }
                sigaction(SIGILL, &action, nil)
                try await runAlone { _ in TrapCause.fatal.trap() }
            }
        }
    }
}
