// SPDX-License-Identifier: Apache-2.0

internal import Roost
internal import RoostIO
internal import RoostRuntime

/// Begins the connections of one share, on its scheduler: those of clients that come back, after their back-off.
///
/// A process of its own waits for them, so that a wait outlives the connection that it follows.
final class Connector: Sendable {
    private let endpoints: [ClientEndpoint]
    private let sources: [SocketAddress]
    private let share: ClientShare
    private let timer: Address<Seat>

    init(_ endpoints: [ClientEndpoint], _ sources: [SocketAddress], _ share: ClientShare, _ runtime: Runtime) {
        self.endpoints = endpoints
        self.sources = sources
        self.share = share
        var options = ProcessOptions()
        options.schedulerIndex = share.index
        options.label = "connector \(share.index)"
        timer = runtime.spawn(receiving: Seat.self, options: options) { [endpoints, sources, share] context in
            while true {
                let seat = try context.receive()
                if share.stage != .end { Self.connect(seat, endpoints, sources, share) }
            }
        }
    }

    /// Any thread.
    func connect(_ seat: Seat) { Self.connect(seat, endpoints, sources, share) }

    /// From a process of the share's scheduler.
    func connect(_ seat: Seat, after seconds: Double) {
        guard seconds > 0 else { return connect(seat) }
        _ = ProcessContext<Never>().send(seat, to: timer, after: .seconds(seconds))
    }

    private static func connect(
        _ seat: Seat, _ endpoints: [ClientEndpoint], _ sources: [SocketAddress], _ share: ClientShare
    ) {
        // The clients of each URL take the sources in turn, whatever the two counts have in common.
        let source = sources.isEmpty ? nil : sources[seat.client / endpoints.count % sources.count]
        endpoints[seat.client % endpoints.count].connect(from: source, on: share.index) { share.begin(seat) }
    }
}
