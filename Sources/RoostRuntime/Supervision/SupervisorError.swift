// SPDX-License-Identifier: Apache-2.0

/// Why a supervisor did not do what it was asked to.
public enum SupervisorError: Error, Sendable, CustomStringConvertible {
    /// The child's start failed, for `reason`. As an error of `Supervisor.start`: the children started before it have
    /// been stopped. (OTP: `{shutdown, {failed_to_start_child, Id, Reason}}`.)
    case startFailed(id: String, reason: ExitReason)
    /// A child of that id runs.
    case alreadyStarted(id: String, pid: Pid)
    /// A child of that id exists but does not run.
    case alreadyPresent(id: String)
    case notFound(id: String)
    /// The child runs: terminate it first.
    case running(id: String)
    /// Its restart failed and is about to be tried again: terminate it first.
    case restarting(id: String)
    /// Two children of one list have this id. (OTP: `duplicate_child_name`.)
    case duplicateID(id: String)
    /// The specification cannot be, or cannot be here.
    case invalidSpecification(id: String, SpecificationProblem)
    /// A dynamic supervisor has no auto-shutdown: its children are not parts of one whole.
    case invalidAutoShutdown(Supervisor.AutoShutdown, strategy: Supervisor.Strategy)
    /// The operation is not for this strategy.
    case unsupported(operation: String, strategy: Supervisor.Strategy)
    /// More restarts than the intensity allows: the reason that a supervisor's last report gives.
    case reachedMaxRestartIntensity(RestartIntensity)
    /// The supervisor has ended, or ended before it answered.
    case ended(ExitReason)
    /// It did not answer in time; it may still do what it was asked to.
    case timedOut(Duration)

    /// What may be wrong with a child specification. (OTP: `bad_combination` and the `invalid_` errors.)
    public enum SpecificationProblem: Sendable, Hashable, CustomStringConvertible {
        /// A significant child where auto-shutdown is `never`.
        case significantWithoutAutoShutdown
        /// A significant child that is permanent.
        case significantPermanent
        case negativeShutdown(Duration)
        /// It was made for inspection, by `getChildSpecification`.
        case noStart

        public var description: String {
            switch self {
            case .significantWithoutAutoShutdown:
                "is significant, but the supervisor's auto-shutdown is never; use anySignificant or allSignificant"
            case .significantPermanent: "is significant and permanent; use transient or temporary"
            case .negativeShutdown(let duration): "has a shutdown timeout of \(duration); use zero or more"
            case .noStart: "was read from a supervisor that no longer has its code; make a new one"
            }
        }
    }

    public var description: String {
        switch self {
        case .startFailed(let id, let reason): "child '\(id)' did not start: \(reason)"
        case .alreadyStarted(let id, let pid): "child '\(id)' runs already, as \(pid)"
        case .alreadyPresent(let id): "child '\(id)' exists already; restart it, or delete it first"
        case .notFound(let id): "there is no child '\(id)'"
        case .running(let id): "child '\(id)' runs; terminate it first"
        case .restarting(let id): "child '\(id)' is about to be restarted; terminate it first"
        case .duplicateID(let id): "two children have the id '\(id)'; give each its own"
        case .invalidSpecification(let id, let problem): "child '\(id)' \(problem)"
        case .invalidAutoShutdown(let autoShutdown, let strategy):
            "a supervisor with strategy \(strategy) cannot have auto-shutdown \(autoShutdown); use never"
        case .unsupported(let operation, let strategy): "a supervisor with strategy \(strategy) has no \(operation)"
        case .reachedMaxRestartIntensity(let intensity):
            "more than \(intensity.restartCountMax) restarts in \(intensity.period)"
        case .ended(let reason): "the supervisor has ended: \(reason)"
        case .timedOut(let duration): "the supervisor did not answer within \(duration)"
        }
    }
}
