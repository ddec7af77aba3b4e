// SPDX-License-Identifier: Apache-2.0

/// A process as reports name it: its pid, and its label where it has one.
public struct ProcessName: Hashable, Sendable, CustomStringConvertible {
    public let pid: Pid
    public let label: String?

    /// `<index.generation>`, with the label in quotes behind it.
    public var description: String { label.map { "\(pid) \"\($0)\"" } ?? "\(pid)" }
}

extension ProcessRef {
    /// Scheduler that runs the process only.
    package var name: ProcessName { ProcessName(pid: pid, label: block.extras?.label) }
}
