// SPDX-License-Identifier: Apache-2.0

internal import Glibc

// What a handler should do on a dirty thread, and here does not: native code that has no reduction points.

/// sleep(3).
@inline(never)
public func sleepNatively(seconds: Int) { _ = sleep(UInt32(seconds)) }

/// Waits for a pipe that nobody writes to, `seconds` at most.
@inline(never)
public func readNatively(seconds: Int) {
    var ends: [CInt] = [0, 0]
    guard unsafe pipe(&ends) == 0 else { return }
    var silent = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
    unsafe _ = poll(&silent, 1, CInt(seconds * 1_000))
    close(ends[0])
    close(ends[1])
}

/// Computes, without a single reduction point: this target is built as a user's dependencies are.
@inline(never)
public func computeNatively(seconds: Int) {
    var now = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &now)
    let end = now.tv_sec + seconds
    while now.tv_sec < end { unsafe clock_gettime(CLOCK_MONOTONIC, &now) }
}
