// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// Counts of one listener since the server's start. Each figure is exact by itself.
public struct ListenerStatistics: Sendable, Equatable {
    /// Where it listens, with the port that the kernel chose.
    public let address: String
    /// Sockets accepted, connections opened, sockets held now.
    public package(set) var accepted = 0
    public package(set) var opened = 0
    public package(set) var current = 0
    /// Ended connections by cause.
    public package(set) var ended: [CloseReason.Cause: Int] = [:]
    public package(set) var handlerCrashes = 0
    public package(set) var acceptFailures = 0
    /// Clients answered with 503 because the listener was full.
    public package(set) var surplusRefused = 0
    public package(set) var droppedMessages = 0
    /// Times a client fell so far behind that messages were dropped.
    public package(set) var slowConsumerEpisodes = 0

    package init(address: String) { self.address = address }

    init(_ listener: Listener) {
        address = listener.address.map { "\($0)" } ?? listener.configuration.address
        let counters = listener.counters
        accepted = counters.accepted.load(ordering: .relaxed)
        opened = counters.opened.load(ordering: .relaxed)
        current = counters.current.load(ordering: .relaxed)
        ended = counters.closed
        handlerCrashes = counters.crashes.load(ordering: .relaxed)
        acceptFailures = counters.acceptFailures.load(ordering: .relaxed)
        surplusRefused = counters.surplus.load(ordering: .relaxed)
        droppedMessages = counters.droppedMessages.load(ordering: .relaxed)
        slowConsumerEpisodes = counters.slowConsumerEpisodes.load(ordering: .relaxed)
    }
}
