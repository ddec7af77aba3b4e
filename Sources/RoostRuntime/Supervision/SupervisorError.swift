// SPDX-License-Identifier: Apache-2.0

/// Why a supervisor did not do what it was asked to.
public enum SupervisorError: Error, Sendable, CustomStringConvertible {
    /// The child's start threw, for `reason`. As an error of `Supervisor.start`: the children started before it have
    /// been stopped.
    case startFailed(id: String, reason: ExitReason)
    /// A child of that id runs.
    case alreadyStarted(id: String, pid: Pid)
    /// A child of that id exists but does not run.
    case alreadyPresent(id: String)
    case notFound(id: String)
    /// The child runs, or is being restarted: terminate it first.
    case running(id: String)
    /// The operation is not for this strategy.
    case unsupported(operation: String, strategy: Supervisor.Strategy)
    /// The supervisor has ended, or ended before it answered.
    case ended(ExitReason)
    /// It did not answer in time; it may still do what it was asked to.
    case timedOut(Duration)

    public var description: String {
        switch self {
        case .startFailed(let id, let reason): "child '\(id)' did not start: \(reason)"
        case .alreadyStarted(let id, let pid): "child '\(id)' runs already, as \(pid)"
        case .alreadyPresent(let id): "child '\(id)' exists already; restart it, or delete it first"
        case .notFound(let id): "there is no child '\(id)'"
        case .running(let id): "child '\(id)' runs; terminate it first"
        case .unsupported(let operation, let strategy): "a supervisor with strategy \(strategy) has no \(operation)"
        case .ended(let reason): "the supervisor has ended: \(reason)"
        case .timedOut(let duration): "the supervisor did not answer within \(duration)"
        }
    }
}
