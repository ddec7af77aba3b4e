// SPDX-License-Identifier: Apache-2.0

import Logging
import Roost
import Synchronization
import Testing

/// What happened to the connections of a test, in order.
private final class Events: Sendable {
    private let list = Mutex<[String]>([])

    func add(_ event: String) { withoutPreemption { list.withLock { $0.append(event) } } }
    var all: [String] { list.withLock { $0 } }

    /// Waits until there are `count` events.
    func wait(for count: Int) async -> [String] {
        for _ in 0..<5_000 {
            if all.count >= count { break }
            try? await Task.sleep(for: .milliseconds(1))
        }
        return all
    }
}

private struct Recorder: ConnectionHandler {
    let events: Events
    var greeting: String?
    var crashes = false

    mutating func opened(_ connection: borrowing Connection<Never>) {
        events.add("opened \(connection.subprotocol ?? "-")")
        if let greeting { connection.send(greeting) }
    }

    mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<Never>) throws {
        events.add("text \(String(copying: text))")
        if crashes { throw Crash() }
        connection.close(.normalClosure, reason: "done")
    }

    mutating func terminated(_ reason: CloseReason, _ connection: borrowing Connection<Never>) {
        events.add("terminated \(reason)")
    }

    struct Crash: Error {}
}

/// Says what it was asked for, then echoes.
private struct Greeter: ConnectionHandler {
    let greeting: String
    let events: Events

    mutating func opened(_ connection: borrowing Connection<Never>) { connection.send(greeting) }
    mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<Never>) { connection.send(text) }

    mutating func terminated(_ reason: CloseReason, _ connection: borrowing Connection<Never>) {
        events.add("server: \(reason)")
    }
}

@Suite struct ClientTests {
    private func withClient(_ body: (RoostClient) async throws -> Void) async throws {
        var configuration = RuntimeConfiguration()
        configuration.schedulerCount = 2
        let runtime = try Runtime(configuration)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let client = await RoostClient(runtime: runtime, logger: logger, connectTimeout: .seconds(60))
        try await body(client)
        #expect(await client.close() == 0)
        runtime.stop()
    }

    @Test("a client connects, hears its messages and closes", arguments: [1, 50])
    func life(connectionCount: Int) async throws {
        let events = Events()
        let served = Events()
        let server = try await TestServer.start([
            Route("/greet", subprotocols: ["b", "a"]) { request in
                Greeter(greeting: "\(request.headers.first("x-test") ?? "") \(request.query ?? "")", events: served)
            }
        ])
        try await withClient { client in
            let endpoint = try client.endpoint(
                WebSocketURL(server.url("/greet?q=1")), subprotocols: ["a", "b"],
                headers: [HeaderField("X-Test", "hello")]
            ) { Recorder(events: events) }
            for _ in 0..<connectionCount { endpoint.connect() }
            let all = await events.wait(for: 3 * connectionCount)
            #expect(all.count { $0 == "opened b" } == connectionCount)
            #expect(all.count { $0 == "text hello q=1" } == connectionCount)
            #expect(all.count { $0 == "terminated handler_closed (1000): done" } == connectionCount)
            #expect(all.count == 3 * connectionCount)
        }
        await server.stop()
        #expect(served.all == Array(repeating: "server: client_closed (1000): done", count: connectionCount))
    }

    @Test("a client connects to a unix socket")
    func unixSocket() async throws {
        let path = "/tmp/roost-client-test-\(getpidOfThisProgram()).sock"
        let events = Events()
        let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }], listen: "unix:\(path)")
        try await withClient { client in
            try client.connect(to: "ws+unix:\(path):/echo") { Recorder(events: events, greeting: "hi") }
            #expect(await events.wait(for: 3) == ["opened -", "text hi", "terminated handler_closed (1000): done"])
        }
        await server.stop()
        try await withClient { client in
            try client.connect(to: "ws+unix:\(path):/echo") { Recorder(events: events) }
            let last = await events.wait(for: 4).last ?? ""
            #expect(
                last.contains(
                    "connect_failed: cannot connect to unix:\(path): No such file or directory; no socket is there"),
                "\(last)")
        }
    }

    @Test("a client's handler that crashes closes its connection with 1011, and no other")
    func crash() async throws {
        let served = Events()
        let events = Events()
        let server = try await TestServer.start([Route("/greet") { _ in Greeter(greeting: "go", events: served) }])
        try await withClient { client in
            try client.connect(to: server.url("/greet")) { Recorder(events: events, crashes: true) }
            #expect(await served.wait(for: 1) == ["server: client_closed (1011): handler crashed"])
            #expect(client.crashCount == 1)
            #expect(events.all == ["opened -", "text go"])
        }
        await server.stop()
    }

    @Test("a client that shares a server's runtime closes its own connections only")
    func sharedRuntime() async throws {
        let events = Events()
        let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let first = await RoostClient(runtime: server.server.runtime, logger: logger)
        let second = await RoostClient(runtime: server.server.runtime, logger: logger)
        for client in [first, second] { try client.connect(to: server.url("/echo")) { Recorder(events: events) } }
        #expect(await events.wait(for: 2) == ["opened -", "opened -"])
        #expect(await first.close() == 0)
        #expect(events.all == ["opened -", "opened -", "terminated draining (1001): shutting down"])
        #expect(second.connectionCount == 1 && server.server.connectionCount == 1)
        #expect(await second.close() == 0)
        await server.stop()
    }

    @Test("what cannot stand in a request is refused before anything is sent")
    func invalidRequest() async throws {
        try await withClient { client in
            #expect(throws: ClientError.self) {
                try client.connect(to: "ws://h:1/", subprotocols: ["a b"]) { EchoHandler() }
            }
            #expect(throws: ClientError.invalidSource("1.2.3")) {
                try client.connect(to: "ws://127.0.0.1:1/", from: "1.2.3") { EchoHandler() }
            }
            #expect(client.connectionCount == 0)
        }
    }
}
