// SPDX-License-Identifier: Apache-2.0

import Histogram
import LoadTesting
import Roost
import RoostIO
import Testing

/// Echoes and counts, over all connections.
private struct CountingEcho: ConnectionHandler {
    let count: Counter

    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Never>) {
        count.next()
        connection.send(binary: bytes)
    }
}

extension TrafficTests {
    @Suite struct EchoTestTests {
        @Test("every message that the server has answered is counted as one round trip")
        func counts() async throws {
            let counter = Counter()
            let server = try await TestServer.start([Route("/echo") { _ in CountingEcho(count: counter) }])
            let report = try await LoadPlan.echo(server.url("/echo"), connections: 5, inFlight: 3).run()
            await server.stop()
            #expect(report.errors == [])
            #expect(report.counters.opened == 5)
            #expect(report.whole[0].distributions.connect.totalCount == 5)
            #expect(report.counters.completed == counter.value)
            #expect(report.counters.completed > 15)
            #expect(report.latency.totalCount > 0 && report.latency.totalCount <= report.counters.completed)
            #expect(report.latency.valueAtPercentile(50) <= report.latency.valueAtPercentile(99))
        }

        @Test(
            "messages of any size come back as they were sent",
            arguments: [0, 1, 7, 8, 9, 125, 126, 65_521, 65_522, 65_523, 65_535, 65_536, 65_537, 300_000, 1_000_000],
            [false, true])
        func sizes(byteCount: Int, isText: Bool) async throws {
            let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
            var plan = LoadPlan.echo(server.url("/echo"), byteCount: byteCount, inFlight: 2, isText: isText)
            // Long enough for a busy machine to answer more than the first large ones.
            if byteCount >= 300_000 { plan.durationSeconds = 3 }
            let report = try await plan.run()
            await server.stop()
            #expect(report.errors == [])
            #expect(report.counters.completed > 6)
        }

        @Test("more large messages in flight than any buffer holds come back as they were sent")
        func manyLargeInFlight() async throws {
            let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
            let report = try await LoadPlan.echo(
                server.url("/echo"), connections: 10, byteCount: 1_000_000, inFlight: 4, isText: true
            ).run()
            await server.stop()
            #expect(report.errors == [])
            #expect(report.counters.completed >= 40)
        }

        @Test("an answer that is not what was sent is an error", arguments: FaultyEcho.Fault.allCases)
        func lies(fault: FaultyEcho.Fault) async throws {
            let server = try await TestServer.start([Route("/echo") { _ in FaultyEcho(fault, at: [10]) }])
            let report = try await LoadPlan.echo(server.url("/echo"), connections: 2).run()
            await server.stop()
            #expect(report.errors.map(\.count) == [2])
            #expect(report.errors.first?.kind.contains("check that the URL is one of an echo server") == true)
            #expect(report.counters.completed < 40)
        }

        @Test("a server that closes is reported with its code, and ends the test when nobody is left")
        func serverCloses() async throws {
            let server = try await TestServer.start([Route("/echo") { _ in ClosingEcho(after: 20) }])
            var test = LoadPlan.echo(server.url("/echo"), connections: 3)
            test.durationSeconds = 60
            let report = try await test.run()
            await server.stop()
            #expect(report.counters.completed == 60)
            #expect(report.errors.map(\.count) == [3])
            #expect(report.errors.first?.kind == "connection ended: server_closed (1001): enough")
            #expect(report.measuredSeconds < test.durationSeconds ?? 0)
        }

        @Test("messages that are never answered are an error")
        func silence() async throws {
            let server = try await TestServer.start([Route("/echo") { _ in SilentHandler() }])
            var test = LoadPlan.echo(server.url("/echo"), connections: 2)
            test.endTimeoutSeconds = 0.1
            let report = try await test.run()
            await server.stop()
            #expect(report.counters.completed == 0)
            #expect(
                report.errors.contains { $0.kind.hasPrefix("2 connections had messages unanswered") },
                "\(report.errors)")
        }

        @Test("a server that takes 20 ms for an answer shows in every percentile")
        func knownDelay() async throws {
            let server = try await TestServer.start([Route("/echo") { _ in SlowEcho(delay: .milliseconds(20)) }])
            let report = try await LoadPlan.echo(server.url("/echo"), connections: 2, inFlight: 1).run()
            await server.stop()
            #expect(report.errors == [])
            #expect(report.latency.min >= 20_000_000)
            #expect(Double(report.measured[0].counters.completed) <= 2 * (report.measuredSeconds / 0.02 + 1))
        }

