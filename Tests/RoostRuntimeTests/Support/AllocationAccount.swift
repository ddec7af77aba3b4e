// SPDX-License-Identifier: Apache-2.0

import CRoost

@testable import RoostRuntime

enum AllocationAccount {
    static func current() -> Int {
        let live = Int(roost_thread_current().pointee.live)
        guard let process = SchedulerRef.currentProcess else { return live }
        return live - Int(process.block.account.freed_by_others)
    }
}
