// SPDX-License-Identifier: Apache-2.0

import RuntimeHandlers
import Testing

@testable import RoostRuntime

extension RuntimeTests {
    @Suite("Tracing", .timeLimit(.minutes(1)))
    struct TracingTests {
        /// Events as lines.
        private final class Log: Sendable {
            private let lines = Locked<[String]>([])
            var all: [String] { lines.withLock { $0 } }

            func note(_ event: TraceEvent) {
                let line =
                    switch event {
                    case .scheduledIn: "in"
                    case .scheduledOut(let reductions, let end):
                        reductions >= 0 ? "out \(end)" : "out with \(reductions)"
                    case .sent(let message, _): "sent \(message.kind) \(message.typeName ?? "?")"
                    case .received(let message): "received \(message.kind) \(message.typeName ?? "?")"
                    case .spawned: "spawned"
                    case .linked: "linked"
                    case .unlinked: "unlinked"
                    case .wasLinked: "was linked"
                    case .wasUnlinked: "was unlinked"
                    case .exited(let reason): "exited \(reason.label)"
                    }
                lines.withLock { $0.append(line) }
            }

            func wait(for line: String) async { while !all.contains(line) { await Task.yield() } }
        }

        @Test("Everything a process does is told in order, and nothing after its end")
        func tellsInOrder() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let log = Log()
                let peer = runtime.spawn(receiving: String.self) { process in while true { _ = try process.receive() } }
                let address = runtime.spawn(receiving: String.self) { process in
                    while try process.receive() != "go" {}
                    peer.send("hello to the peer")
                    process.spawnLink { other in
                        other.unlink(other.pid)
                        try other.sleep(.seconds(500))
                    }
                    process.link(peer.pid)
                    process.unlink(peer.pid)
                    throw Refused()
                }
                let isTraced = runtime.trace(address.pid) { pid, event in
                    if pid == address.pid { log.note(event) }
                }
                #expect(isTraced)
                address.send("go")
                await log.wait(for: "exited error")
                let lines = log.all
                let told = lines.filter { $0 != "in" && $0 != "out waits" }
                #expect(
                    told == [
                        "received message String", "sent message String", "spawned", "linked", "linked", "unlinked",
                        "out finished", "exited error",
                    ], "\(lines)")
                #expect(lines.count { $0 == "in" } == lines.count { $0.hasPrefix("out") }, "\(lines)")
            }
        }

        @Test("Turns of a spinner end by preemption; a tracer that is taken away hears nothing more")
        func tellsTurns() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let turns = Counter()
                let pid = runtime.spawn { _ in LoopShape.whileTrue.spin() }
                runtime.trace(pid) { _, event in
                    if case .scheduledOut(let reductions, .preempted) = event, reductions >= 2_000 { turns.add() }
                }
                await turns.wait(atLeast: 5)
                runtime.trace(pid, nil)
                let stopped = try #require(await runtime.information(of: pid, timeout: .seconds(50)))
                #expect(!stopped.isTraced)
                let before = turns.value
                _ = try #require(await runtime.information(of: pid, timeout: .seconds(50)))
                _ = try #require(await runtime.information(of: pid, timeout: .seconds(50)))
                #expect(turns.value == before)
                runtime.exit(pid, .kill)
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("A process that ended cannot be traced; one that traps tells of it")
        func tellsTrap() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let log = Log()
                let address = runtime.spawn(receiving: Bool.self) { process in
                    if try process.receive() { TrapCause.index.trap() }
                }
                runtime.trace(address.pid) { _, event in log.note(event) }
                address.send(true)
                await log.wait(for: "exited trapped")
                #expect(log.all.contains("out trapped"))
                let isTraced = runtime.trace(address.pid) { _, _ in }
                #expect(!isTraced)
            }
        }
    }
}
