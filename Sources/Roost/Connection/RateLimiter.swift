// SPDX-License-Identifier: Apache-2.0

/// How fast one client sends: messages, and bytes of them. Pure; times are nanoseconds of one clock.
///
/// The generic cell rate algorithm, for each of the two: a time that runs ahead of the clock by what was used, and may
/// be ahead by one second, which is what a client may send at once after a pause.
struct RateLimiter: Sendable, Equatable {
    private static let second: UInt64 = 1_000_000_000
    /// However large the message, a client is not held up for longer by it.
    static let delayMax: UInt64 = 30 * second

    private var messages: UInt64 = 0
    private var bytes: UInt64 = 0

    /// Takes one message of `byteCount` bytes into account. Returns the time from which on the client is within its
    /// rate, nil where it is. A rate of 0 bounds nothing.
    mutating func note(byteCount: Int, messagesPerSecond: Int, bytesPerSecond: Int, at now: UInt64) -> UInt64? {
        let first = Self.advance(&messages, by: 1, rate: messagesPerSecond, at: now)
        let second = Self.advance(&bytes, by: byteCount, rate: bytesPerSecond, at: now)
        let until = max(first, second)
        return until > now ? until : nil
    }

    private static func advance(_ arrival: inout UInt64, by amount: Int, rate: Int, at now: UInt64) -> UInt64 {
        guard rate > 0 else { return 0 }
        let cost = UInt64(Double(amount) * Double(second) / Double(rate))
        arrival = min(max(arrival, now) + min(cost, delayMax + second), now + delayMax + second)
        return arrival > now + second ? arrival - second : 0
    }
}
