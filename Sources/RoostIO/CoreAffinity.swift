// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc

/// Cores that threads may run on (sched_setaffinity(2)).
package enum CoreAffinity {
    /// What glibc's `cpu_set_t` holds.
    package static let coreCountMax = 1_024

    /// Those of the calling thread.
    package static var available: [Int] {
        var bits = [UInt8](repeating: 0, count: coreCountMax / 8)
        // Safe: the kernel fills the array's own bytes.
        guard unsafe roost_get_cores(&bits, bits.count) == 0 else { return [0] }
        return (0..<coreCountMax).filter { bits[$0 / 8] & 1 << UInt8($0 % 8) != 0 }
    }

    /// Keeps every thread of this program on `cores`, and so those that they start. Returns 0 or an errno.
    package static func pin(_ cores: [Int]) -> Int32 {
        var bits = [UInt8](repeating: 0, count: coreCountMax / 8)
        for core in cores { bits[core / 8] |= 1 << UInt8(core % 8) }
        for thread in threads {
            // Safe: the kernel reads the array's own bytes.
            let code = unsafe roost_set_cores(thread, bits, bits.count)
            // A thread that has ended meanwhile needs no core.
            guard code == 0 || code == ESRCH else { return code }
        }
        return 0
    }

    private static var threads: [pid_t] {
        guard let directory = unsafe opendir("/proc/self/task") else { return [0] }
        defer { unsafe closedir(directory) }
        var threads: [pid_t] = []
        while let entry = unsafe readdir(directory) {
            // Safe: the entry and its name are good until the next call.
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let thread = pid_t(name) { threads.append(thread) }
        }
        return threads
    }
}
