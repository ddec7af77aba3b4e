// SPDX-License-Identifier: Apache-2.0

public import RoostRuntime
internal import Synchronization

/// Counts since the server's start. Each figure is exact by itself; they are of almost the same moment.
public struct ServerStatistics: Sendable {
    /// Sockets accepted, connections opened, sockets held now.
    public let accepted: Int
    public let opened: Int
    public let current: Int
    /// Ended connections by cause.
    public let ended: [CloseReason.Cause: Int]
    public let handlerCrashes: Int
    public let acceptFailures: Int
    /// Clients answered with 503 because the listener was full.
    public let surplusRefused: Int
    public let droppedMessages: Int
    /// Times a client fell so far behind that messages were dropped.
    public let slowConsumerEpisodes: Int
    public let trapsContained: Int
    public let processesAbandoned: Int
    /// At most so many bytes were lost to traps and abandoned processes.
    public let leakedByteCount: Int
    public let processes: Int
    public let schedulers: [SchedulerStatistics]

    init(_ counters: [ListenerCounters], _ runtime: Runtime) {
        func sum(_ value: (ListenerCounters) -> Int) -> Int { counters.reduce(0) { $0 + value($1) } }
        accepted = sum { $0.accepted.load(ordering: .relaxed) }
        opened = sum { $0.opened.load(ordering: .relaxed) }
        current = sum { $0.current.load(ordering: .relaxed) }
        ended = counters.reduce(into: [:]) { $0.merge($1.closed, uniquingKeysWith: +) }
        handlerCrashes = sum { $0.crashes.load(ordering: .relaxed) }
        acceptFailures = sum { $0.acceptFailures.load(ordering: .relaxed) }
        surplusRefused = sum { $0.surplus.load(ordering: .relaxed) }
        droppedMessages = sum { $0.droppedMessages.load(ordering: .relaxed) }
        slowConsumerEpisodes = sum { $0.slowConsumerEpisodes.load(ordering: .relaxed) }
        trapsContained = runtime.trapCount
        processesAbandoned = runtime.abandonedCount
        leakedByteCount = runtime.leakedByteCount
        processes = runtime.processCount
        schedulers = runtime.statistics
    }
}
