// SPDX-License-Identifier: Apache-2.0

import LoadTesting
import Testing

@Suite struct ScheduleTests {
    private static let second: UInt64 = 1_000_000_000

    private func plan(_ rate: Double, _ pacing: Pacing, seed: UInt64 = 1) -> PacedPlan {
        var plan = PacedPlan(ratePerSecond: rate, pacing: pacing, size: .fixed(8))
        plan.seed = seed
        return plan
    }

    private func times(
        _ plan: PacedPlan, client: Int, of clientCount: Int, origin: UInt64 = 0, now: UInt64 = 0, before end: UInt64
    ) -> [UInt64] {
        var schedule = Schedule(plan, client: client, of: clientCount, origin: origin, now: now)
        var times: [UInt64] = []
        while schedule.next < end {
            times.append(schedule.next)
            schedule.advance()
            #expect(schedule.count == times.count)
        }
        return times
    }

    @Test("the same seed gives the same schedule, another one another", arguments: Pacing.allCases)
    func seeds(pacing: Pacing) {
        for client in [0, 1, 99] {
            let first = times(plan(1_000, pacing, seed: 7), client: client, of: 100, before: 5 * Self.second)
            #expect(first == times(plan(1_000, pacing, seed: 7), client: client, of: 100, before: 5 * Self.second))
            #expect(first != times(plan(1_000, pacing, seed: 8), client: client, of: 100, before: 5 * Self.second))
            #expect(first != times(plan(1_000, pacing, seed: 7), client: client + 1, of: 100, before: 5 * Self.second))
        }
    }

    @Test(
        "under uniform pacing each client has rate times time messages, less than one more or fewer",
        arguments: [(1, 1_000.0), (7, 3.0), (100, 12_345.6), (1_000, 10.0)])
    func uniformCount(clientCount: Int, rate: Double) {
        for seconds in [0.5, 1, 3.7] {
            for client in 0..<clientCount {
                let count = times(
                    plan(rate, .uniform), client: client, of: clientCount, before: UInt64(seconds * 1e9)
                ).count
                #expect(abs(Double(count) - rate * seconds / Double(clientCount)) <= 1, "client \(client)")
            }
        }
    }

    @Test("uniform pacing does not drift: after a week a message is where it belongs, to the microsecond")
    func drift() {
        let rate = 3.0
        var schedule = Schedule(plan(rate, .uniform), client: 0, of: 1, origin: 0, now: 0)
        let first = Double(schedule.next)
        for _ in 0..<1_000_000 { schedule.advance() }
        #expect(abs(Double(schedule.next) - first - 1_000_000 * 1e9 / rate) < 1_000)
        let week = 7 * 86_400 * Self.second
        let late = Schedule(plan(rate, .uniform), client: 0, of: 1, origin: 0, now: week)
        #expect(late.next >= week && late.next <= week + UInt64(1e9 / rate) + 1)
        let periods = (Double(late.next) - first) / (1e9 / rate)
        #expect(abs(periods - periods.rounded()) < 1e-5)
    }

    @Test("clients do not fire together: first messages are spread over the period", arguments: [10, 97, 1_000])
    func phases(clientCount: Int) {
        // A period of a second, in twenty parts.
        var parts = Array(repeating: 0, count: 20)
        for client in 0..<clientCount {
            let schedule = Schedule(
                plan(Double(clientCount), .uniform), client: client, of: clientCount, origin: 0, now: 0)
            parts[Int(schedule.next / (Self.second / 20))] += 1
        }
        for part in parts { #expect(abs(part - clientCount / 20) <= 3, "\(parts)") }
    }

    @Test("Poisson pacing has the rate, and distances that are distributed exponentially")
    func poisson() {
        // The seeds are fixed, so that the figures are; the bounds are those of five standard deviations.
        let all = times(plan(1_000, .poisson), client: 3, of: 10, before: 1_000 * Self.second)
        #expect(abs(all.count - 100_000) < 1_600)
        let distances = zip(all.dropFirst(), all).map { Double($0 - $1) }
        let mean = distances.reduce(0, +) / Double(distances.count)
        let variance = distances.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(distances.count)
        #expect(abs(variance.squareRoot() / mean - 1) < 0.03)
        let shortShare = Double(distances.count { $0 < mean }) / Double(distances.count)
        #expect(abs(shortShare - 0.6321) < 0.01)
    }

    @Test("a client that comes later has nothing due before", arguments: Pacing.allCases)
    func lateStart(pacing: Pacing) {
        let origin = 17 * Self.second
        for client in 0..<20 {
            for offset: UInt64 in [0, 1, 999_999_999, 5_000_000_000] {
                let schedule = Schedule(
                    plan(20, pacing), client: client, of: 20, origin: origin, now: origin + offset)
                #expect(schedule.next >= origin + offset)
                if pacing == .uniform { #expect(schedule.next <= origin + offset + Self.second) }
            }
        }
    }
}

@Suite struct SecondsTests {
    @Test(
        "a time is read as seconds or with its unit",
        arguments: [
            ("90", 90.0), ("0.5", 0.5), ("90s", 90), ("15m", 900), ("4h", 14_400), ("1.5h", 5_400), ("500ms", 0.5),
            ("1h30m", 5_400), ("1m30.5s", 90.5), ("0", 0),
        ])
    func read(text: String, seconds: Double) throws { #expect(try Seconds.parse(text) == seconds) }

    @Test(
        "what is no time is refused with what is",
        arguments: ["", "h", "4x", "-1", "1 h", "4h30", "1..2s", ".", "s4", "1e3", "4H", "nan", "inf"])
    func refuse(text: String) {
        #expect(
            throws: LoadTestError(
                "'\(text)' is no time; write seconds, or a number and s, m or h: 90, 90s, 15m, 4h, 1h30m")
        ) { try Seconds.parse(text) }
    }
}
