// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import RoostRuntime

/// Timers as protocols use them: nearly all are cancelled before they are due.
struct Timers: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Arm timers, cancel 99 of 100, and receive what the others send.")

    @Option(help: "How many timers.") var timers = 1_000_000

    func run() throws {
        let count = max(timers, 100)
        try onOneScheduler(receiving: Bool.self) { process in
            var tokens: [TimerToken] = []
            let clock = ContinuousClock()
            let start = clock.now
            for number in (1...count).reversed() {
                // Those that are cancelled would be due in 60 to 120 s, spread over all milliseconds; the others
                // within a second.
                if number % 100 == 0 {
                    _ = process.send(true, to: process.address, after: .milliseconds(number / 100 % 1_000))
                } else {
                    let delay = Duration.milliseconds(60_000 + number * 7_919 % 60_000)
                    tokens.append(process.send(false, to: process.address, after: delay))
                }
            }
            let armed = clock.now
            for token in tokens.reversed() { process.cancel(token) }
            let stop = clock.now
            for _ in 0..<count / 100 {
                guard try process.receive() else { throw BenchError(description: "a cancelled timer fired") }
            }
            func each(_ duration: Duration) -> Double { duration / .nanoseconds(1) / Double(count) }
            report("timers_arm", count: count, nanosecondsEach: each(armed - start))
            report("timers_cancel", count: count, nanosecondsEach: each(stop - armed))
            report("timers", count: count, nanosecondsEach: each(stop - start))
        }
    }
}
