// SPDX-License-Identifier: Apache-2.0

import Synchronization

@testable import RoostRuntime

/// What tests look at inside the process that runs.
enum Inspection {
    static func monitorCount() -> Int { SchedulerRef.currentProcess?.block.extras?.monitors.count ?? 0 }

    /// Calls that the process has received and not answered.
    static func pendingCallCount() -> Int { SchedulerRef.currentProcess?.block.extras?.calls.pending.count ?? 0 }
    /// Whether the process waits for no reply, and has none.
    static func replyIsTaken() -> Bool {
        guard let calls = SchedulerRef.currentProcess?.block.extras?.calls else { return true }
        return calls.awaited == 0 && calls.reply == nil
    }
    static func queueCount() -> Int { Int(SchedulerRef.currentProcess?.block.queueCount ?? 0) }

    /// Makes the process that runs expect the `Down` of `reference`.
    static func addMonitor(_ reference: Reference, of pid: Pid) {
        withoutPreemption { SchedulerRef.currentProcess?.extras.monitors.add(reference, pid) }
    }

    /// Bytes that the process that runs has allocated and not freed, with what others freed for it.
    static func allocatedByteCount() -> Int { AllocationAccount.current() }

    static func heldByteCount() -> Int { SchedulerRef.currentProcess?.block.heldByteCount ?? 0 }
    /// Of its stack when it last stopped.
    static func stackByteCount() -> Int { SchedulerRef.currentProcess?.block.stackByteCount ?? 0 }
    static func heapByteCount() -> Int { SchedulerRef.currentProcess?.heapByteCount ?? 0 }
}

extension Runtime {
    func startAnywhere() -> Pid {
        let home = pickScheduler()
        let body: @Sendable (borrowing ProcessContext<Never>) throws -> Void = { _ in }
        guard home != SchedulerRef.current else { return spawn(body) }
        let process = External.takeSlot()
        processStarted()
        process.prepare(StraightLine.operations, home: home, heapLimit: .max, at: .now())
        process.block.entry = body
        let pid = process.pid
        home.enqueue(process)
        return pid
    }
}
