// SPDX-License-Identifier: Apache-2.0

@testable import RoostRuntime

enum Undelivered {
    /// Pushes a node for `pid` into the mailbox of whoever has its slot now, as a sender that was overtaken does.
    static func push<Payload>(_ payload: Payload, kind: NodeKind, for pid: Pid) {
        withoutPreemption {
            let scheduler = SchedulerRef.current!
            let node = scheduler.makeNode(payload, kind: kind, for: pid)
            let process = ProcessTable.slot(pid.index)
            if Mailbox.push(node, to: process) == .pushedAndMustEnqueue { process.home.enqueue(process) }
        }
    }
}
