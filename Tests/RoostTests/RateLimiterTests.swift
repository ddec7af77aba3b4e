// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Roost

private let second: UInt64 = 1_000_000_000

/// The same rule by other means: what a client is ahead of its rate, exact, in parts of a nanosecond as many as the
/// rate has units a second. It wears off as time passes, and may be what one second takes.
private struct Debt {
    private var owed: Int128 = 0
    private var last: UInt64 = 0

    mutating func until(_ amount: Int, rate: Int, at now: UInt64) -> UInt64 {
        guard rate > 0 else { return 0 }
        owed = max(0, owed - Int128(now - last) * Int128(rate))
        last = now
        owed = min(owed + Int128(amount) * Int128(second), Int128(RateLimiter.delayMax + second) * Int128(rate))
        let excess = (owed - Int128(second) * Int128(rate)) / Int128(rate)
        return excess > 0 ? now + UInt64(excess) : 0
    }
}

@Suite struct RateLimiterTests {
    @Test(
        "after a pause as many messages as the rate has in a second pass at once, and one more does not",
        arguments: [1, 2, 3, 7, 100, 999, 65_537])
    func burst(rate: Int) {
        var limiter = RateLimiter()
        for message in 1...rate {
            let until = limiter.note(byteCount: 1, messagesPerSecond: rate, bytesPerSecond: 0, at: 5 * second)
            #expect(until == nil, "message \(message)")
        }
        let until = limiter.note(byteCount: 1, messagesPerSecond: rate, bytesPerSecond: 0, at: 5 * second)
        #expect(until == 5 * second + second / UInt64(rate))
    }

    @Test("bytes count by themselves: n pass at once in any pieces, n+1 do not", arguments: [1, 3, 10, 250, 1_000])
    func burstOfBytes(pieceByteCount: Int) {
        let rate = 1_000
        var limiter = RateLimiter()
        var used = 0
        while used + pieceByteCount <= rate {
            #expect(limiter.note(byteCount: pieceByteCount, messagesPerSecond: 0, bytesPerSecond: rate, at: 7) == nil)
            used += pieceByteCount
        }
        #expect(limiter.note(byteCount: rate - used, messagesPerSecond: 0, bytesPerSecond: rate, at: 7) == nil)
        let until = limiter.note(byteCount: 1, messagesPerSecond: 0, bytesPerSecond: rate, at: 7)
        #expect(until == 7 + second / UInt64(rate))
    }

    @Test(
        "a client that waits for its turn each time sends exactly its rate in the long run",
        arguments: [1, 3, 7, 1_000, 65_537, 300_000_001, 600_000_000, 999_999_999, 1_000_000_000])
    func longRun(rate: Int) {
        var limiter = RateLimiter()
        var now = second
        // So many a message that a hundred seconds go by, whatever the rate.
        let byteCount = max(1, rate / 1_000)
        let messageCount = rate / byteCount * 100
        for _ in 0..<messageCount {
            now = limiter.note(byteCount: byteCount, messagesPerSecond: 0, bytesPerSecond: rate, at: now) ?? now
        }
        let sent = Int128(byteCount * messageCount)
        // Behind it lies the burst of one second.
        let expected = sent * Int128(second) / Int128(rate)
        #expect(Int128(now) == expected, "\(Int128(now) - expected) ns off")
    }

    @Test("a client of single bytes at a rate that no whole number of nanoseconds makes is held to it as well")
    func smallPieces() {
        let rate = 600_000_000
        var limiter = RateLimiter()
        var until: UInt64 = 0
        for _ in 0..<1_200_000 {
            until = limiter.note(byteCount: 1_000, messagesPerSecond: 0, bytesPerSecond: rate, at: second) ?? 0
        }
        #expect(until == 2 * second)
        for _ in 0..<600 { until = limiter.note(byteCount: 1, messagesPerSecond: 0, bytesPerSecond: rate, at: second)! }
        #expect(until == 2 * second + 1_000)
    }

