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
    /// Which children are started again when one of them fails. (OTP: `strategy()`.)
    ///
    /// Children start in the order given and end in the reverse. A temporary child is never started again, but ended
    /// with the others.
    public enum Strategy: Sendable, Hashable {
        /// That one.
        case oneForOne
        /// All: the others are ended, in reverse order, then all are started, in order.
        case oneForAll
        /// That one and those started after it: they are ended, in reverse order, then all of these are started.
        case restForOne
        /// That one. Children come and go at run time; none is kept once it has ended, ids need not be unique, and all
        /// end at once. (Elixir: `DynamicSupervisor`; OTP: `simple_one_for_one`.)
        case dynamic
    }

    /// Whether a supervisor shuts itself down, for reason `shutdown`, when significant children have ended by
    /// themselves and are not to start again. (OTP: `auto_shutdown()`.)
    ///
    /// Children that the supervisor ended, for a sibling's failure or by `terminateChild`, do not count.
    public enum AutoShutdown: Sendable, Hashable {
        /// No; significant children are refused.
        case never
        /// When one has.
        case anySignificant
        /// When the last one that ran has.
        case allSignificant
    }

    /// What a supervisor receives: made by the methods of its handle.
    public struct Request: Sendable {
        let content: Content

        enum Content: Sendable {
            typealias Answer<Value: Sendable> = ReplyAddress<Result<Value, SupervisorError>>
            case start(ChildSpecification, Answer<Pid?>)
            case restart(id: String, Answer<Pid?>)
            case terminate(ChildName, Answer<Bool>)
            case delete(id: String, Answer<Bool>)
            case find(id: String, ObjectIdentifier, Answer<Pid?>)
            case specification(ChildName, Answer<ChildSpecification>)
            case list(Answer<[ChildInformation]>)
            case count(Answer<ChildCounts>)
            /// The supervisor's own: a restart failed and is tried again after what else waits.
            case retry(UInt64)
            case stop(ExitReason)
        }
    }

    enum ChildName: Sendable { case id(String), pid(Pid) }

    public var pid: Pid { address.pid }
    let address: Address<Request>
    private let runtime: Runtime

    public static func == (a: Supervisor, b: Supervisor) -> Bool { a.address == b.address }
    public func hash(into hasher: inout Hasher) { hasher.combine(address) }

    init(_ address: Address<Request>, _ runtime: Runtime) {
        self.address = address
        self.runtime = runtime
    }

    // MARK: Starting

    /// Starts a supervisor, linked to the calling process, and its children, left to right; returns when all have
    /// started. (OTP: `start_link`.)
    ///
    /// It ends its children and itself when the caller ends. `onReport` is called in the supervisor's process, and must
    /// neither wait nor trap. Throws what `checkChildSpecifications` throws, before anything is started; or
    /// `startFailed` of the child that did not start: those before it have been ended then.
    public static func start<Message>(
        from process: borrowing ProcessContext<Message>, strategy: Strategy = .oneForOne,
        intensity: RestartIntensity = .standard, autoShutdown: AutoShutdown = .never,
        children: [ChildSpecification] = [], onReport: (@Sendable (SupervisorReport) -> Void)? = nil
    ) throws -> Supervisor {
        let settings = SupervisorProcess.Settings(
            parent: process.pid, strategy: strategy, intensity: intensity, autoShutdown: autoShutdown,
            children: children, onReport: onReport)
        return try start(settings, from: process, isLinked: true, obeying: nil)
    }

    /// Starts a supervisor that no process owns, and its children; returns when all have started. `stop` ends it.
    public static func start(
        in runtime: Runtime, strategy: Strategy = .oneForOne, intensity: RestartIntensity = .standard,
        autoShutdown: AutoShutdown = .never, children: [ChildSpecification] = [],
        onReport: (@Sendable (SupervisorReport) -> Void)? = nil
    ) async throws -> Supervisor {
        let settings = SupervisorProcess.Settings(
            parent: .outside, strategy: strategy, intensity: intensity, autoShutdown: autoShutdown,
            children: children, onReport: onReport)
        return try await runtime.run { try start(settings, from: $0, isLinked: false, obeying: nil) }
    }

    static func start<Message>(
        _ settings: SupervisorProcess.Settings, from process: borrowing ProcessContext<Message>, isLinked: Bool,
        obeying parent: Pid?, on schedulerIndex: Int? = nil
    ) throws -> Supervisor {
        try settings.check()
        // What it holds grows with its children, and it must outlive them.
        var options = ProcessOptions(heapByteCountMax: 0)
        options.schedulerIndex = schedulerIndex
        options.isPinned = schedulerIndex != nil
        do {
            let address = try process.start(
                receiving: Request.self, isLinked: isLinked, timeout: nil, obeying: parent, options: options
            ) { try SupervisorProcess.run(settings, $0, $1) }
            return Supervisor(address, process.runtime)
        } catch StartError.ended(.shutdownTerm(let error as SupervisorError)) {
            throw error
        } catch StartError.ended(let reason) {
            throw SupervisorError.ended(reason)
        }
    }

    /// Whether the specifications can be children of one supervisor: ids are unique, and each can be by itself and,
    /// unless it is nil, with `autoShutdown`. (OTP: `check_childspecs`.)
    public static func checkChildSpecifications(
        _ specifications: [ChildSpecification], autoShutdown: AutoShutdown? = nil
    ) throws(SupervisorError) {
        var ids: Set<String> = []
        for specification in specifications {
            try specification.check(autoShutdown: autoShutdown)
            if !ids.insert(specification.id).inserted { throw .duplicateID(id: specification.id) }
        }
    }

    /// Asks it, from outside any process, to end its children and itself; returns when it has ended.
    public func stop(_ reason: ExitReason = .shutdown) async {
        address.send(Request(content: .stop(reason)))
        _ = await runtime.exitReason(of: pid)
    }

    // MARK: Children

    /// Starts a child. Its pid; nil where its specification had nothing to start. (OTP: `start_child`.)
    ///
    /// Throws `alreadyStarted`, `alreadyPresent`, `startFailed`, or what is wrong with the specification.
    @discardableResult
    public func startChild<Message>(
        _ specification: ChildSpecification, from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws -> Pid? {
        try ask(process, timeout) { .start(specification, $0) }
    }

    @discardableResult
    public func startChild(_ specification: ChildSpecification) async throws -> Pid? {
        try await runtime.run { try startChild(specification, from: $0) }
    }

    /// Starts again a child that has been terminated, or has ended and stayed so. (OTP: `restart_child`.)
    ///
    /// Throws `notFound`, `running`, `restarting` or `startFailed`.
    @discardableResult
    public func restartChild<Message>(
        _ id: String, from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws -> Pid? {
        try ask(process, timeout) { .restart(id: id, $0) }
    }

    @discardableResult
    public func restartChild(_ id: String) async throws -> Pid? {
        try await runtime.run { try restartChild(id, from: $0) }
    }

    /// Ends a child and waits until it has ended. What is known of it is kept, unless it is temporary. (OTP:
    /// `terminate_child`.)
    public func terminateChild<Message>(
        _ id: String, from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws {
        _ = try ask(process, timeout) { .terminate(.id(id), $0) }
    }

    public func terminateChild(_ id: String) async throws { try await runtime.run { try terminateChild(id, from: $0) } }

    /// Ends the child with `pid` and waits until it has ended: for any strategy. A dynamic supervisor says `notFound`
    /// only of a pid that runs.
    public func terminateChild<Message>(
        _ pid: Pid, from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws {
        _ = try ask(process, timeout) { .terminate(.pid(pid), $0) }
    }

    public func terminateChild(_ pid: Pid) async throws { try await runtime.run { try terminateChild(pid, from: $0) } }

    /// Forgets a child that does not run. (OTP: `delete_child`.) Throws `notFound`, `running` or `restarting`.
    public func deleteChild<Message>(
        _ id: String, from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws {
        _ = try ask(process, timeout) { .delete(id: id, $0) }
    }

    public func deleteChild(_ id: String) async throws { try await runtime.run { try deleteChild(id, from: $0) } }

    /// Where the child `id` receives messages of type `type`, while it runs. Each restart makes a new address.
    public func address<Other: Sendable, Message>(
        of id: String, receiving type: Other.Type, from process: borrowing ProcessContext<Message>,
        timeout: Duration? = nil
    ) throws -> Address<Other>? {
        try ask(process, timeout) { .find(id: id, ObjectIdentifier(type), $0) }.map { Address(pid: $0) }
    }

    public func address<Other: Sendable>(of id: String, receiving type: Other.Type) async throws -> Address<Other>? {
        try await runtime.run { try address(of: id, receiving: type, from: $0) }
    }

    /// The specification of the child `id`. (OTP: `get_childspec`.)
    public func getChildSpecification<Message>(
        _ id: String, from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws -> ChildSpecification {
        try ask(process, timeout) { .specification(.id(id), $0) }
    }

    public func getChildSpecification(_ id: String) async throws -> ChildSpecification {
        try await runtime.run { try getChildSpecification(id, from: $0) }
    }

    /// The specification of the child with `pid`: for any strategy.
    public func getChildSpecification<Message>(
        _ pid: Pid, from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws -> ChildSpecification {
        try ask(process, timeout) { .specification(.pid(pid), $0) }
    }

    public func getChildSpecification(_ pid: Pid) async throws -> ChildSpecification {
        try await runtime.run { try getChildSpecification(pid, from: $0) }
    }

    /// All children, in the order in which they were first started; those of a dynamic supervisor in no order. (OTP:
    /// `which_children`.) A list of a million takes some 50 MB.
    public func whichChildren<Message>(
        from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws -> [ChildInformation] {
        try ask(process, timeout) { .list($0) }
    }

    public func whichChildren() async throws -> [ChildInformation] {
        try await runtime.run { try whichChildren(from: $0) }
    }

    /// How many children there are. (OTP: `count_children`.)
    public func countChildren<Message>(
        from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws -> ChildCounts {
        try ask(process, timeout) { .count($0) }
    }

    public func countChildren() async throws -> ChildCounts {
        try await runtime.run { try countChildren(from: $0) }
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
        } catch let error as CallError {
            switch error.cause {
            case .ended(let reason): throw SupervisorError.ended(reason)
            case .timedOut(let duration): throw SupervisorError.timedOut(duration)
            case .noProcess: throw SupervisorError.ended(.noProcess)
            case .callingItself, .unanswered: throw error
            }
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
