// SPDX-License-Identifier: Apache-2.0

/// A monitored process has ended. (Erlang reference manual, "Monitors".)
public struct Down: Sendable {
    /// Of the monitor that fired.
    public let reference: Reference
    public let pid: Pid
    public let reason: ExitReason
}

/// A linked process has ended, or someone called `exit(pid, reason)`; received by a process that traps exits.
public struct ExitSignal: Sendable {
    /// The process that ended, or that sent the signal.
    public let from: Pid
    public let reason: ExitReason
}

/// What processes tell each other below the level of messages. Taken in the order of arrival, like messages.
package enum Signal: Sendable {
    /// `isLink`: counts only while the receiver is still linked to `from`.
    case exit(from: Pid, reason: ExitReason, isLink: Bool)
    case link(from: Pid)
    /// To be answered with `unlinkAcknowledged`: see `ProcessExtras.unlinking`.
    case unlink(from: Pid, number: UInt64)
    case unlinkAcknowledged(from: Pid, number: UInt64)
    case monitor(reference: Reference, observer: Observer)
    case demonitor(reference: Reference)
    /// Somebody gave it a name or put it into a group: it is to be taken out when it ends.
    case tied
    /// Runs on the process's scheduler, between its turns or inside one, where it takes its messages in; with nil where
    /// the process has ended.
    case inspect(@Sendable (ProcessRef?) -> Void)
}

/// Who is told that a process has ended.
package enum Observer: Sendable {
    case process(Pid)
    /// Called on a scheduler, outside any process; must not block.
    case callback(@Sendable (Pid, ExitReason) -> Void)
}

/// An event of a process that receives more than its own messages: what `receiveAny` returns.
public enum Received<Message: Sendable>: Sendable {
    case message(Message)
    case down(Down)
    case exit(ExitSignal)
}
