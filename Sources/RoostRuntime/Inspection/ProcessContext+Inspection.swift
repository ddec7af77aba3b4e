// SPDX-License-Identifier: Apache-2.0

internal import CRoost

// What a process says of itself.

extension ProcessContext {
    /// What this process is called in reports, error texts and the inspection.
    public var label: String? { process.block.extras?.label }

    /// Calls this process `label`; nil takes the label away. (OTP 27: `proc_lib:set_label/1`.)
    public func setLabel(_ label: String?) {
        roost_enter()
        defer { roost_leave() }
        if label != nil || process.block.extras != nil { process.extras.label = label }
    }

    /// How this process is chosen among the runnable ones of its scheduler.
    public var priority: ProcessPriority { process.block.priority }

    /// Changes the priority, from the next time on that this process is made runnable, and returns the one it had.
    /// (Erlang: `process_flag(priority, Level)`.)
    @discardableResult
    public func setPriority(_ priority: ProcessPriority) -> ProcessPriority {
        let previous = process.block.priority
        process.block.priority = priority
        return previous
    }
}
