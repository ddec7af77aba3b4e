// SPDX-License-Identifier: Apache-2.0

import Histogram
import Roost
import Testing

@testable import LoadTesting

extension TrafficTests {
    @Suite struct StormTests {
        /// Goes a while after it has come.
        private struct LeavingHandler: ConnectionHandler {
            let leaves: Bool

            mutating func opened(_ connection: borrowing Connection<Never>) {
                if leaves { connection.setTimer(1, after: .milliseconds(200)) }
            }

            mutating func timer(_ id: Int, _ connection: borrowing Connection<Never>) {
                connection.close(.serviceRestart, reason: "restart")
            }
        }

        private func run(
            _ route: Route, clientCount: Int, backoff: Backoff = .constant(0.01), dropsConnections: Bool = true,
            heartbeat: HeartbeatPlan? = nil, seconds: Double = 60
        ) async throws -> RunRecord {
            let server = try await TestServer.start([route])
            var plan = LoadPlan.storm(
                Target([server.url("/echo")]), clientCount: clientCount, backoff: backoff, holdSeconds: 0.05,
                dropsConnections: dropsConnections, heartbeat: heartbeat)
            plan.schedulerCount = 2
            // It ends when all are back; a run that does not is interrupted by the test's own limit.
            plan.durationSeconds = seconds
            let record = try await plan.run()
            await server.stop()
            return record
        }

        @Test("all connections are cut, and all clients come back", .timeLimit(.minutes(1)))
        func clientDrop() async throws {
            let figures = StormFigures(
                try await run(Route("/echo") { _ in EchoHandler() }, clientCount: 50, backoff: .phoenix))
            #expect(figures.lostCount == 50)
            #expect(figures.backCount == 50)
            #expect(figures.attemptCountMean == 1)
            #expect(figures.attemptCountMax == 1)
            #expect(figures.failedCount == 0)
            // Phoenix's client waits 10 ms first.
            #expect(figures.back.after50.map { $0 >= 0.01 } == true)
            #expect(figures.back.after100.map { $0 >= figures.back.after50 ?? .infinity } == true)
            #expect(figures.connect.count == 50)
        }

        @Test("attempts that a server refuses are counted, reported and made again", .timeLimit(.minutes(1)))
        func refusals() async throws {
            let arrivals = Counter()
            let route = Route("/echo") { _ in
                if (21...60).contains(arrivals.next()) { throw ConnectionRefused(.serviceUnavailable, reason: "full") }
                return EchoHandler()
            }
            let record = try await run(route, clientCount: 20)
            let figures = StormFigures(record)
            #expect(figures.backCount == 20)
            #expect(figures.failedCount == 40)
            #expect(figures.attemptCountMean == 3)
            #expect(figures.attemptCountMax >= 3)
            #expect(record.errors.map(\.count) == [40])
            #expect(record.errors.allSatisfy { $0.kind.contains("503") && $0.isExpected })
        }

        @Test("connections that the server ends are awaited, and their end reported", .timeLimit(.minutes(1)))
        func serverDrop() async throws {
            let arrivals = Counter()
            let record = try await run(
                Route("/echo") { _ in LeavingHandler(leaves: arrivals.next() <= 20) }, clientCount: 20,
                dropsConnections: false)
            let figures = StormFigures(record)
            #expect(record.whole[0].counters.reconnected == 20)
            #expect(figures.back.after100 != nil)
            #expect(record.errors.map(\.kind) == ["clients: connection ended: server_closed (1012): restart"])
            #expect(record.errors.map(\.count) == [20])
        }

        private static let heartbeat = HeartbeatPlan(periodSeconds: 0.05, size: .fixed(30), isText: true)

        /// Echoes, but connections of the numbers in `silent`: those end a while after a message, or never.
        private struct FalteringHandler: ConnectionHandler {
            let isSilent: Bool
            let leaves: Bool

            mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<Never>) {
                if !isSilent {
                    connection.send(text)
                } else if leaves {
                    connection.setTimer(1, after: .milliseconds(200))
                }
            }

            mutating func timer(_ id: Int, _ connection: borrowing Connection<Never>) {
                connection.close(.serviceRestart, reason: "not ready")
            }
        }

