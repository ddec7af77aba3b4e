// SPDX-License-Identifier: Apache-2.0

package import Logging
package import Roost

/// Everything the daemon is told. A value; checked as a whole before any socket opens.
package struct DaemonConfiguration: Sendable, Equatable {
    package var listen = ["127.0.0.1:9001"]
    package var logLevel = Logger.Level.info
    /// 0: one for each core.
    package var schedulerCount: Int
    package var reductionsPerTurn: Int
    package var stackByteCount: Int
    package var heapByteCountMax: Int
    package var leakedByteCountMax: Int
    /// 0: one for each core.
    package var dirtyCPUThreadCount: Int
    package var dirtyIOThreadCount: Int
    package var longSchedule: Duration
    /// 0: a stuck scheduler is never handed over.
    package var stuckSchedule: Duration
    package var spareThreadCountMax: Int
    package var drainTimeout: Duration
    /// Of each listener.
    package var connectionCountMax: Int
    package var handshakeTimeout: Duration
    package var headByteCountMax: Int
    /// What routes have that do not say otherwise.
    package var routeDefaults = RouteSettings()
    package var routes: [RouteEntry]

    /// What is built in; config/roost.yaml says the same.
    package init() {
        let listener = ListenerConfiguration(address: "", routes: [])
        let server = ServerConfiguration(listeners: [])
        schedulerCount = server.runtime.schedulerCount
        reductionsPerTurn = server.runtime.reductionsPerTurn
        stackByteCount = server.runtime.stackByteCount
        heapByteCountMax = server.runtime.heapByteCountMax
        leakedByteCountMax = server.runtime.leakedByteCountMax
        dirtyCPUThreadCount = server.runtime.dirtyCPUThreadCount
        dirtyIOThreadCount = server.runtime.dirtyIOThreadCount
        longSchedule = server.runtime.longSchedule
        stuckSchedule = server.runtime.stuckSchedule
        spareThreadCountMax = server.runtime.spareThreadCountMax
        drainTimeout = server.drainTimeout
        connectionCountMax = listener.connectionCountMax
        handshakeTimeout = listener.handshakeTimeout
        headByteCountMax = listener.headByteCountMax
        routes = [RouteEntry(path: "/echo", kind: .echo, settings: routeDefaults)]
    }

    /// Somebody chose `connectionCountMax`; the default may be lowered to what fits.
    package var isConnectionCountMaxChosen: Bool { connectionCountMax != DaemonConfiguration().connectionCountMax }

    package var server: ServerConfiguration {
        let routes = routes.map(\.route)
        var server = ServerConfiguration(
            listeners: listen.map { address in
                var listener = ListenerConfiguration(address: address, routes: routes)
                listener.connectionCountMax = connectionCountMax
                listener.handshakeTimeout = handshakeTimeout
                listener.headByteCountMax = headByteCountMax
                return listener
            })
        server.runtime.schedulerCount = schedulerCount
        server.runtime.reductionsPerTurn = reductionsPerTurn
        server.runtime.stackByteCount = stackByteCount
        server.runtime.heapByteCountMax = heapByteCountMax
        server.runtime.leakedByteCountMax = leakedByteCountMax
        server.runtime.dirtyCPUThreadCount = dirtyCPUThreadCount
        server.runtime.dirtyIOThreadCount = dirtyIOThreadCount
        server.runtime.longSchedule = longSchedule
        server.runtime.stuckSchedule = stuckSchedule
        server.runtime.spareThreadCountMax = spareThreadCountMax
        server.drainTimeout = drainTimeout
        return server
    }
}