    @Test(
        "a pause of any length refills what one second takes, and no more", arguments: [1, 2, 60, 86_400] as [UInt64])
    func pause(seconds: UInt64) {
        let rate = 10
        var limiter = RateLimiter()
        var now = second
        func note() -> UInt64? { limiter.note(byteCount: 0, messagesPerSecond: rate, bytesPerSecond: 0, at: now) }
        for _ in 0..<rate { #expect(note() == nil) }
        now += seconds * second
        for _ in 0..<rate { #expect(note() == nil) }
        #expect(note() == now + second / 10)
        // Half a second refills half.
        now += second / 10 + second / 2
        for _ in 0..<(rate / 2) { #expect(note() == nil) }
        #expect(note() != nil)
    }

    @Test(
        "a message of any size, or many, hold a client up for delayMax at most",
        arguments: [31_001, 1 << 30, 1 << 40, .max])
    func hugeMessages(byteCount: Int) {
        var limiter = RateLimiter()
        for _ in 0..<3 {
            let until = limiter.note(byteCount: byteCount, messagesPerSecond: 0, bytesPerSecond: 1_000, at: 4)
            #expect(until == 4 + RateLimiter.delayMax)
        }
        // From there on it is within its rate, and the debt is forgotten as time passes.
        let later = 4 + RateLimiter.delayMax
        #expect(limiter.note(byteCount: 0, messagesPerSecond: 0, bytesPerSecond: 1_000, at: later) == nil)
        #expect(limiter.note(byteCount: 1, messagesPerSecond: 0, bytesPerSecond: 1_000, at: later) == later + 1_000_000)
    }

    @Test("the last size that is not bounded by delayMax")
    func largest() {
        for (byteCount, delay) in [(31_000, RateLimiter.delayMax), (30_999, RateLimiter.delayMax - 1_000_000)] {
            var limiter = RateLimiter()
            let until = limiter.note(byteCount: byteCount, messagesPerSecond: 0, bytesPerSecond: 1_000, at: 0)
            #expect(until == delay)
        }
    }

    @Test("of the two bounds the later time counts; 0 bounds nothing")
    func both() {
        var limiter = RateLimiter()
        #expect(limiter.note(byteCount: 2_000, messagesPerSecond: 1, bytesPerSecond: 1_000, at: 0) == second)
        #expect(limiter.note(byteCount: 0, messagesPerSecond: 1, bytesPerSecond: 1_000, at: 0) == second)
        #expect(limiter.note(byteCount: 0, messagesPerSecond: 1, bytesPerSecond: 1_000, at: 0) == 2 * second)
        var unbounded = RateLimiter()
        for _ in 0..<1_000 {
            #expect(unbounded.note(byteCount: .max, messagesPerSecond: 0, bytesPerSecond: 0, at: 0) == nil)
        }
        #expect(unbounded == RateLimiter())
    }

    @Test("nothing overflows at the ends of sizes, rates and times")
    func extremes() {
        for rate in [1, 2, 1 << 40, Int.max] {
            for byteCount in [0, 1, 1 << 30, Int.max] {
                for now in [0, 1, second, UInt64.max / 2, UInt64.max - RateLimiter.delayMax - second] {
                    var limiter = RateLimiter()
                    for _ in 0..<4 {
                        let until = limiter.note(
                            byteCount: byteCount, messagesPerSecond: rate, bytesPerSecond: rate, at: now)
                        if let until { #expect(until > now && until - now <= RateLimiter.delayMax) }
                    }
                }
            }
        }
    }

    @Test("agrees to the nanosecond with an exact account of what is owed", arguments: 0..<200 as Range<UInt64>)
    func property(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        func rate() -> Int {
            Int.random(in: 0...3, using: &generator) == 0
                ? 0 : 1 << Int.random(in: 0...30, using: &generator) + Int.random(in: 0...1_000, using: &generator)
        }
        let (messagesPerSecond, bytesPerSecond) = (rate(), rate())
        var limiter = RateLimiter()
        var messages = Debt()
        var bytes = Debt()
        var now = UInt64.random(in: 0...(1 << 50), using: &generator)
        for step in 0..<500 {
            let byteCount = Int.random(in: 0...(1 << Int.random(in: 0...30, using: &generator)), using: &generator)
            let until = limiter.note(
                byteCount: byteCount, messagesPerSecond: messagesPerSecond, bytesPerSecond: bytesPerSecond, at: now)
            let expected = max(
                messages.until(1, rate: messagesPerSecond, at: now),
                bytes.until(byteCount, rate: bytesPerSecond, at: now))
            guard until == (expected > 0 ? expected : nil) else {
                Issue.record(
                    """
                    seed \(seed), step \(step): \(until ?? 0), not \(expected), at \(now) with \
                    \(messagesPerSecond) and \(bytesPerSecond) a second
                    """)
                return
            }
            switch Int.random(in: 0...3, using: &generator) {
            case 0: break
            case 1: now = max(now, until ?? 0)
            case 2: now += UInt64.random(in: 0...second, using: &generator)
            default: now += UInt64.random(in: 0...(1 << Int.random(in: 0...40, using: &generator)), using: &generator)
            }
        }
    }
}