        @Test("clients that say something are back when they are answered", .timeLimit(.minutes(1)))
        func answered() async throws {
            let record = try await run(
                Route("/echo") { _ in EchoHandler() }, clientCount: 50, heartbeat: Self.heartbeat)
            let figures = StormFigures(record)
            #expect(figures.backCount == 50 && figures.answeredCount == 50)
            #expect(figures.isRecovered)
            let (back, answered) = (figures.back, try #require(figures.answered))
            for ((_, open), (_, answer)) in zip(back.rows, answered.rows) {
                #expect(try #require(answer) >= #require(open))
            }
            #expect(figures.after.count >= 50)
            #expect(record.errors == [])
            #expect(record.whole[0].counters.lost == 0 && record.whole[0].counters.duplicated == 0)
        }

        @Test(
            "a server that takes connections before it can answer is back when it answers, from the first loss on",
            .timeLimit(.minutes(1)))
        func upgradesOnly() async throws {
            let arrivals = Counter()
            let route = Route("/echo") { _ in
                FalteringHandler(isSilent: (21...40).contains(arrivals.next()), leaves: true)
            }
            let record = try await run(route, clientCount: 20, heartbeat: Self.heartbeat)
            let figures = StormFigures(record)
            #expect(figures.lostCount == 40 && figures.backCount == 40)
            #expect(figures.answeredCount == 20 && figures.isRecovered)
            #expect(record.whole[0].distributions.recovery.totalCount == 40)
            // A client that was not answered waited for 200 ms until it lost that connection too.
            let least = Double(record.whole[0].distributions.answered.min) * 1e-9
            #expect(least >= 0.2)
            #expect(record.whole[0].counters.lost == 20)
            #expect(record.errors.allSatisfy { $0.isExpected })
            #expect(record.errors.contains { $0.kind == HeartbeatClient.unansweredText && $0.count == 20 })
        }

        @Test("a server that takes connections and never answers has not recovered", .timeLimit(.minutes(1)))
        func neverAnswers() async throws {
            let arrivals = Counter()
            let route = Route("/echo") { _ in FalteringHandler(isSilent: arrivals.next() > 20, leaves: false) }
            let figures = StormFigures(
                try await run(route, clientCount: 20, heartbeat: Self.heartbeat, seconds: 0.5))
            #expect(figures.answeredCount == 0)
            #expect(!figures.isRecovered)
            #expect(figures.answered == StormFigures.Times())
            #expect(figures.text.contains("50 % answered after    not within the test"))
        }

        @Test("round trips before the loss are told beside those since")
        func beforeAndSince() {
            var record = SampleRecords.plain(.storm, seconds: 4)
            record.plan.groups[0].behaviour = .heartbeat(Self.heartbeat)
            for (index, latency) in [1, 1, 1_000, 5].enumerated() {
                record.intervals[index + 2].groups[0].distributions.latency = Distributions.empty()
                record.intervals[index + 2].groups[0].distributions.latency.record(UInt64(latency) * 1_000_000)
            }
            record.intervals[4].groups[0].counters.ended = 100
            let figures = StormFigures(record)
            #expect(figures.before.count == 2 && figures.before.max == 1_000_000)
            #expect(figures.after.count == 2 && figures.after.max == 1_000_000_000)
        }

        @Test("those that are not back count in the shares")
        func missing() throws {
            var group = GroupMeasure()
            group.counters.ended = 100
            group.counters.reconnected = 60
            group.counters.started = 90
            for index in 1...60 { group.distributions.recovery.record(UInt64(index) * 1_000_000) }
            var record = RunRecord(
                plan: .storm(
                    Target(["ws://h/"]), clientCount: 100, backoff: .phoenix, holdSeconds: 0, dropsConnections: true),
                startedAt: 0)
            record.intervals = [
                Interval(
                    phase: .measuring, startSeconds: 0, seconds: 1, groups: [group], open: [60], usage: [], server: nil)
            ]
            let figures = StormFigures(record)
            let half = try #require(figures.back.after50)
            #expect(abs(half - 0.050) < 0.001)
            #expect(figures.back.after90 == nil)
            #expect(figures.back.after99 == nil)
            #expect(figures.back.after100 == nil)
            #expect(figures.attemptCountMean == 1.5)
            #expect(figures.text.contains("not within the test"))
        }
    }
}
