// SPDX-License-Identifier: Apache-2.0

internal import Logging

extension RoostServer {
    /// Serves `routes` on `address` (`127.0.0.1:9001`) until a drain is asked for: for a program that is a server and
    /// nothing else, with the default configuration. It logs where it listens.
    public static func serve(on address: String, routes: [Route]) async throws {
        let logger = Logger(label: "roost")
        let listener = ListenerConfiguration(address: address, routes: routes)
        let server = try await start(ServerConfiguration(listeners: [listener]), logger: logger)
        for address in server.addresses {
            logger.notice("listening", metadata: ["listener.address": "\(address)"])
        }
        await server.drainRequested()
        await server.drain()
        server.stop()
    }
}
