// SPDX-License-Identifier: Apache-2.0

package import Logging
package import Roost

/// Everything the daemon is told. A value; checked as a whole before any socket opens.
package struct DaemonConfiguration: Sendable, Equatable {
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
    /// What listeners have that do not say otherwise.
    package var listenerDefaults = ListenerSettings()
    /// What routes have that do not say otherwise.
    package var routeDefaults = RouteSettings()
    /// What listeners serve that do not say otherwise.
    package var routes: [RouteEntry]
    package var listeners: [ListenerEntry]

    /// What is built in; config/roost.yaml says the same.
    package init() {
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
        routes = RouteEntry.standard(routeDefaults)
        listeners = [ListenerEntry(address: "127.0.0.1:9001", settings: listenerDefaults, routes: routes)]
    }

    /// Every file that a route serves.
    package var pageFiles: [FileReference] { listeners.flatMap { $0.routes.compactMap(\.file) } }

    /// Where the default of max-connections is more than fits.
    mutating func lowerConnectionCounts(to count: Int) {
        for index in listeners.indices where !listeners[index].settings.isConnectionCountMaxChosen {
            listeners[index].settings.connectionCountMax = count
        }
    }

    package func server(_ pages: DaemonPages) -> ServerConfiguration {
        var server = ServerConfiguration(listeners: listeners.map { $0.listener(pages) })
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
