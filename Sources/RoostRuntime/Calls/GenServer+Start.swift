// SPDX-License-Identifier: Apache-2.0

extension GenServer {
    /// Starts a server linked with this process and waits until `make` has made its state, in the server's process.
    /// (OTP: `gen_server:start_link/3`, `init/1`.)
    ///
    /// The server ends when this process does; when it traps exits, `terminate` is called first.
    ///
    /// - Parameter timeout: of `make`, past which the server is killed; nil: none, as in OTP.
    /// - Throws: `StartError.ended` with what `make` threw as its reason, in which case no exit signal follows;
    ///   `StartError.timedOut`; `ProcessExit` when this process is told to exit.
    public static func startLink<Other>(
        from process: borrowing ProcessContext<Other>, timeout: Duration? = nil,
        options: ProcessOptions = ProcessOptions(), _ make: @escaping @Sendable (borrowing Context) throws -> Self
    ) throws -> ServerAddress<Self> {
        try process.startLink(receiving: ServerMessage<Self>.self, timeout: timeout, options: options) {
            try ServerLoop.run(make, $1, $0)
        }
    }

    /// As `startLink`, without a link. (OTP: `gen_server:start/3`.)
    public static func start<Other>(
        from process: borrowing ProcessContext<Other>, timeout: Duration? = nil,
        options: ProcessOptions = ProcessOptions(), _ make: @escaping @Sendable (borrowing Context) throws -> Self
    ) throws -> ServerAddress<Self> {
        try process.start(
            receiving: ServerMessage<Self>.self, isLinked: false, timeout: timeout, obeying: nil, options: options
        ) {
            try ServerLoop.run(make, $1, $0)
        }
    }

    /// As `start`, from a task outside any process.
    public static func start(
        in runtime: Runtime, timeout: Duration? = nil, options: ProcessOptions = ProcessOptions(),
        _ make: @escaping @Sendable (borrowing Context) throws -> Self
    ) async throws -> ServerAddress<Self> {
        try await runtime.run { try start(from: $0, timeout: timeout, options: options, make) }
    }

    /// A server as a child of a supervisor, which waits until `make` has made its state.
    ///
    /// Each start makes a new address: give the server a name in `make`, or ask the supervisor for it.
    public static func childSpecification(
        id: String = "\(Self.self)", restart: ChildSpecification.Restart = .permanent, significant: Bool = false,
        shutdown: ChildSpecification.Shutdown = .timeout(.seconds(5)), startTimeout: Duration? = nil,
        options: ProcessOptions = ProcessOptions(), _ make: @escaping @Sendable (borrowing Context) throws -> Self
    ) -> ChildSpecification {
        .initializing(
            id, receiving: ServerMessage<Self>.self, restart: restart, significant: significant, shutdown: shutdown,
            startTimeout: startTimeout, options: options
        ) {
            try ServerLoop.run(make, $1, $0)
        }
    }
}
