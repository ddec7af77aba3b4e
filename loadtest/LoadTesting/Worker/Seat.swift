// SPDX-License-Identifier: Apache-2.0

internal import Roost

/// Whom a connection is opened for: one simulated client, for the so-manieth time.
///
/// There is one for each connection: its numbers take no more room than they need.
struct Seat: Sendable {
    private let clientBits: UInt32
    private let slotBits: UInt32
    private var attemptBits: UInt32 = 0
    private var failureBits: UInt32 = 0
    /// When the connection was meant to begin, on the monotonic clock.
    var intendedAt: UInt64 = 0
    /// When the client lost an open connection that it has not got back; 0: it has lost none.
    var lostAt: UInt64 = 0

    init(client: Int, slot: Int) {
        clientBits = UInt32(client)
        slotBits = UInt32(slot)
    }

    /// Among the clients of its group, over all workers.
    var client: Int { Int(clientBits) }
    /// Its place among those of its group on its scheduler.
    var slot: Int { Int(slotBits) }
    /// Connections of this client before this one.
    var attempt: Int {
        get { Int(attemptBits) }
        set { attemptBits = UInt32(truncatingIfNeeded: newValue) }
    }
    /// Attempts since the client last had an open connection.
    var failureCount: Int {
        get { Int(failureBits & ~Self.lossBit) }
        set { failureBits = UInt32(truncatingIfNeeded: newValue) & ~Self.lossBit | failureBits & Self.lossBit }
    }
    /// It has lost one at any time.
    var hasBeenLost: Bool {
        get { failureBits & Self.lossBit != 0 }
        set { failureBits = failureBits & ~Self.lossBit | (newValue ? Self.lossBit : 0) }
    }

    private static let lossBit: UInt32 = 1 << 31
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
