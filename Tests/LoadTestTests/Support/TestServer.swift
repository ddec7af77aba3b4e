// SPDX-License-Identifier: Apache-2.0

import LoadTesting
import Logging
import Roost

/// A server in this program, on a free port, with one scheduler.
struct TestServer {
    let server: RoostServer

    /// `sharesStuck`: another thread takes over from a handler that blocks its scheduler.
    static func start(
        _ routes: [Route], listen: String = "127.0.0.1:0", sharesStuck: Bool = true
    ) async throws -> TestServer {
        var configuration = ServerConfiguration(listeners: [ListenerConfiguration(address: listen, routes: routes)])
        configuration.runtime.schedulerCount = 1
        if !sharesStuck { configuration.runtime.stuckSchedule = .zero }
        configuration.drainTimeout = .seconds(5)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return TestServer(server: try await RoostServer.start(configuration, logger: logger))
    }

    func url(_ path: String) -> String { "ws://\(server.addresses[0])\(path)" }

    func stop() async {
        await server.drain()
        server.stop()
    }
}

extension ClientGroup {
    static func of(_ url: String, _ clientCount: Int = 3, _ behaviour: Behaviour) -> ClientGroup {
        ClientGroup("clients", clientCount, Target([url]), behaviour)
    }
}

extension LoadPlan {
    /// For a short test: one scheduler, no warm-up, half a second or so.
    static func short(_ scenario: Scenario, _ groups: ClientGroup...) -> LoadPlan {
        var plan = LoadPlan(scenario, groups: groups)
        plan.schedulerCount = 1
        plan.warmupSeconds = 0
        plan.durationSeconds = 0.6
        // Of no matter where all is answered; a busy machine may need it.
        plan.endTimeoutSeconds = 60
        return plan
    }

    static func echo(
        _ url: String, connections: Int = 3, byteCount: Int = 64, inFlight: Int = 4, isText: Bool = false
    ) -> LoadPlan {
        let behaviour = Behaviour.echo(EchoPlan(size: .fixed(byteCount), inFlight: inFlight, isText: isText))
        return .short(.echo, .of(url, connections, behaviour))
    }

    /// Runs in this program.
    func run(serverPid: Int32? = nil) async throws -> RunRecord {
        let meter = try serverPid.map { try ProcessMeter(pid: $0) }
        let worker = try await LocalWorker(self, WorkerPlace(index: 0, count: 1))
        return await LoadRun(self, [worker], server: meter, observer: nil).run()
    }
}

extension RunRecord {
    /// Of a run with one group.
    var latency: NanosecondHistogram { measured[0].distributions.latency }
    var counters: Counters { whole[0].counters }
}

extension Bool {
    /// Says that it does not matter whether the message was queued.
    var ignored: Void { () }
}

/// Closes after some messages.
struct ClosingEcho: ConnectionHandler {
    private var left: Int

    init(after count: Int) { left = count }

    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Never>) {
        left -= 1
        if left < 0 { connection.close(.goingAway, reason: "enough") } else { connection.send(binary: bytes) }
    }
}

/// Takes everything and answers nothing.
struct SilentHandler: ConnectionHandler {
    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Never>) {}
}

/// Answers each message after a while.
struct SlowEcho: ConnectionHandler {
    let delay: Duration

    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Never>) throws {
        try connection.process.sleep(delay)
        connection.send(binary: bytes)
    }
}
