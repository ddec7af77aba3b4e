// SPDX-License-Identifier: Apache-2.0

import Logging
import Roost
import RoostIO
import RoostTestHandlers
import RoostTestTLS
import Synchronization
import Testing

/// Every suite that opens sockets lies in this one: one server at a time.
@Suite(.serialized) struct ServerTests {}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Runs `body` with a server on a free port, then stops it; the server must be empty and echo at the end.
func withServer(
    _ routes: [Route], schedulers: Int = 2, logger: Logger = quiet,
    configure: (inout ServerConfiguration) -> Void = { _ in }, _ body: (RoostServer) async throws -> Void
) async throws {
    var configuration = ServerConfiguration(
        listeners: [
            ListenerConfiguration(
                address: "127.0.0.1:0", routes: routes + [Route("/still-well") { _ in EchoHandler() }])
        ])
    configuration.runtime.schedulerCount = schedulers
    configuration.drainTimeout = .seconds(15)
    configure(&configuration)
    let server = try await RoostServer.start(configuration, logger: logger)
    do {
        try await body(server)
        try stillWell(server, tls: configuration.listeners[0].tls)
    } catch {
        server.stop()
        throw error
    }
    #expect(await server.drain() == 0, "connections were left over")
    server.stop()
}

/// As `withServer`, for a body that drains it.
func withDrainedServer(
    _ routes: [Route], configure: (inout ServerConfiguration) -> Void = { _ in },
    _ body: (RoostServer) async throws -> Void
) async throws {
    struct Drained: Error {}
    do {
        try await withServer(routes, configure: configure) { server in
            try await body(server)
            throw Drained()
        }
    } catch is Drained {}
}

func stillWell(_ server: RoostServer, tls: TLSConfiguration? = nil) throws {
    var options = SecureOptions()
    options.serverName = "localhost"
    let client = try RawClient(server, "/still-well", tls: tls.map { _ in options })
    #expect(try client.ask("are you there?") == "are you there?")
}

/// A route at `/` that does what it is told.
func script(
    _ probe: Probe, whenOpened: String = "", restart: RestartPolicy = .restart(),
    compression: CompressionPolicy = CompressionPolicy(), _ configure: (inout ConnectionLimits) -> Void = { _ in }
) -> [Route] {
    var limits = ConnectionLimits()
    configure(&limits)
    return [
        Route("/", limits: limits, restart: restart, compression: compression) { _ in
            ScriptHandler(probe, whenOpened: whenOpened)
        }
    ]
}

/// Keeps what is logged.
final class LogLines: Sendable {
    private let state = Mutex<[String]>([])

    var all: [String] { state.withLock { $0 } }

    fileprivate func add(_ line: String) { withoutPreemption { state.withLock { $0.append(line) } } }

    var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }

    private struct Handler: LogHandler {
        let lines: LogLines
        var logLevel = Logger.Level.info
        var metadata: Logger.Metadata = [:]
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let told = (event.metadata ?? [:]).map { "\($0)=\($1)" }.sorted().joined(separator: " ")
            lines.add("\(event.level) \(event.message) \(told)")
        }
    }
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
