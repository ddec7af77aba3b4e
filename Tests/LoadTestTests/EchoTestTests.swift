// SPDX-License-Identifier: Apache-2.0

import LoadTesting
import Roost
import RoostIO
import Synchronization
import Testing

/// Echoes and counts, over all connections.
private struct CountingEcho: ConnectionHandler {
    let count: Counter

    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Never>) {
        count.value.add(1, ordering: .relaxed)
        connection.send(binary: bytes)
    }
}

private final class Counter: Sendable {
    let value = Atomic<Int>(0)
}

@Suite struct EchoTestTests {
    @Test("every message that the server has answered is counted as one round trip")
    func counts() async throws {
        let counter = Counter()
        let server = try await TestServer.start([Route("/echo") { _ in CountingEcho(count: counter) }])
        let report = try await EchoTest.short(server.url("/echo"), connections: 5, inFlight: 3).runQuietly()
        await server.stop()
        #expect(report.errors == [])
        #expect(report.connectedCount == 5)
        #expect(report.connectTime.count == 5)
        #expect(report.totalRoundTripCount == counter.value.load(ordering: .relaxed))
        #expect(report.totalRoundTripCount > 15)
        #expect(report.latency.count > 0 && report.latency.count <= report.totalRoundTripCount)
        #expect(report.latency.p50 <= report.latency.p99 && report.latency.p99 <= report.latency.max)
    }

    @Test(
        "messages of any size come back as they were sent",
        arguments: [0, 1, 7, 8, 9, 125, 126, 65_521, 65_522, 65_523, 65_535, 65_536, 65_537, 300_000, 1_000_000],
        [false, true])
    func sizes(byteCount: Int, isText: Bool) async throws {
        let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
        let report = try await EchoTest.short(
            server.url("/echo"), byteCount: byteCount, inFlight: 2, isText: isText, endTimeout: .seconds(60)
        ).runQuietly()
        await server.stop()
        #expect(report.errors == [])
        #expect(report.totalRoundTripCount > 6)
    }

    @Test("more large messages in flight than any buffer holds come back as they were sent")
    func manyLargeInFlight() async throws {
        let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
        let report = try await EchoTest.short(
            server.url("/echo"), connections: 10, byteCount: 1_000_000, inFlight: 4, isText: true,
            endTimeout: .seconds(60)
        ).runQuietly()
        await server.stop()
        #expect(report.errors == [])
        #expect(report.totalRoundTripCount >= 40)
    }

    @Test("an answer that is not what was sent is an error", arguments: FaultyEcho.Fault.allCases)
    func lies(fault: FaultyEcho.Fault) async throws {
        let server = try await TestServer.start([Route("/echo") { _ in FaultyEcho(fault) }])
        let report = try await EchoTest.short(server.url("/echo"), connections: 2).runQuietly()
        await server.stop()
        #expect(report.errors.map(\.count) == [2])
        #expect(report.errors.first?.kind.contains("check that the URL is one of an echo server") == true)
        #expect(report.totalRoundTripCount < 40)
    }

    @Test("a server that closes is reported with its code, and ends the test when nobody is left")
    func serverCloses() async throws {
        let server = try await TestServer.start([Route("/echo") { _ in ClosingEcho(after: 20) }])
        var test = EchoTest.short(server.url("/echo"), connections: 3)
        test.duration = .seconds(60)
        let report = try await test.runQuietly()
        await server.stop()
        #expect(report.totalRoundTripCount == 60)
        #expect(report.errors.map(\.count) == [3])
        #expect(report.errors.first?.kind == "connection ended: server_closed (1001): enough")
        #expect(report.seconds < 30)
    }

