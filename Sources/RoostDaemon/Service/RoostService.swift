// SPDX-License-Identifier: Apache-2.0

package import Logging
package import Roost
internal import RoostAdmin
internal import ServiceLifecycle
internal import Synchronization

/// A server as a service of swift-service-lifecycle. Serves until a graceful shutdown, or the runtime, wants a drain.
package final class RoostService: Service {
    /// Who asked for the drain.
    package enum DrainCause: String, Sendable {
        case shutdown = "shutdown requested"
        case runtime = "runtime asked for a fresh program"
    }

    private let server: RoostServer
    private let pages: DaemonPages
    private let logger: Logger
    private let cause = Mutex<DrainCause?>(nil)

    /// `pages` are those of the server's routes: the health page is told of the drain.
    package init(_ server: RoostServer, _ pages: DaemonPages, logger: Logger) {
        self.server = server
        self.pages = pages
        self.logger = logger
    }

    /// nil while it serves.
    package var drainCause: DrainCause? { cause.withLock { $0 } }

    /// Serves; returns after the drain, when the server has stopped. A cancelled task drains as well.
    package func run() async throws {
        await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                await server.drainRequested()
            } onGracefulShutdown: {
                self.shutDown()
            }
        } onCancel: {
            self.shutDown()
        }
        cause.withLock { $0 = $0 ?? .runtime }
        // A task of its own: in a cancelled one the drain could not wait.
        await Task { await drain() }.value
    }

    /// Asks for the drain, as a graceful shutdown does. Any time, also before `run`; once is enough.
    package func shutDown() {
        cause.withLock { $0 = $0 ?? .shutdown }
        server.requestDrain()
    }

    private func drain() async {
        let started = ContinuousClock.now
        logger.notice(
            "draining",
            metadata: [
                "drain.cause": "\(drainCause?.rawValue ?? "-")", "drain.connections": "\(server.connectionCount)",
                "drain.timeout": "\(Quantity.text(server.configuration.drainTimeout))",
            ])
        pages.health.beginDraining()
        let cutOffCount = await server.drain()
        let seconds = (ContinuousClock.now - started).components
        let statistics = server.statistics
        server.stop()
        logger.notice(
            "stopped",
            metadata: [
                "drain.cut-off": "\(cutOffCount)",
                "drain.milliseconds": "\(seconds.seconds * 1_000 + seconds.attoseconds / 1_000_000_000_000_000)",
                "server.accepted": "\(statistics.accepted)", "server.crashes": "\(statistics.handlerCrashes)",
                "server.refused": "\(statistics.surplusRefused)",
            ])
    }
}
