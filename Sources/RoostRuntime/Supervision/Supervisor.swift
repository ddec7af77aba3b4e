// SPDX-License-Identifier: Apache-2.0

/// A process that starts other processes, starts them again when they fail, and ends them when it ends. (OTP:
/// `supervisor`.)
///
/// This value is its handle: copy it, send it, keep it. Methods with `from:` are called in a process and make it wait;
/// those without are for tasks outside any process. Both throw `SupervisorError`, and the first `ProcessExit` when the
/// caller is told to exit.
///
///     let supervisor = try await Supervisor.start(in: runtime, children: [
///         ChildSpecification("clock") { process in … }
///     ])
public struct Supervisor: Sendable, Hashable {
    /// Which children are started again when one of them fails.
    public enum Strategy: Sendable, Hashable {
        /// That one. Children start in the order given and end in the reverse.
        case oneForOne
        /// That one. Children come and go at run time; none is kept once it has ended, ids need not be unique, and all
        /// end at once. (Elixir: `DynamicSupervisor`; OTP: `simple_one_for_one`.)
        case dynamic
    }

    /// What a supervisor receives: made by the methods of its handle.
    public struct Request: Sendable {
        let content: Content

        enum Content: Sendable {
            typealias Answer<Value: Sendable> = ReplyAddress<Result<Value, SupervisorError>>
            case begin(Answer<Bool>)
            case start(ChildSpecification, Answer<Pid?>)
            case restart(id: String, Answer<Pid?>)
            case terminate(ChildName, Answer<Bool>)
            case delete(id: String, Answer<Bool>)
            case find(id: String, ObjectIdentifier, Answer<Pid?>)
            case list(Answer<[ChildInformation]>)
            case count(Answer<ChildCounts>)
            /// The supervisor's own: a restart failed and is tried again after what else waits.
            case retry(UInt64)
        }
    }

    enum ChildName: Sendable { case id(String), pid(Pid) }

    public var pid: Pid { address.pid }
    let address: Address<Request>
    private let runtime: Runtime

    public static func == (a: Supervisor, b: Supervisor) -> Bool { a.address == b.address }
    public func hash(into hasher: inout Hasher) { hasher.combine(address) }

    // MARK: Starting

    /// Starts a supervisor, linked to the calling process, and its children; returns when all have started.
    ///
    /// It ends its children and itself when the caller ends. `onReport` is called in the supervisor's process.
    public static func start<Message>(
        from process: borrowing ProcessContext<Message>, strategy: Strategy = .oneForOne,
        intensity: RestartIntensity = .standard,
        children: [ChildSpecification] = [], onReport: (@Sendable (SupervisorReport) -> Void)? = nil
    ) throws -> Supervisor {
        let settings = SupervisorProcess.Settings(
            parent: process.pid, strategy: strategy, intensity: intensity, children: children, onReport: onReport)
        let address = process.spawnLink(receiving: Request.self, options: .unlimited) {
            try SupervisorProcess.run(settings, $0)
        }
        return try Supervisor(address, process.runtime).begun(process)
    }

    /// Starts a supervisor that no process owns, and its children; returns when all have started. `stop` ends it.
    public static func start(
        in runtime: Runtime, strategy: Strategy = .oneForOne, intensity: RestartIntensity = .standard,
        children: [ChildSpecification] = [], onReport: (@Sendable (SupervisorReport) -> Void)? = nil
    ) async throws -> Supervisor {
        let settings = SupervisorProcess.Settings(
            parent: .outside, strategy: strategy, intensity: intensity, children: children, onReport: onReport)
        let address = runtime.spawn(receiving: Request.self, options: .unlimited) {
            try SupervisorProcess.run(settings, $0)
        }
        return try await runtime.ask { try Supervisor(address, $0.runtime).begun($0) }
    }

    private init(_ address: Address<Request>, _ runtime: Runtime) {
        self.address = address
        self.runtime = runtime
    }

    private func begun<Message>(_ process: borrowing ProcessContext<Message>) throws -> Supervisor {
        _ = try ask(process, nil) { .begin($0) }
        return self
    }

    /// Asks it, from outside any process, to end its children and itself; returns when it has ended.
    public func stop() async {
        runtime.exit(pid, .shutdown)
        _ = await runtime.exitReason(of: pid)
    }

    // MARK: Children

