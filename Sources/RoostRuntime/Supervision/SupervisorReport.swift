// SPDX-License-Identifier: Apache-2.0

/// What a supervisor has to tell: a child that failed, and what becomes of it. For the log.
public struct SupervisorReport: Sendable, CustomStringConvertible {
    /// What happened.
    public enum Event: Sendable, Hashable {
        /// The child ended by itself.
        case childEnded
        /// The child could not be started.
        case startFailed
        /// The child was told to end and ended for another reason, or had to be killed.
        case shutdownFailed
    }

    /// What the supervisor does about it.
    public enum Action: Sendable, Hashable {
        /// It starts the child again.
        case restarts
        /// It leaves the child ended: its restart type says so, or it was to end anyway.
        case leavesEnded
        /// There were too many restarts, or this was the start of the supervisor: it ends its children and itself.
        case givesUp
    }

    public let supervisor: Pid
    /// Of the child's specification.
    public let id: String
    /// nil when the child could not be started.
    public let child: Pid?
    public let event: Event
    public let reason: ExitReason
    public let action: Action

    public var description: String {
        let what =
            switch event {
            case .childEnded: "ended"
            case .startFailed: "did not start"
            case .shutdownFailed: "did not shut down"
            }
        let outcome =
            switch action {
            case .restarts: "starting it again"
            case .leavesEnded: "leaving it"
            case .givesUp: "giving up"
            }
        let name = child.map { "\(id) \($0)" } ?? id
        return "supervisor \(supervisor): child \(name) \(what): \(reason); \(outcome)"
    }
}

/// One child, as `Supervisor.children` lists it. (OTP: `which_children`.)
public struct ChildInformation: Sendable {
    public enum State: Sendable, Hashable {
        case running(Pid)
        /// Its restart failed and will be tried again.
        case restarting
        /// It was terminated, or ended and is not to be restarted, or had nothing to start.
        case ended
    }

    public let id: String
    public let state: State
    public let kind: ChildSpecification.Kind

    public var pid: Pid? { if case .running(let pid) = state { pid } else { nil } }
}

/// How many children a supervisor has. (OTP: `count_children`.)
public struct ChildCounts: Sendable, Hashable {
    /// Children that it knows of, running or not.
    public var specifications = 0
    /// Children that run.
    public var active = 0
    /// Of all children, running or not.
    public var supervisors = 0
    public var workers = 0
}
