// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Testing

@testable import RoostRuntime

/// Where jobs wait for the test, on their thread: it blocks, as a system call does.
final class Barrier: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)
    let arrived = Counter()

    func block() {
        arrived.add()
        semaphore.wait()
    }
    func release(_ count: Int = 1) { for _ in 0..<count { semaphore.signal() } }
}

/// The pid of a process that a test ends from outside.
final class PidBox: Sendable {
    private let pid = Locked<Pid?>(nil)
    func put(_ pid: Pid) { self.pid.withLock { $0 = pid } }
    func take() async -> Pid {
        while true {
            if let pid = pid.withLock({ $0 }) { return pid }
            await Task.yield()
        }
    }
}

/// As the kernel has it (proc_pid_comm(5)).
func threadName() -> String {
    let descriptor = open("/proc/thread-self/comm", O_RDONLY)
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 16)
    let count = read(descriptor, &bytes, bytes.count)
    return String(decoding: bytes.prefix(max(0, count - 1)), as: UTF8.self)
}

extension Runtime {
    /// The pool's first thread takes jobs.
    func checkFirstThread(of pool: DirtyPool) async throws {
        let name = try await value { process in try process.dirty(pool) { threadName() } }
        #expect(name == "roost-d\(pool.rawValue)-0")
    }

    func wait(_ pool: DirtyPool, until condition: (DirtyPoolStatistics) -> Bool) async {
        while !condition(dirtyStatistics(of: pool)) { await Task.yield() }
    }
}
