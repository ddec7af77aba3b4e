// SPDX-License-Identifier: Apache-2.0

/// How a supervisor starts, restarts and stops one child. (OTP: `child_spec()`.)
///
/// A value, and one word: a million children started from one specification share it.
public struct ChildSpecification: Sendable, CustomStringConvertible {
    /// Called in the supervisor's process, with the process that the supervisor obeys.
    typealias Start = @Sendable (borrowing ProcessContext<Supervisor.Request>, Pid) throws -> Pid?

    /// When a child that has ended is started again.
    public enum Restart: Sendable, Hashable {
        /// Always.
        case permanent
        /// Only when it failed: for a reason other than `normal`, `shutdown` and `shutdownTerm`.
        case transient
        /// Never, whatever the strategy; what is known of it is forgotten when it ends.
        case temporary

        func restarts(after reason: ExitReason) -> Bool {
            switch self {
            case .permanent: true
            case .transient: !reason.isNormal
            case .temporary: false
            }
        }
    }

    /// How a child is made to end.
    public enum Shutdown: Sendable, Hashable {
        /// `exit(child, .kill)`: it cannot tidy up.
        case brutalKill
        /// `exit(child, .shutdown)`, and `.kill` when it has not ended after so long.
        case timeout(Duration)
        /// `exit(child, .shutdown)`, and as long as it takes: for supervisors, and for workers that surely end.
        case infinity
    }

    public enum Kind: Sendable, Hashable { case worker, supervisor }

    private let content: Content

    /// Unique among a supervisor's children; a dynamic supervisor uses it in reports only.
    public var id: String { content.id }
    public var restart: Restart { content.restart }
    /// Whether the end of the child may shut its supervisor down; see `Supervisor.AutoShutdown`.
    public var isSignificant: Bool { content.isSignificant }
    public var shutdown: Shutdown { content.shutdown }
    public var kind: Kind { content.kind }
    /// The type of messages that its address takes; nil where only its own code knows.
    var messageType: ObjectIdentifier? { content.messageType }
    /// nil in the specification that a supervisor keeps of a temporary child, which never starts again: what its code
    /// captured is free.
    var start: Start? { content.start }

    /// Whether a child can be started from it. False for what `getChildSpecification` tells of a temporary child: a
    /// supervisor keeps no code that it will not run again.
    public var isStartable: Bool { content.start != nil }

    /// A child that is one process, which runs `body` and receives no messages.
    public init(
        _ id: String, restart: Restart = .permanent, significant: Bool = false,
        shutdown: Shutdown = .timeout(.seconds(5)), options: ProcessOptions = ProcessOptions(),
        _ body: @escaping @Sendable (borrowing ProcessContext<Never>) throws -> Void
    ) {
        self.init(
            id, receiving: Never.self, restart: restart, significant: significant, shutdown: shutdown, options: options,
            body)
    }

    /// A child that is one process, which runs `body` and receives messages of type `type`.
    public init<Message: Sendable>(
        _ id: String, receiving type: Message.Type, restart: Restart = .permanent, significant: Bool = false,
        shutdown: Shutdown = .timeout(.seconds(5)), options: ProcessOptions = ProcessOptions(),
        _ body: @escaping @Sendable (borrowing ProcessContext<Message>) throws -> Void
    ) {
        var options = options
        options.label = options.label ?? id
        self.init(id, restart, significant, shutdown, .worker, ObjectIdentifier(type)) { [options] supervisor, _ in
            supervisor.spawnLink(receiving: type, options: options, body).pid
        }
    }

    /// A child that `start` starts, in the supervisor's process: it spawns the child linked, may wait until it is
    /// ready, and returns its pid. When `start` throws, the child has not started; nil says that there is nothing to
    /// start (OTP: `ignore`).
    ///
    /// The supervisor does nothing else meanwhile, not even obey its own: a start that waits should be `initializing`,
    /// which has a timeout. A trap in `start` is a trap of the supervisor. `shutdown` defaults to 5 s for workers and
    /// to `infinity` for supervisors.
    public static func starting(
        _ id: String, restart: Restart = .permanent, significant: Bool = false, shutdown: Shutdown? = nil,
        kind: Kind = .worker,
        _ start: @escaping @Sendable (borrowing ProcessContext<Supervisor.Request>) throws -> Pid?
    ) -> ChildSpecification {
        let shutdown = shutdown ?? (kind == .supervisor ? .infinity : .timeout(.seconds(5)))
        return ChildSpecification(id, restart, significant, shutdown, kind, nil) { supervisor, _ in
            try start(supervisor)
        }
    }

