// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import RoostRuntime

extension Connection {
    /// Lifts the route's bounds of what the peer may send in a time: what waits in the socket is read. For load testers
    /// that have read slowly for long enough.
    package func endRateLimit() {
        roost_enter()
        defer { roost_leave() }
        guard let connection = ConnectionRef.current else { return }
        connection.state.flags.remove(.hasRateLimit)
        guard connection.state.flags.contains(.isThrottled) else { return }
        connection.extras.throttledUntil = .now()
        connection.armTimer()
    }
}