        @Test("a path that is not served is named, with what to check")
        func wrongPath() async throws {
            let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
            let report = try await LoadPlan.echo(server.url("/nope"), connections: 3).run()
            await server.stop()
            #expect(report.counters.opened == 0)
            #expect(report.errors.map(\.count) == [3])
            let kind = report.errors.first?.kind ?? ""
            #expect(
                kind.contains("/nope: server answered with status 404") && kind.hasSuffix("check the URL's path"),
                "\(kind)"
            )
        }

        @Test("a server that is not there is named, with what to do")
        func refused() async throws {
            let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
            let url = server.url("/echo")
            let address = "\(server.server.addresses[0])"
            await server.stop()
            let report = try await LoadPlan.echo(url, connections: 3).run()
            #expect(report.errors.map(\.count) == [3])
            let expected = "cannot connect to \(address): Connection refused; start the server, or correct the port"
            #expect(report.errors.first?.kind == expected)
        }

        @Test("a server that does not answer the upgrade request is given up in time")
        func noAnswer() async throws {
            let socket = try ListeningSocket(SocketAddress("127.0.0.1:0"))
            var test = LoadPlan.echo("ws://\(socket.address)/echo", connections: 2)
            test.groups[0].target.connectTimeoutSeconds = 0.15
            let report = try await test.run()
            #expect(report.errors.allSatisfy { $0.kind.hasPrefix("no answer to the upgrade request in time; check") })
            #expect(report.errors.map(\.count) == [2])
        }

        @Test("each group has its own time for connections to open", .timeLimit(.minutes(1)))
        func connectTimeouts() async throws {
            let socket = try ListeningSocket(SocketAddress("127.0.0.1:0"))
            let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
            let behaviour = Behaviour.echo(EchoPlan(size: .fixed(64), inFlight: 1, isText: false))
            var plan = LoadPlan.short(
                .mixed, .of("ws://\(socket.address)/echo", 2, behaviour), .of(server.url("/echo"), 2, behaviour))
            plan.groups[0].target.connectTimeoutSeconds = 0.15
            plan.groups[1].target.connectTimeoutSeconds = 3_600
            let report = try await plan.run()
            await server.stop()
            #expect(report.errors.map(\.count) == [2])
            #expect(report.whole.map(\.counters.opened) == [0, 2])
        }

        @Test("what cannot be tested is refused with thing, value and remedy")
        func refusals() async throws {
            func refusal(serverPid: Int32? = nil, _ change: (inout LoadPlan) -> Void) async -> String {
                var plan = LoadPlan.echo("ws://127.0.0.1:9/")
                change(&plan)
                do {
                    _ = try await plan.run(serverPid: serverPid)
                    return ""
                } catch {
                    return "\(error)"
                }
            }
            func echo(_ size: SizeDistribution = .fixed(1), inFlight: Int = 1) -> Behaviour {
                .echo(EchoPlan(size: size, inFlight: inFlight, isText: false))
            }
            #expect(await refusal { $0.groups[0].clientCount = 0 } == "--connections is 0; use 1...100000000")
            #expect(
                await refusal { $0.groups[0].clientCount = 90_000_000 }.contains(
                    "raise the limit with `ulimit -n 90000032`, or spread them over processes with `--workers "))
            #expect(await refusal { $0.groups[0].behaviour = echo(inFlight: 0) } == "--in-flight is 0; use 1...65536")
            #expect(await refusal { $0.groups[0].behaviour = echo(.fixed(-1)) } == "--size is -1; use 0...268435456")
            #expect(
                await refusal { $0.groups[0].behaviour = echo(.uniform(3, 2)) }
                    == "--size is uniform from 3 to 2; swap them")
            #expect(
                await refusal { $0.schedulerCount = 65 } == "--schedulers is 65; use 0...64; 0 is one for each core")
            #expect(await refusal(serverPid: 4_194_305) { _ in }.hasPrefix("no process has the pid 4194305"))
            #expect(
                await refusal { $0.groups[0].target.headers = ["nonsense"] }
                    == "header 'nonsense' has no colon; write it as 'Name: value'")
            #expect(
                await refusal { $0.groups[0].target.sourceAddresses = ["nowhere"] }.hasPrefix(
                    "source address 'nowhere'"))
            #expect(
                await refusal {
                    $0.groups[0].target.urls = ["wss://127.0.0.1:1/"]
                    $0.groups[0].target.caFile = "/nowhere.pem"
                }.contains("/nowhere.pem: cannot be opened"))
            #expect(
                await refusal { $0.groups[0].target.urls = ["ws://no-such-host.invalid/"] }.hasPrefix(
                    "host 'no-such-host.invalid' was not found"))
        }

        @Test("messages whose sizes are drawn from a distribution come back as they were sent")
        func sizeDistributions() async throws {
            let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
            let plan = LoadPlan.short(
                .echo,
                .of(server.url("/echo"), 2, .echo(EchoPlan(size: .uniform(3, 300), inFlight: 3, isText: true))),
                .of(
                    server.url("/echo"), 2,
                    .echo(EchoPlan(size: .lognormal(median: 90, sigma: 2, max: 70_000), inFlight: 2, isText: false))))
            let report = try await plan.run()
            await server.stop()
            #expect(report.errors == [])
            for group in report.whole {
                #expect(group.counters.completed > 10)
                #expect(group.counters.sent == group.counters.completed)
                #expect(group.counters.sentByteCount == group.counters.receivedByteCount)
            }
        }
    }
}

extension TrafficTests {
    @Suite struct IdleTestTests {
        @Test("connections are opened, held and closed in order")
        func idle() async throws {
            let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
            var plan = LoadPlan.short(.idle, .of(server.url("/echo"), 200, .idle))
            plan.connectingCountMax = 7
            plan.groups[0].target.sourceAddresses = ["127.0.0.1", "127.0.0.2"]
            let report = try await plan.run(serverPid: Int32(getpidOfThisProgram()))
            #expect(report.errors == [])
            #expect(report.counters.opened == 200)
            #expect(report.intervals.last { $0.phase == .measuring }?.open == [200])
            #expect(report.whole[0].distributions.connect.totalCount == 200)
            #expect(report.intervals.allSatisfy { $0.server?.anonymousByteCount != nil })
            #expect(report.ownByteCounts != nil)
            #expect(server.server.connectionCount == 0)
            #expect(server.server.statistics.ended[.clientClosed] == 200)
            await server.stop()
        }

        @Test("connections that the server drops while they are held are errors")
        func dropped() async throws {
            let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
            var plan = LoadPlan.short(.idle, .of(server.url("/echo"), 5, .idle))
            plan.durationSeconds = 30
            async let report = plan.run()
            while server.server.statistics.opened < 5 { await Task.yield() }
            await server.stop()
            #expect(try await report.errors.map(\.count) == [5])
            #expect(try await report.intervals.last?.open == [0])
        }
    }
}
