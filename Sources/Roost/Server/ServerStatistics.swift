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
    /// Of all rooms that routes name.
    public package(set) var rooms = RoomStatistics()

    package init(listeners: [ListenerStatistics]) { self.listeners = listeners }

    init(_ listeners: [Listener], _ runtime: Runtime) {
        self.init(listeners: listeners.map { ListenerStatistics($0) })
        trapsContained = runtime.trapCount
        processesAbandoned = runtime.abandonedCount
        leakedByteCount = runtime.leakedByteCount
        processes = runtime.processCount
        schedulers = runtime.statistics
        var seen: Set<ObjectIdentifier> = []
        for listener in listeners {
            for route in listener.configuration.routes {
                if let rooms = route.rooms, seen.insert(ObjectIdentifier(rooms)).inserted {
                    self.rooms.add(rooms.statistics)
                }
            }
        }
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
    /// Clients refused because the listener was full, or their address past its limits.
    public var surplusRefused: Int { sum(\.surplusRefused) }
    /// TLS handshakes that were completed, and those among them that resumed a session.
    public var tlsHandshakes: Int { sum(\.tlsHandshakes) }
    public var tlsResumptions: Int { sum(\.tlsResumptions) }
    /// Plain HTTP requests that a responder was asked to answer.
    public var requests: Int { sum(\.requests) }
    /// Messages that went through a compressor, one for many receivers counted once; and those that came compressed.
    public var messagesCompressed: Int { sum(\.messagesCompressed) }
    public var messagesInflated: Int { sum(\.messagesInflated) }
    /// Times a client sent faster than it may and was held up.
    public var throttled: Int { sum(\.throttled) }
    public var droppedMessages: Int { sum(\.droppedMessages) }
    /// Times a client fell so far behind that messages were dropped.
    public var slowConsumerEpisodes: Int { sum(\.slowConsumerEpisodes) }

    private func sum(_ figure: (ListenerStatistics) -> Int) -> Int { listeners.reduce(0) { $0 + figure($1) } }
}