    /// A child that is one process, and has started once it says so: `body` initialises, calls `ready()`, and goes on.
    /// (OTP: `proc_lib:start_link` with a timeout, and `init_ack`.)
    ///
    /// A child that ends before it is ready, by a trap as well, or is not ready after `startTimeout` (and is killed
    /// then), has failed to start. Its supervisor obeys its own even while it waits.
    public static func initializing<Message: Sendable>(
        _ id: String, receiving type: Message.Type, restart: Restart = .permanent, significant: Bool = false,
        shutdown: Shutdown = .timeout(.seconds(5)), startTimeout: Duration? = nil,
        options: ProcessOptions = ProcessOptions(),
        _ body: @escaping @Sendable (borrowing ProcessContext<Message>, InitialAcknowledgement) throws -> Void
    ) -> ChildSpecification {
        ChildSpecification(id, restart, significant, shutdown, .worker, ObjectIdentifier(type)) { supervisor, parent in
            try supervisor.start(
                receiving: type, isLinked: true, timeout: startTimeout, obeying: parent, options: options, body
            ).pid
        }
    }

    /// A child that is a supervisor itself.
    ///
    /// With an auto-shutdown other than `never` it should not be permanent: it would be started again each time.
    public static func supervisor(
        _ id: String, restart: Restart = .permanent, significant: Bool = false, shutdown: Shutdown = .infinity,
        strategy: Supervisor.Strategy = .oneForOne, intensity: RestartIntensity = .standard,
        autoShutdown: Supervisor.AutoShutdown = .never, children: [ChildSpecification] = [],
        onReport: (@Sendable (SupervisorReport) -> Void)? = nil
    ) -> ChildSpecification {
        supervisor(
            id, restart, significant, shutdown,
            SupervisorProcess.Settings(
                parent: .outside, strategy: strategy, intensity: intensity, autoShutdown: autoShutdown,
                children: children, onReport: onReport))
    }

    static func supervisor(
        _ id: String, _ restart: Restart = .permanent, _ isSignificant: Bool = false, _ shutdown: Shutdown = .infinity,
        on schedulerIndex: Int? = nil, _ settings: SupervisorProcess.Settings,
        onStart: (@Sendable (Pid) -> Void)? = nil
    ) -> ChildSpecification {
        let type = ObjectIdentifier(Supervisor.Request.self)
        return ChildSpecification(id, restart, isSignificant, shutdown, .supervisor, type) { supervisor, parent in
            var settings = settings
            settings.parent = supervisor.pid
            let pid = try Supervisor.start(
                settings, from: supervisor, isLinked: true, obeying: parent, on: schedulerIndex
            ).pid
            onStart?(pid)
            return pid
        }
    }

    init(
        _ id: String, _ restart: Restart, _ isSignificant: Bool, _ shutdown: Shutdown, _ kind: Kind,
        _ messageType: ObjectIdentifier?, _ start: Start?
    ) {
        content = Content(id, restart, isSignificant, shutdown, kind, messageType, start)
    }

    /// Without the code: what is kept of a child that never starts again.
    var withoutStart: ChildSpecification {
        ChildSpecification(id, restart, isSignificant, shutdown, kind, messageType, nil)
    }

    /// Whether both describe the same, code apart.
    func isLike(_ other: ChildSpecification) -> Bool {
        id == other.id && restart == other.restart && isSignificant == other.isSignificant
            && shutdown == other.shutdown && kind == other.kind && messageType == other.messageType
    }

    public var description: String {
        "child '\(id)' (\(restart) \(kind)\(isSignificant ? ", significant" : ""), shutdown \(shutdown))"
    }

    private final class Content: Sendable {
        let id: String
        let restart: Restart
        let isSignificant: Bool
        let shutdown: Shutdown
        let kind: Kind
        let messageType: ObjectIdentifier?
        let start: Start?

        init(
            _ id: String, _ restart: Restart, _ isSignificant: Bool, _ shutdown: Shutdown, _ kind: Kind,
            _ messageType: ObjectIdentifier?, _ start: Start?
        ) {
            self.id = id
            self.restart = restart
            self.isSignificant = isSignificant
            self.shutdown = shutdown
            self.kind = kind
            self.messageType = messageType
            self.start = start
        }
    }
}

extension ChildSpecification {
    /// What is wrong with it by itself, or under a supervisor with `autoShutdown`; nil: nothing is looked at but the
    /// specification. (OTP: `check_childspecs`.)
    func check(autoShutdown: Supervisor.AutoShutdown?) throws(SupervisorError) {
        if !isStartable { throw .invalidSpecification(id: id, .noStart) }
        if case .timeout(let duration) = shutdown, duration < .zero {
            throw .invalidSpecification(id: id, .negativeShutdown(duration))
        }
        guard isSignificant else { return }
        if autoShutdown == .never { throw .invalidSpecification(id: id, .significantWithoutAutoShutdown) }
        if restart == .permanent { throw .invalidSpecification(id: id, .significantPermanent) }
    }
}
