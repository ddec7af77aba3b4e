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
    /// Clients refused because the listener was full, or their address past its limits.
    public package(set) var surplusRefused = 0
    /// TLS handshakes that were completed, and those among them that resumed a session.
    public package(set) var tlsHandshakes = 0
    public package(set) var tlsResumptions = 0
    /// Plain HTTP requests that a responder was asked to answer.
    public package(set) var requests = 0
    /// Messages that went through a compressor, one for many receivers counted once; and those that came compressed.
    public package(set) var messagesCompressed = 0
    public package(set) var messagesInflated = 0
    /// Times a client sent faster than it may and was held up.
    public package(set) var throttled = 0
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
        tlsHandshakes = counters.tlsHandshakes.load(ordering: .relaxed)
        tlsResumptions = counters.tlsResumptions.load(ordering: .relaxed)
        requests = counters.requests.load(ordering: .relaxed)
        messagesCompressed = counters.messagesCompressed.load(ordering: .relaxed)
        messagesInflated = counters.messagesInflated.load(ordering: .relaxed)
        throttled = counters.throttled.load(ordering: .relaxed)
        droppedMessages = counters.droppedMessages.load(ordering: .relaxed)
        slowConsumerEpisodes = counters.slowConsumerEpisodes.load(ordering: .relaxed)
    }
}
