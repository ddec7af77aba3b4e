// SPDX-License-Identifier: Apache-2.0

/// How fast one client sends: messages, and bytes of them. Pure; times are nanoseconds of one clock.
///
/// The generic cell rate algorithm, for each of the two: a time that runs ahead of the clock by what was used, and may
/// be ahead by one second, which is what a client may send at once after a pause.
struct RateLimiter: Sendable, Equatable {
    private static let second: UInt64 = 1_000_000_000
    /// However large the message, a client is not held up for longer by it.
    static let delayMax: UInt64 = 30 * second
    /// More than any message has; times `second` it fits into a word.
    private static let amountMax: UInt64 = 1 << 33

    /// A time, exact: rounding would add up at rates of many millions.
    private struct Arrival: Equatable {
        var nanoseconds: UInt64 = 0
        /// What is left of a nanosecond, in parts of the rate.
        var remainder: UInt64 = 0

        /// The time from which on the client is within its rate, 0 where it is.
        mutating func advance(by amount: Int, rate: Int, at now: UInt64) -> UInt64 {
            guard rate > 0 else { return 0 }
            if nanoseconds < now { self = Arrival(nanoseconds: now) }
            let cost = min(UInt64(amount), amountMax) * second + remainder
            let step = cost.quotientAndRemainder(dividingBy: UInt64(rate))
            let latest = now + delayMax + second
            let isWithin = step.quotient < latest - min(nanoseconds, latest)
            nanoseconds = isWithin ? nanoseconds + step.quotient : latest
            remainder = isWithin ? step.remainder : 0
            return nanoseconds > now + second ? nanoseconds - second : 0
        }
    }

    private var messages = Arrival()
    private var bytes = Arrival()

    /// Takes one message of `byteCount` bytes into account. Returns the time from which on the client is within its
    /// rate, nil where it is. A rate of 0 bounds nothing.
    mutating func note(byteCount: Int, messagesPerSecond: Int, bytesPerSecond: Int, at now: UInt64) -> UInt64? {
        let first = messages.advance(by: 1, rate: messagesPerSecond, at: now)
        let second = bytes.advance(by: byteCount, rate: bytesPerSecond, at: now)
        let until = max(first, second)
        return until > now ? until : nil
    }
}
