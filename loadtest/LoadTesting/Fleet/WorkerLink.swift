// SPDX-License-Identifier: Apache-2.0

/// How far a worker's clients are.
package struct WorkerStatus: Codable, Sendable, Equatable {
    package var clientCount: Int
    /// Clients whose first connection has opened or failed.
    package var settledCount: Int
    package var openCount: Int
    /// Attempts that failed.
    package var failedCount: Int
    /// Connections that are being opened, are open or are closing.
    package var connectionCount = 0
    /// Clients that have lost an open connection, once or more often.
    package var lostCount = 0
    /// Connections that were cut at the end while something was unanswered.
    package var abandonedCount = 0
    /// Clients that are back, and whose first message since has not been answered.
    package var silentCount = 0
    /// All have begun, none has a connection, and none comes back.
    package var isDeserted: Bool

    package init(
        clientCount: Int, settledCount: Int, openCount: Int, failedCount: Int, connectionCount: Int = 0,
        lostCount: Int = 0, abandonedCount: Int = 0, silentCount: Int = 0, isDeserted: Bool
    ) {
        self.clientCount = clientCount
        self.settledCount = settledCount
        self.openCount = openCount
        self.failedCount = failedCount
        self.connectionCount = connectionCount
        self.lostCount = lostCount
        self.abandonedCount = abandonedCount
        self.silentCount = silentCount
        self.isDeserted = isDeserted
    }
}

/// What a worker has counted.
package struct WorkerSnapshot: Sendable {
    /// By group: counts since the beginning, distributions since the last snapshot.
    package var groups: [GroupMeasure]
    /// Of each scheduler, since the last snapshot.
    package var usage: [SchedulerUsage] = []
    /// Since the beginning, by kind.
    package var errors: [TestError] = []
    /// User-space memory of the worker's program; nil: not known.
    package var ownByteCount: Int?

    package init(groupCount: Int) { groups = Array(repeating: GroupMeasure(), count: groupCount) }
}

/// A worker, wherever it runs: in this program, in another, on another machine.
///
/// The run calls `connect`, then `tell` and `snapshot` as its phases go, `stop` last. An error says that the worker is
/// lost.
package protocol WorkerLink: Sendable {
    /// What it is called in errors and warnings; nil where it is this program.
    var name: String? { get }
    /// How many workers stand behind it.
    var workerCount: Int { get }
    /// How far off its clock may be from the coordinator's; nil: it is the same.
    ///
    /// Of several workers: how far off the time may be that a message takes from one of them to another.
    var clockUncertaintyNanoseconds: UInt64? { get }
    /// Compares the clocks once more, at the end of a run: they may run at different rates.
    func compareClocks() async
    /// Begins the connections. Does not wait for them.
    func connect() async throws(LoadTestError)
    func status() async throws(LoadTestError) -> WorkerStatus
    func tell(_ command: WorkerCommand) async throws(LoadTestError)
    func snapshot() async throws(LoadTestError) -> WorkerSnapshot
    /// Closes every connection, waiting at most so long for the other side.
    func stop(timeoutSeconds: Double) async
}

extension WorkerLink {
    package var workerCount: Int { 1 }
    package var clockUncertaintyNanoseconds: UInt64? { nil }
    package func compareClocks() async {}
}

/// What a run tells all clients of a worker.
package enum WorkerCommand: String, Codable, Sendable {
    case begin, end, drop

    var clientCommand: ClientCommand {
        switch self {
        case .begin: .begin
        case .end: .end
        case .drop: .drop
        }
    }
}

/// The worker of this program.
package final class LocalWorker: WorkerLink {
    private let worker: Worker
    package let name: String? = nil

    /// Throws where the plan cannot be run here.
    package init(_ plan: LoadPlan, _ place: WorkerPlace) async throws(LoadTestError) {
        worker = try await Worker(plan, place)
    }

    package func connect() { Task { await worker.connect() } }
    package func status() -> WorkerStatus { worker.status }
    package func tell(_ command: WorkerCommand) async { await worker.tell(command.clientCommand) }
    package func snapshot() async -> WorkerSnapshot { await worker.snapshot() }
    package func stop(timeoutSeconds: Double) async { await worker.stop(timeout: .seconds(timeoutSeconds)) }
}
