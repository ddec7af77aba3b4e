// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// How long a thread ran, and how long it was ready to and waited for a core.
struct ThreadUsage: Sendable {
    var cpuNanoseconds: UInt64 = 0
    var waitNanoseconds: UInt64 = 0
    var wallNanoseconds: UInt64 = 0

    /// Of the calling thread, since it started (Documentation/scheduler/sched-stats.rst of Linux).
    static func ofThisThread() -> ThreadUsage {
        var usage = ThreadUsage()
        var time = timespec()
        // Safe: the kernel fills the structure that it is lent.
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        usage.cpuNanoseconds = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        usage.wallNanoseconds = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        // Kernels without the statistics have no such file: then the wait is not known and counts as none.
        let fields = ProcessMeter.read("/proc/thread-self/schedstat")?.split(separator: " ") ?? []
        if fields.count >= 2 { usage.waitNanoseconds = UInt64(fields[1]) ?? 0 }
        return usage
    }

    static func - (a: Self, b: Self) -> Self {
        func difference(_ part: KeyPath<Self, UInt64>) -> UInt64 {
            a[keyPath: part] - min(a[keyPath: part], b[keyPath: part])
        }
        var result = ThreadUsage()
        result.cpuNanoseconds = difference(\.cpuNanoseconds)
        result.waitNanoseconds = difference(\.waitNanoseconds)
        result.wallNanoseconds = difference(\.wallNanoseconds)
        return result
    }

    var cpuShare: Double { wallNanoseconds == 0 ? 0 : Double(cpuNanoseconds) / Double(wallNanoseconds) }
    var waitShare: Double { wallNanoseconds == 0 ? 0 : Double(waitNanoseconds) / Double(wallNanoseconds) }
}
