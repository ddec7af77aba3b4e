// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// Several supervisors in the place of one, each on a scheduler of its own, so that children by the million come and go
/// without one process that all of them wait for. (Elixir: `PartitionSupervisor`.)
///
/// The value is made first and then started, by itself or as a child of another supervisor; it stays valid over
/// restarts of the partitions and of the whole. Copy it, send it, keep it.
///
///     let sessions = PartitionSupervisor(in: runtime)
///     try await sessions.start()
///     // in a process:
///     try sessions.startChild(session, from: process)
///     try sessions.startChild(session, key: userID, from: process)
///
/// A partition that gives up is started again, without the children that were added to it. Calls to it fail meanwhile,
/// with `SupervisorError.ended`.
public struct PartitionSupervisor: Sendable {
    private let runtime: Runtime
    private let settings: @Sendable (Int) -> SupervisorProcess.Settings
    private let intensity: RestartIntensity
    private let top = Cell()
    private let cells: [Cell]

    /// Partitions there are, 1 or more.
    public var partitionCount: Int { cells.count }

    /// The most restarts of partitions before all give up: 3 in 5 seconds, as Elixir's.
    public static let standardPartitionIntensity = RestartIntensity(3, in: .seconds(5))

    /// - Parameters:
    ///   - partitions: how many; nil: one for each scheduler. The partition `n` is on scheduler `n`, counted round.
    ///   - partitionIntensity: restarts of partitions that are allowed.
    ///   - strategy: of each partition, like `intensity`, `autoShutdown` and `onReport`, which partitions call at once.
    ///   - children: what each partition starts with, from its number.
    public init(
        in runtime: Runtime, partitions: Int? = nil, partitionIntensity: RestartIntensity = standardPartitionIntensity,
        strategy: Supervisor.Strategy = .dynamic, intensity: RestartIntensity = .standard,
        autoShutdown: Supervisor.AutoShutdown = .never,
        children: @escaping @Sendable (Int) -> [ChildSpecification] = { _ in [] },
        onReport: (@Sendable (SupervisorReport) -> Void)? = nil
    ) {
        let count = partitions ?? runtime.schedulerCount
        precondition(count > 0, "\(count) partitions; use 1 or more")
        self.runtime = runtime
        self.intensity = partitionIntensity
        cells = (0..<count).map { _ in Cell() }
        settings = { number in
            SupervisorProcess.Settings(
                parent: .outside, strategy: strategy, intensity: intensity, autoShutdown: autoShutdown,
                children: children(number), onReport: onReport)
        }
    }

    // MARK: Starting

    /// Starts all partitions, linked to the calling process; returns when all have started. Throws as
    /// `Supervisor.start`; `alreadyStarted` where it runs.
    public func start<Message>(from process: borrowing ProcessContext<Message>) throws {
        try checkDoesNotRun()
        top.set(try Supervisor.start(from: process, intensity: intensity, children: partitions).pid)
    }

    /// Starts all partitions; no process owns them, and `stop` ends them.
    public func start() async throws {
        try checkDoesNotRun()
        top.set(try await Supervisor.start(in: runtime, intensity: intensity, children: partitions).pid)
    }

    /// Ends all partitions with their children, from outside any process; returns when they have ended.
    public func stop() async {
        guard let pid = top.pid else { return }
        await Supervisor(Address(pid: pid), runtime).stop()
    }

    /// It as a child of another supervisor.
    public func childSpecification(
        _ id: String, restart: ChildSpecification.Restart = .permanent
    ) -> ChildSpecification {
        let settings = SupervisorProcess.Settings(
            parent: .outside, strategy: .oneForOne, intensity: intensity, autoShutdown: .never, children: partitions,
            onReport: nil)
        return .supervisor(id, restart, false, .infinity, settings) { [top] in top.set($0) }
    }

    private func checkDoesNotRun() throws(SupervisorError) {
        guard let pid = top.pid, ProcessTable.find(pid) != nil else { return }
        throw .alreadyStarted(id: "partitions", pid: pid)
    }

    private var partitions: [ChildSpecification] {
        cells.enumerated().map { number, cell in
            .supervisor(String(number), on: number % runtime.schedulerCount, settings(number)) { cell.set($0) }
        }
    }

    // MARK: Routing

    /// The partition with `number`, 0 or more, below `partitionCount`.
    public func partition(_ number: Int) -> Supervisor {
        Supervisor(Address(pid: cells[number].pid ?? .outside), runtime)
    }

    /// Where all that has to do with `key` goes: the same partition while the program runs.
    public func partition(for key: some Hashable) -> Supervisor { partition(number(for: key)) }

    func number(for key: some Hashable) -> Int { Int(UInt(bitPattern: key.hashValue) % UInt(cells.count)) }

    /// The partition on the scheduler that `process` runs on, where there are enough partitions: no message to it
    /// leaves the core.
    public func partition<Message>(near process: borrowing ProcessContext<Message>) -> Supervisor {
        partition((SchedulerRef.current?.index ?? 0) % cells.count)
    }

    // MARK: Children

    /// Starts a child under the partition of the caller's own scheduler.
    @discardableResult
    public func startChild<Message>(
        _ specification: ChildSpecification, from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws -> Pid? {
        try partition(near: process).startChild(specification, from: process, timeout: timeout)
    }

    /// Starts a child under the partition of `key`.
    @discardableResult
    public func startChild<Message>(
        _ specification: ChildSpecification, key: some Hashable, from process: borrowing ProcessContext<Message>,
        timeout: Duration? = nil
    ) throws -> Pid? {
        try partition(for: key).startChild(specification, from: process, timeout: timeout)
    }

    /// Ends the child with `pid`, whichever partition it is in, and waits until it has ended. Asks one after the other,
    /// that of the caller's own scheduler first.
    public func terminateChild<Message>(
        _ pid: Pid, from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws {
        let first = SchedulerRef.current?.index ?? 0
        for number in 0..<cells.count {
            do {
                let supervisor = partition((first + number) % cells.count)
                return try supervisor.terminateChild(pid, from: process, timeout: timeout)
            } catch SupervisorError.notFound {}
        }
        throw SupervisorError.notFound(id: "\(pid)")
    }

    /// The sum of all partitions: each figure is right, of moments that follow each other.
    public func countChildren<Message>(
        from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws -> ChildCounts {
        var sum = ChildCounts()
        for number in 0..<cells.count {
            sum = try sum + partition(number).countChildren(from: process, timeout: timeout)
        }
        return sum
    }

    public func countChildren() async throws -> ChildCounts { try await runtime.run { try countChildren(from: $0) } }

    /// The children of all partitions, partition by partition.
    public func whichChildren<Message>(
        from process: borrowing ProcessContext<Message>, timeout: Duration? = nil
    ) throws -> [ChildInformation] {
        var all: [ChildInformation] = []
        for number in 0..<cells.count {
            all += try partition(number).whichChildren(from: process, timeout: timeout)
        }
        return all
    }

    public func whichChildren() async throws -> [ChildInformation] {
        try await runtime.run { try whichChildren(from: $0) }
    }
}

/// Who a partition is at present: written by the process that starts it, read by anyone.
private final class Cell: Sendable {
    private let word = Atomic<UInt64>(0)

    /// nil before the first start.
    var pid: Pid? {
        let word = word.load(ordering: .acquiring)
        return word == 0 ? nil : Pid(word: word)
    }

    func set(_ pid: Pid) { word.store(pid.word, ordering: .releasing) }
}
