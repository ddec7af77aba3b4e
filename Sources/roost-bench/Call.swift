// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import RoostRuntime

/// A process that calls another, which answers with a counter: as a `GenServer`, and with messages of its own.
struct Call: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Call a process that answers with a counter.")

    @Option(help: "How many calls.") var calls = 1_000_000

    private struct Counter: GenServer {
        private var count = 0

        struct Increment: ServerRequest {
            func handle(_ counter: inout Counter, _ process: borrowing Counter.Context) -> Int {
                counter.count += 1
                return counter.count
            }
        }
    }

    func run() throws {
        let calls = max(calls, 1)
        try onOneScheduler(receiving: Never.self) { process in
            let counter = try Counter.startLink(from: process) { _ in Counter() }
            for _ in 0..<calls / 10 { _ = try process.call(counter, Counter.Increment()) }
            let time = try nanosecondsEach(calls) {
                for _ in 0..<calls { _ = try process.call(counter, Counter.Increment()) }
            }
            report("call", count: calls, nanosecondsEach: time)
        }
        try onOneScheduler(receiving: Never.self) { process in
            let counter = process.spawnLink(receiving: ReplyAddress<Int>.self) { counter in
                var count = 0
                while true {
                    count += 1
                    try counter.receive().send(count)
                }
            }
            for _ in 0..<calls / 10 { _ = try process.call(counter) { $0 } }
            let time = try nanosecondsEach(calls) {
                for _ in 0..<calls { _ = try process.call(counter) { $0 } }
            }
            report("call_message", count: calls, nanosecondsEach: time)
        }
    }
}
