// SPDX-License-Identifier: Apache-2.0

internal import Roost

/// Whom a connection is opened for: one simulated client, for the so-manieth time.
struct Seat: Sendable {
    /// Among the clients of its group, over all workers.
    let client: Int
    /// Its place among those of its group on its scheduler.
    let slot: Int
    /// Connections of this client before this one.
    var attempt = 0
    /// Attempts since the client last had an open connection.
    var failureCount = 0
    /// When the connection was meant to begin, on the monotonic clock.
    var intendedAt: UInt64 = 0
    /// When the client lost an open connection that it has not got back; 0: it has lost none.
    var lostAt: UInt64 = 0
    /// It has lost one at any time.
    var hasBeenLost = false
}

/// What a run tells its clients. A client that opens later hears of what was said before.
enum ClientCommand: UInt8, Sendable {
    /// The work begins.
    case begin
    /// Nothing new is begun; what is awaited may still come. A client with nothing to await closes.
    case end
    /// The connection is cut, as where a network fails.
    case drop
    /// Of a group's own: what was waited for has happened.
    case next
}

/// What the connections of a group's clients do: one handler for each connection.
///
/// A handler tells its share of the opening (`ClientShare.opened`) and of the end (`ClientShare.ended`), and sends
/// nothing before `begin`.
protocol LoadClient: ConnectionHandler where Message == ClientCommand {
    /// Runs in the connection's process before it connects.
    init(_ share: ClientShare, _ seat: Seat)
}
