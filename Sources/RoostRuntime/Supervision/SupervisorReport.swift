// SPDX-License-Identifier: Apache-2.0

/// What a supervisor has to tell of one of its children, for the log. (OTP: SUPERVISOR REPORT, PROGRESS REPORT, CRASH
/// REPORT.)
public struct SupervisorReport: Sendable, CustomStringConvertible {
    /// What happened. (OTP: `errorContext`.)
    public enum Event: Sendable, Hashable {
        /// The child has been started. Not for children of a dynamic supervisor, which may be millions.
        case progress
        /// The child failed by itself, not by an exit signal; `childTerminated` follows, with what it means here.
        case crash
        /// The child ended although it was not told to: the failure of any, or any end of a permanent one.
        case childTerminated
        /// The child could not be started.
        case startError
        /// The child was told to end and ended for another reason, or had to be killed.
        case shutdownError
        /// There were too many restarts; the supervisor ends its children and itself.
        case shutdown
    }

    public let supervisor: Pid
    public let event: Event
    /// `.normal` where nothing failed.
    public let reason: ExitReason
    /// The child's specification. (OTP: `offender`.)
    public let specification: ChildSpecification
    /// nil when the child could not be started.
    public let child: Pid?
    /// How many children the report is about: more than one where children of a dynamic supervisor, all told to end,
    /// ended alike. The others are of the first one.
    public let childCount: Int

    public var id: String { specification.id }

    /// Whether it tells of a failure; the others are for the log's lower levels.
    public var isFailure: Bool { event != .progress }

    public var description: String {
        let name = child.map { "\(id) \($0)" } ?? id
        let others = childCount > 1 ? " and \(childCount - 1) more" : ""
        let start = "supervisor \(supervisor): child \(name)\(others)"
        return switch event {
        case .progress: "\(start) started"
        case .crash: "\(start) crashed: \(reason)\(backtrace)"
        case .childTerminated: "\(start) terminated: \(reason); \(specification.restart)"
        case .startError: "\(start) did not start: \(reason)"
        case .shutdownError: "\(start) did not shut down: \(reason)"
        case .shutdown: "supervisor \(supervisor): \(reason), the last of child \(name); giving up"
        }
    }

    /// Of a trap, a line for each function, innermost first.
    private var backtrace: String {
        guard case .trapped(let trap) = reason else { return "" }
        return trap.backtrace.map { "\n    at \($0)" }.joined()
    }
}

/// One child, as `whichChildren` lists it. (OTP: `which_children`.)
public struct ChildInformation: Sendable {
    public enum State: Sendable, Hashable {
        case running(Pid)
        /// Its restart failed and will be tried again.
        case restarting
        /// There is no process: it was terminated, or ended and is not to be restarted, or had nothing to start.
        case undefined
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

    public init(specifications: Int = 0, active: Int = 0, supervisors: Int = 0, workers: Int = 0) {
        self.specifications = specifications
        self.active = active
        self.supervisors = supervisors
        self.workers = workers
    }

    public static func + (a: Self, b: Self) -> Self {
        Self(
            specifications: a.specifications + b.specifications, active: a.active + b.active,
            supervisors: a.supervisors + b.supervisors, workers: a.workers + b.workers)
    }
}
