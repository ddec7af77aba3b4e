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
            _ route: Route, clientCount: Int, backoff: Backoff = .constant(0.01), dropsConnections: Bool = true
        ) async throws -> RunRecord {
            let server = try await TestServer.start([route])
            var plan = LoadPlan.storm(
                Target([server.url("/echo")]), clientCount: clientCount, backoff: backoff, holdSeconds: 0.05,
                dropsConnections: dropsConnections)
            plan.schedulerCount = 2
            // It ends when all are back; a run that does not is interrupted by the test's own limit.
            plan.durationSeconds = 60
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
            #expect(figures.back50Seconds.map { $0 >= 0.01 } == true)
            #expect(figures.back100Seconds.map { $0 >= figures.back50Seconds ?? .infinity } == true)
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
            #expect(figures.back100Seconds != nil)
            #expect(record.errors.map(\.kind) == ["clients: connection ended: server_closed (1012): restart"])
            #expect(record.errors.map(\.count) == [20])
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
            let half = try #require(figures.back50Seconds)
            #expect(abs(half - 0.050) < 0.001)
            #expect(figures.back90Seconds == nil)
            #expect(figures.back99Seconds == nil)
            #expect(figures.back100Seconds == nil)
            #expect(figures.attemptCountMean == 1.5)
            #expect(figures.text.contains("not within the test"))
        }
    }
}
