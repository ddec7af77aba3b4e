// SPDX-License-Identifier: Apache-2.0

/// One question for another machine's monotonic clock, in nanoseconds.
package struct ClockSample: Sendable {
    /// On ours.
    package var asked: UInt64
    package var theirs: UInt64
    package var answered: UInt64

    package init(asked: UInt64, theirs: UInt64, answered: UInt64) {
        self.asked = asked
        self.theirs = theirs
        self.answered = answered
    }
}

/// What is added to another machine's monotonic clock to get ours.
///
/// As NTP does (RFC 5905 §8): the fastest of many round trips tells most, and the truth is within half of it.
package struct ClockOffset: Sendable, Equatable {
    package static let sampleCount = 50
    static let sampleCountMin = 8

    package var nanoseconds: Int64
    package var uncertaintyNanoseconds: UInt64

    /// Nil where there is no sample.
    package init?(_ samples: [ClockSample]) {
        guard let best = samples.min(by: { $0.answered &- $0.asked < $1.answered &- $1.asked }) else { return nil }
        let trip = best.answered &- best.asked
        nanoseconds = Int64(bitPattern: best.asked &+ trip / 2 &- best.theirs)
        uncertaintyNanoseconds = (trip + 1) / 2
    }

    /// How far the truth was from this offset at most, now that the clocks were compared again: they may run at
    /// different rates.
    package func doubtNanoseconds(now later: ClockOffset) -> UInt64 {
        let drift = (later.nanoseconds &- nanoseconds).magnitude
        return max(uncertaintyNanoseconds, drift.addingReportingOverflow(later.uncertaintyNanoseconds).partialValue)
    }
}