    /// Starts a child. Its pid; nil where its specification had nothing to start.
    @discardableResult
    public func startChild<Message>(
        _ specification: ChildSpecification, from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws -> Pid? {
        try ask(process, timeout) { .start(specification, $0) }
    }

    @discardableResult
    public func startChild(_ specification: ChildSpecification) async throws -> Pid? {
        try await runtime.ask { try startChild(specification, from: $0) }
    }

    /// Starts again a child that has been terminated, or has ended and stayed so.
    @discardableResult
    public func restartChild<Message>(
        _ id: String, from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws -> Pid? {
        try ask(process, timeout) { .restart(id: id, $0) }
    }

    @discardableResult
    public func restartChild(_ id: String) async throws -> Pid? {
        try await runtime.ask { try restartChild(id, from: $0) }
    }

    /// Ends a child and waits until it has ended. What is known of it is kept, unless it is temporary.
    public func terminateChild<Message>(
        _ id: String, from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws {
        _ = try ask(process, timeout) { .terminate(.id(id), $0) }
    }

    public func terminateChild(_ id: String) async throws { try await runtime.ask { try terminateChild(id, from: $0) } }

    /// Ends the child with `pid` and waits until it has ended: for any strategy.
    public func terminateChild<Message>(
        _ pid: Pid, from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws {
        _ = try ask(process, timeout) { .terminate(.pid(pid), $0) }
    }

    public func terminateChild(_ pid: Pid) async throws { try await runtime.ask { try terminateChild(pid, from: $0) } }

    /// Forgets a child that does not run.
    public func deleteChild<Message>(
        _ id: String, from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws {
        _ = try ask(process, timeout) { .delete(id: id, $0) }
    }

    public func deleteChild(_ id: String) async throws { try await runtime.ask { try deleteChild(id, from: $0) } }

    /// Where the child `id` receives messages of type `type`, while it runs. Each restart makes a new address.
    public func address<Other: Sendable, Message>(
        of id: String, receiving type: Other.Type, from process: borrowing ProcessContext<Message>,
        timeout: Duration? = nil
    ) throws -> Address<Other>? {
        try ask(process, timeout) { .find(id: id, ObjectIdentifier(type), $0) }.map { Address(pid: $0) }
    }

    public func address<Other: Sendable>(of id: String, receiving type: Other.Type) async throws -> Address<Other>? {
        try await runtime.ask { try address(of: id, receiving: type, from: $0) }
    }

    /// All children, in the order in which they were first started.
    public func children<Message>(
        from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws -> [ChildInformation] {
        try ask(process, timeout) { .list($0) }
    }

    public var children: [ChildInformation] {
        get async throws { try await runtime.ask { try children(from: $0) } }
    }

    public func counts<Message>(
        from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws -> ChildCounts {
        try ask(process, timeout) { .count($0) }
    }

    public var counts: ChildCounts {
        get async throws { try await runtime.ask { try counts(from: $0) } }
    }

    private func ask<Message, Value: Sendable>(
        _ process: borrowing ProcessContext<Message>, _ timeout: Duration?,
        _ content: (Request.Content.Answer<Value>) -> Request.Content
    ) throws -> Value {
        do {
            let answer: Result<Value, SupervisorError> = try process.call(address, timeout: timeout) {
                Request(content: content($0))
            }
            return try answer.get()
        } catch CallError.ended(let reason) {
            throw SupervisorError.ended(reason)
        } catch CallError.timedOut(let duration) {
            throw SupervisorError.timedOut(duration)
        }
    }
}

extension Supervisor {
    /// Starts a child of a dynamic supervisor that is one process, and returns where it receives its messages.
    ///
    /// A child that is started again has a new address; a temporary one, which this makes by default, never is.
    @discardableResult
    public func startChild<Other: Sendable, Message>(
        _ id: String = "child", receiving type: Other.Type, restart: ChildSpecification.Restart = .temporary,
        from process: borrowing ProcessContext<Message>,
        _ body: @escaping @Sendable (borrowing ProcessContext<Other>) throws -> Void
    ) throws -> Address<Other> {
        let specification = ChildSpecification(id, receiving: type, restart: restart, body)
        // Such a specification always starts a process, of this very type.
        return Address(pid: try startChild(specification, from: process)!)
    }
}

extension Pid {
    /// Who sends signals that no process sends.
    static let outside = Pid(word: 0)
}

extension ProcessOptions {
    /// Of a supervisor: what it holds grows with its children, and it must outlive them.
    fileprivate static let unlimited = ProcessOptions(heapByteCountMax: 0)
}
