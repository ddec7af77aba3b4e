// SPDX-License-Identifier: Apache-2.0

/// How a supervisor starts, restarts and stops one child.
public struct ChildSpecification: Sendable {
    /// When a child that has ended is started again.
    public enum Restart: Sendable, Hashable {
        /// Always.
        case permanent
        /// Only when it failed: for a reason other than `normal` and `shutdown`.
        case transient
        /// Never; what is known of it is forgotten when it ends.
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
        /// `exit(child, .shutdown)`, and as long as it takes: for supervisors.
        case infinity
    }

    public enum Kind: Sendable, Hashable { case worker, supervisor }

    /// Unique among a supervisor's children; a dynamic supervisor uses it in reports only.
    public let id: String
    public let restart: Restart
    public let shutdown: Shutdown
    public let kind: Kind
    /// The type of messages that its address takes; nil where only its own code knows.
    let messageType: ObjectIdentifier?
    let start: @Sendable (borrowing ProcessContext<Supervisor.Request>) throws -> Pid?

    /// A child that is one process, which runs `body` and receives no messages.
    public init(
        _ id: String, restart: Restart = .permanent, shutdown: Shutdown = .timeout(.seconds(5)),
        options: ProcessOptions = ProcessOptions(),
        _ body: @escaping @Sendable (borrowing ProcessContext<Never>) throws -> Void
    ) {
        self.init(id, receiving: Never.self, restart: restart, shutdown: shutdown, options: options, body)
    }

    /// A child that is one process, which runs `body` and receives messages of type `type`.
    public init<Message: Sendable>(
        _ id: String, receiving type: Message.Type, restart: Restart = .permanent,
        shutdown: Shutdown = .timeout(.seconds(5)), options: ProcessOptions = ProcessOptions(),
        _ body: @escaping @Sendable (borrowing ProcessContext<Message>) throws -> Void
    ) {
        self.init(id, restart, shutdown, .worker, ObjectIdentifier(type)) { supervisor in
            supervisor.spawnLink(receiving: type, options: options, body).pid
        }
    }

    /// A child that `start` starts, in the supervisor's process: it spawns the child linked, may wait until it is
    /// ready, and returns its pid. When `start` throws, the child has not started; nil says that there is nothing to
    /// start (OTP: `ignore`).
    ///
    /// The supervisor does nothing else meanwhile.
    public static func starting(
        _ id: String, restart: Restart = .permanent, shutdown: Shutdown = .timeout(.seconds(5)), kind: Kind = .worker,
        _ start: @escaping @Sendable (borrowing ProcessContext<Supervisor.Request>) throws -> Pid?
    ) -> ChildSpecification {
        ChildSpecification(id, restart, shutdown, kind, nil, start)
    }

    /// A child that is a supervisor itself.
    public static func supervisor(
        _ id: String, restart: Restart = .permanent, shutdown: Shutdown = .infinity,
        strategy: Supervisor.Strategy = .oneForOne, intensity: RestartIntensity = .standard,
        children: [ChildSpecification] = [], onReport: (@Sendable (SupervisorReport) -> Void)? = nil
    ) -> ChildSpecification {
        ChildSpecification(id, restart, shutdown, .supervisor, ObjectIdentifier(Supervisor.Request.self)) {
            supervisor in
            try Supervisor.start(
                from: supervisor, strategy: strategy, intensity: intensity, children: children, onReport: onReport
            ).pid
        }
    }

    private init(
        _ id: String, _ restart: Restart, _ shutdown: Shutdown, _ kind: Kind, _ messageType: ObjectIdentifier?,
        _ start: @escaping @Sendable (borrowing ProcessContext<Supervisor.Request>) throws -> Pid?
    ) {
        self.id = id
        self.restart = restart
        self.shutdown = shutdown
        self.kind = kind
        self.messageType = messageType
        self.start = start
    }
}