    @Test("messages that are never answered are an error")
    func silence() async throws {
        let server = try await TestServer.start([Route("/echo") { _ in SilentHandler() }])
        var test = EchoTest.short(server.url("/echo"), connections: 2)
        test.endTimeout = .milliseconds(100)
        let report = try await test.runQuietly()
        await server.stop()
        #expect(report.totalRoundTripCount == 0)
        #expect(
            report.errors.contains { $0.kind.hasPrefix("2 connections had messages unanswered") }, "\(report.errors)")
    }

    @Test("a server that takes 20 ms for an answer shows in every percentile")
    func knownDelay() async throws {
        let server = try await TestServer.start([Route("/echo") { _ in SlowEcho(delay: .milliseconds(20)) }])
        let report = try await EchoTest.short(server.url("/echo"), connections: 2, inFlight: 1).runQuietly()
        await server.stop()
        #expect(report.errors == [])
        #expect(report.latency.min >= 20_000_000)
        #expect(Double(report.roundTripCount) <= 2 * (report.seconds / 0.02 + 1))
    }

    @Test("a path that is not served is named, with what to check")
    func wrongPath() async throws {
        let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
        let report = try await EchoTest.short(server.url("/nope"), connections: 3).runQuietly()
        await server.stop()
        #expect(report.connectedCount == 0)
        #expect(report.errors.map(\.count) == [3])
        let kind = report.errors.first?.kind ?? ""
        #expect(
            kind.contains("/nope: server answered with status 404") && kind.hasSuffix("check the URL's path"), "\(kind)"
        )
    }

    @Test("a server that is not there is named, with what to do")
    func refused() async throws {
        let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
        let url = server.url("/echo")
        let address = "\(server.server.addresses[0])"
        await server.stop()
        let report = try await EchoTest.short(url, connections: 3).runQuietly()
        #expect(report.errors.map(\.count) == [3])
        let expected = "cannot connect to \(address): Connection refused; start the server, or correct the port"
        #expect(report.errors.first?.kind == expected)
    }

    @Test("a server that does not answer the upgrade request is given up in time")
    func noAnswer() async throws {
        let socket = try ListeningSocket(SocketAddress("127.0.0.1:0"))
        var test = EchoTest.short("ws://\(socket.address)/echo", connections: 2)
        test.target.connectTimeout = .milliseconds(150)
        let report = try await test.runQuietly()
        #expect(report.errors.map(\.kind) == ["no answer to the upgrade request in time"])
        #expect(report.errors.map(\.count) == [2])
    }

    @Test("what cannot be tested is refused with thing, value and remedy")
    func refusals() async throws {
        func refusal(_ change: (inout EchoTest) -> Void) async -> String {
            var test = EchoTest.short("ws://127.0.0.1:9/")
            change(&test)
            do {
                _ = try await test.runQuietly()
                return ""
            } catch {
                return "\(error)"
            }
        }
        #expect(await refusal { $0.target.connectionCount = 0 } == "--connections is 0; use 1 or more")
        #expect(
            await refusal { $0.target.connectionCount = 100_000_000 }.contains(
                "raise the limit with `ulimit -n 100000032`"))
        #expect(await refusal { $0.plan.inFlight = 0 } == "--in-flight is 0; use 1...65536")
        #expect(await refusal { $0.plan.size = .fixed(-1) } == "--size is -1; use 0...268435456")
        #expect(await refusal { $0.target.schedulerCount = 65 }.hasPrefix("--schedulers is 65"))
        #expect(await refusal { $0.target.serverPid = 4_194_305 }.hasPrefix("no process has the pid 4194305"))
        #expect(
            await refusal { $0.target.headers = ["nonsense"] }
                == "header 'nonsense' has no colon; write it as 'Name: value'")
        #expect(await refusal { $0.target.sourceAddresses = ["nowhere"] }.hasPrefix("source address 'nowhere'"))
        #expect(
            await refusal {
                $0.target.url = "wss://127.0.0.1:1/"
                $0.target.tls.caFile = "/nowhere.pem"
            }.contains("/nowhere.pem: cannot be opened"))
        #expect(
            await refusal { $0.target.url = "ws://no-such-host.invalid/" }.hasPrefix(
                "host 'no-such-host.invalid' was not found"))
    }

    @Test("the report's text and JSON have the figures")
    func formats() async throws {
        let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
        var test = EchoTest.short(server.url("/echo"), connections: 2)
        test.target.serverPid = Int32(getpidOfThisProgram())
        let report = try await test.runQuietly()
        await server.stop()
        for part in ["2 of 2, each with 4 in flight", "round trips/s", "p99.99", "server CPU", "connect, mean"] {
            #expect(report.text.contains(part), "\(report.text)")
        }
        for part in ["\"test\": \"echo\"", "\"connected\": 2", "\"p99.9\": ", "\"errors\": []", "\"round_trips\": "] {
            #expect(report.json.contains(part), "\(report.json)")
        }
    }
}

@Suite struct IdleTestTests {
    @Test("connections are opened, held and closed in order")
    func idle() async throws {
        let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
        var test = IdleTest(.short(server.url("/echo"), connections: 200))
        test.duration = .milliseconds(100)
        test.target.connectingCountMax = 7
        test.target.serverPid = Int32(getpidOfThisProgram())
        test.target.sourceAddresses = ["127.0.0.1", "127.0.0.2"]
        let report = try await test.run(Progress(isEnabled: false))
        #expect(report.errors == [])
        #expect(report.connectedCount == 200 && report.openAtEndCount == 200)
        #expect(report.connectTime.count == 200)
        #expect(report.serverBytes != nil)
        #expect(server.server.connectionCount == 0)
        #expect(server.server.statistics.ended[.clientClosed] == 200)
        await server.stop()
    }

    @Test("connections that the server drops while they are held are errors")
    func dropped() async throws {
        let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
        var test = IdleTest(.short(server.url("/echo"), connections: 5))
        test.duration = .seconds(30)
        async let report = test.run(Progress(isEnabled: false))
        while server.server.statistics.opened < 5 { await Task.yield() }
        await server.stop()
        #expect(try await report.errors.map(\.count) == [5])
        #expect(try await report.openAtEndCount == 0)
    }
}
