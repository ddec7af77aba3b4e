// SPDX-License-Identifier: Apache-2.0

public import RoostRuntime

/// Counts since the server's start. Each figure is exact by itself; they are of almost the same moment.
public struct ServerStatistics: Sendable {
    /// Of each listener, in the order of the configuration; the sums of all follow.
    public let listeners: [ListenerStatistics]
    public package(set) var trapsContained = 0
    public package(set) var processesAbandoned = 0
    /// At most so many bytes were lost to traps and abandoned processes.
    public package(set) var leakedByteCount = 0
    public package(set) var processes = 0
    public package(set) var schedulers: [SchedulerStatistics] = []

    package init(listeners: [ListenerStatistics]) { self.listeners = listeners }

    init(_ listeners: [Listener], _ runtime: Runtime) {
        self.init(listeners: listeners.map { ListenerStatistics($0) })
        trapsContained = runtime.trapCount
        processesAbandoned = runtime.abandonedCount
        leakedByteCount = runtime.leakedByteCount
        processes = runtime.processCount
        schedulers = runtime.statistics
    }

    /// Sockets accepted, connections opened, sockets held now.
    public var accepted: Int { sum(\.accepted) }
    public var opened: Int { sum(\.opened) }
    public var current: Int { sum(\.current) }
    /// Ended connections by cause.
    public var ended: [CloseReason.Cause: Int] {
        listeners.reduce(into: [:]) { $0.merge($1.ended, uniquingKeysWith: +) }
    }
    public var handlerCrashes: Int { sum(\.handlerCrashes) }
    public var acceptFailures: Int { sum(\.acceptFailures) }
    /// Clients answered with 503 because the listener was full.
    public var surplusRefused: Int { sum(\.surplusRefused) }
    public var droppedMessages: Int { sum(\.droppedMessages) }
    /// Times a client fell so far behind that messages were dropped.
    public var slowConsumerEpisodes: Int { sum(\.slowConsumerEpisodes) }

    private func sum(_ figure: (ListenerStatistics) -> Int) -> Int { listeners.reduce(0) { $0 + figure($1) } }
}
