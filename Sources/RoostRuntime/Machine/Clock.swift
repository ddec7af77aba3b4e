// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc

/// Nanoseconds of CLOCK_MONOTONIC: what timers and deadlines of the runtime are measured in. In a simulation, of its
/// own clock.
package struct MonotonicTime: Comparable, Sendable, Hashable {
    package var nanoseconds: UInt64

    package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    package static func now() -> MonotonicTime {
        let simulated = roost_simulated_time()
        if simulated != 0 { return MonotonicTime(nanoseconds: simulated) }
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicTime(nanoseconds: UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec))
    }

    /// The time of the kernel's last tick, some milliseconds ago: costs a few nanoseconds. (clock_gettime(2))
    package static func coarse() -> MonotonicTime {
        let simulated = roost_simulated_time()
        if simulated != 0 { return MonotonicTime(nanoseconds: simulated) }
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC_COARSE, &time)
        return MonotonicTime(nanoseconds: UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec))
    }

    /// Far enough never to come; adding a duration to any time stops here instead of overflowing.
    package static let distantFuture = MonotonicTime(nanoseconds: UInt64.max / 2)

    package static func < (a: Self, b: Self) -> Bool { a.nanoseconds < b.nanoseconds }

    package static func + (time: Self, duration: Duration) -> Self {
        let (seconds, attoseconds) = duration.components
        guard seconds >= 0 else { return time }
        guard seconds < 4_000_000_000 else { return distantFuture }
        let sum = time.nanoseconds &+ UInt64(seconds) &* 1_000_000_000 &+ UInt64(max(0, attoseconds) / 1_000_000_000)
        return MonotonicTime(nanoseconds: min(sum, distantFuture.nanoseconds))
    }

    package static func - (a: Self, b: Self) -> Duration {
        .nanoseconds(a.nanoseconds >= b.nanoseconds ? Int64(a.nanoseconds &- b.nanoseconds) : 0)
    }
}
