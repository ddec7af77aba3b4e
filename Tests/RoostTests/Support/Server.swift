// SPDX-License-Identifier: Apache-2.0

import Logging
import Roost
import RoostTestHandlers
import Testing

/// Every suite that opens sockets lies in this one: one server at a time.
@Suite(.serialized) struct ServerTests {}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Runs `body` with a server on a free port, then stops it; the server must be empty and echo at the end.
func withServer(
    _ routes: [Route], schedulers: Int = 2, configure: (inout ServerConfiguration) -> Void = { _ in },
    _ body: (RoostServer) async throws -> Void
) async throws {
    var configuration = ServerConfiguration(
        listeners: [
            ListenerConfiguration(
                address: "127.0.0.1:0", routes: routes + [Route("/still-well") { _ in EchoHandler() }])
        ])
    configuration.runtime.schedulerCount = schedulers
    configuration.drainTimeout = .seconds(15)
    configure(&configuration)
    let server = try await RoostServer.start(configuration, logger: quiet)
    do {
        try await body(server)
        try stillWell(server)
    } catch {
        server.stop()
        throw error
    }
    #expect(await server.drain() == 0, "connections were left over")
    server.stop()
}

/// As `withServer`, for a body that drains it.
func withDrainedServer(_ routes: [Route], _ body: (RoostServer) async throws -> Void) async throws {
    struct Drained: Error {}
    do {
        try await withServer(routes) { server in
            try await body(server)
            throw Drained()
        }
    } catch is Drained {}
}

func stillWell(_ server: RoostServer) throws {
    let client = try RawClient(server, "/still-well")
    #expect(try client.ask("are you there?") == "are you there?")
}

/// A route at `/` that does what it is told.
func script(
    _ probe: Probe, whenOpened: String = "", restart: RestartPolicy = .restart(),
    _ configure: (inout ConnectionLimits) -> Void = { _ in }
) -> [Route] {
    var limits = ConnectionLimits()
    configure(&limits)
    return [Route("/", limits: limits, restart: restart) { _ in ScriptHandler(probe, whenOpened: whenOpened) }]
}

struct NotInTime: Error, CustomStringConvertible { let description: String }

/// Waits until `condition` holds.
func eventually(_ what: String, within limit: Duration = .seconds(15), _ condition: () -> Bool) async throws {
    let end = ContinuousClock.now + limit
    while !condition() {
        guard ContinuousClock.now < end else { throw NotInTime(description: "not within \(limit): \(what)") }
        try await Task.sleep(for: .milliseconds(1))
    }
}

extension Probe {
    func waitFor(_ event: String, count: Int = 1) async throws {
        do {
            try await eventually("\(count) x \(event)") { self.events.filter { $0 == event }.count >= count }
        } catch {
            throw NotInTime(description: "\(error); had \(events.suffix(20))")
        }
    }

    var terminations: [String] { events.filter { $0.hasPrefix("terminated") } }
}
