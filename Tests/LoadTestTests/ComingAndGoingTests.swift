// SPDX-License-Identifier: Apache-2.0

import Histogram
import LoadTesting
import Roost
import Synchronization
import Testing

/// What a server has seen of its connections.
private final class Guests: Sendable {
    private let state = Mutex((opened: 0, messages: 0, reasons: [CloseReason.Cause: Int]()))

    func come() { withoutPreemption { state.withLock { $0.opened += 1 } } }
    func speak() { withoutPreemption { state.withLock { $0.messages += 1 } } }
    func go(_ cause: CloseReason.Cause) { withoutPreemption { state.withLock { $0.reasons[cause, default: 0] += 1 } } }
    var openedCount: Int { state.withLock { $0.opened } }
    var messageCount: Int { state.withLock { $0.messages } }
    var reasons: [CloseReason.Cause: Int] { state.withLock { $0.reasons } }
}

private struct GuestEcho: ConnectionHandler {
    let guests: Guests

    mutating func opened(_ connection: borrowing Connection<Never>) { guests.come() }

    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Never>) {
        guests.speak()
        connection.send(binary: bytes)
    }

    mutating func terminated(_ reason: CloseReason, _ connection: borrowing Connection<Never>) {
        guests.go(reason.cause)
    }
}

extension TrafficTests {
    @Suite struct RampTests {
        private func plan(_ url: String, _ connections: Int, _ rate: Double, hold: Double = 0) -> LoadPlan {
            .ramp(.short(.ramp, .of(url, connections, .idle)), rate, hold: hold)
        }

        @Test("a ramp opens its connections at its rate, and ends when all are open")
        func opensAll() async throws {
            let guests = Guests()
            let server = try await TestServer.start([Route("/") { _ in GuestEcho(guests: guests) }])
            let record = try await plan(server.url("/"), 50, 250).run()
            await server.stop()
            #expect(record.errors == [])
            #expect(record.counters.started == 50 && record.counters.opened == 50 && record.counters.ended == 50)
            #expect(guests.openedCount == 50)
            // The last is due 49 250ths of a second after the first.
            #expect(record.measuredSeconds >= 0.196)
            #expect(record.whole[0].distributions.connect.totalCount == 50)
            #expect(record.whole[0].distributions.lag.totalCount == 50)
            // They are what a ramp's rate is of.
            #expect(record.counters.completed == 50)
            #expect(record.findings == ["50 of 50 connections opened, 50 were open at the end"])
        }

        @Test("a ramp holds what it has opened")
        func holds() async throws {
            let server = try await TestServer.start([Route("/") { _ in EchoHandler() }])
            let record = try await plan(server.url("/"), 5, 1_000, hold: 0.3).run()
            await server.stop()
            #expect(record.errors == [])
            #expect(record.measuredSeconds >= 0.304)
            #expect(record.intervals.last { $0.phase == .measuring }?.open == [5])
        }

        @Test("where connections fail, a ramp says how far it came")
        func fails() async throws {
            let doors = Counter()
            let guests = Guests()
            let server = try await TestServer.start([
                Route("/") { _ in
                    if doors.next() > 20 { throw ConnectionRefused(.serviceUnavailable) }
                    return GuestEcho(guests: guests)
                }
            ])
            let record = try await plan(server.url("/"), 50, 500).run()
            await server.stop()
            #expect(guests.openedCount == 20)
            #expect(record.counters.opened == 20 && record.counters.failed == 30)
            #expect(record.errors.map(\.count) == [30])
            let first = try #require(record.errors.first?.firstOpenCount)
            #expect(first <= 20)
            #expect(record.findings.count == 1)
            #expect(
                record.findings[0].hasPrefix(
                    "20 of 50 connections opened, 20 were open at the end; failures began after"))
            #expect(record.findings[0].hasSuffix(" s with \(first) connections open"))
        }

        @Test(
            "a run in which so many fail that it starts no more ends, although some are open", arguments: [true, false])
        func givesUp(connectsFirst: Bool) async throws {
            let doors = Counter()
            let server = try await TestServer.start([
                Route("/") { _ in
                    if doors.next() > 5 { throw ConnectionRefused(.serviceUnavailable) }
                    return EchoHandler()
                }
            ])
            var plan = plan(server.url("/"), 4_000, 1e6)
            plan.connectingCountMax = 100
            plan.connectsFirst = connectsFirst
            let record = try await plan.run()
            await server.stop()
            #expect(record.counters.opened == 5)
            #expect(record.counters.failed >= 1_000 && record.counters.failed <= 1_100)
            #expect(record.counters.started == record.counters.opened + record.counters.failed)
        }
    }
}

