// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// What reports say about when something was.
enum WallClock {
    static var secondsSince1970: Double {
        var time = timespec()
        // Safe: the kernel fills the structure that it is lent.
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