extension TrafficTests {
    @Suite struct ChurnTests {
        private func plan(
            _ url: String, messages: Int, ending: ChurnPlan.Ending = .handshake, pause: Double = 0,
            seconds: Double = 0.5
        ) -> LoadPlan {
            let churn = ChurnPlan(messageCount: messages, size: .fixed(64), ending: ending)
            var plan = LoadPlan.short(.churn, .of(url, 3, .churn(churn)))
            plan.groups[0].backoff = .pause(pause)
            plan.durationSeconds = seconds
            return plan
        }

        @Test(
            "clients come, say their messages, go and come back; the server counts the same", arguments: [0, 1, 3],
            ChurnPlan.Ending.allCases)
        func comeAndGo(messages: Int, ending: ChurnPlan.Ending) async throws {
            let guests = Guests()
            let server = try await TestServer.start([Route("/") { _ in GuestEcho(guests: guests) }])
            let record = try await plan(server.url("/"), messages: messages, ending: ending).run()
            await server.stop()
            let counters = record.counters
            #expect(record.errors == [])
            #expect(counters.opened > 3, "no client came back")
            #expect(counters.failed == 0 && counters.lost == 0)
            #expect(counters.ended == counters.opened && guests.openedCount == counters.opened)
            #expect(counters.completed == counters.sent && guests.messageCount == counters.sent)
            // The run's end cuts short what each client has to say.
            #expect(counters.sent <= messages * counters.opened)
            #expect(counters.sent >= messages * (counters.opened - 3))
            // Nobody lost a connection, and who comes again is no further client.
            #expect(counters.reconnected == 0)
            #expect(RunFigures(record).connectedCount == 3)
            #expect(record.whole[0].distributions.connect.totalCount == UInt64(counters.opened))
            let cause: CloseReason.Cause = ending == .handshake ? .clientClosed : .connectionLost
            #expect(guests.reasons == [cause: counters.opened])
            #expect(record.findings.first?.contains(" connections opened, ") == true)
        }

        @Test("a pause keeps clients away")
        func pause() async throws {
            let server = try await TestServer.start([Route("/") { _ in EchoHandler() }])
            let record = try await plan(server.url("/"), messages: 1, pause: 30).run()
            await server.stop()
            #expect(record.errors == [])
            #expect(record.counters.opened == 3 && record.counters.completed == 3)
        }

        @Test("a wrong answer ends a connection and is an error; its client comes back")
        func wrongAnswers() async throws {
            let server = try await TestServer.start([Route("/") { _ in FaultyEcho(.changedLastByte, at: [10]) }])
            let record = try await plan(server.url("/"), messages: 20).run()
            await server.stop()
            // The tenth answer of each connection is wrong.
            #expect(record.counters.opened > 3)
            #expect(record.errors.count == 1 && record.errors[0].kind.contains("not what was sent"))
            #expect(record.errors[0].count <= record.counters.opened)
            #expect(record.errors[0].count >= record.counters.opened - 3)
        }

        @Test("after an end a client comes back at once or after its pause; after failures it waits longer and longer")
        func backoff() {
            #expect(Backoff.pause(0).delaySeconds(0, random: 0.5) == 0)
            #expect(Backoff.pause(2).delaySeconds(0, random: 0.5) == 2)
            #expect(
                (1...8).map { Backoff.pause(0).delaySeconds($0, random: 0.5) } == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5])
            #expect(Backoff.pause(3).delaySeconds(1, random: 0.5) == 3)
        }
    }
}

extension TrafficTests.ChurnTests {
    @Test(
        "clients that run out of ports are told what to do",
        arguments: [("connect", true), ("bind", true), ("other", false)])
    func outOfPorts(step: String, isWarned: Bool) {
        var record = RunRecord(plan: plan("ws://127.0.0.1:1/", messages: 1), startedAt: 0)
        let texts = [
            "connect": "cannot connect to 127.0.0.1:1: Cannot assign requested address; no local port is left: give …",
            "bind": "cannot connect from 127.0.0.2: Address already in use; all of its ports are in use: give …",
            "other": "cannot connect to 127.0.0.1:1: Connection refused; start the server, or correct the port",
        ]
        record.errors = [TestError(kind: texts[step]!, count: 1, firstSeconds: 1)]
        #expect(record.paceWarnings.contains { $0.contains("--source-address") } == isWarned)
    }
}
