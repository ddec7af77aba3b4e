// SPDX-License-Identifier: Apache-2.0

import Roost
import Testing

@testable import LoadTesting

extension TrafficTests {
    @Suite struct SlowTests {
        /// Two slow subscribers of six, messages of 32 KiB.
        private func run(_ policy: SlowConsumerPolicy, seconds: Double) async throws -> (RunRecord, ServerStatistics) {
            let rooms = TestRooms()
            var limits = ConnectionLimits()
            // With what the kernel takes, a second's worth: a fast one is not behind for so long.
            limits.outboundByteCountMax = policy == .close ? 8 << 20 : 256 << 10
            limits.slowConsumer = policy
            limits.closeTimeout = .milliseconds(300)
            let server = try await TestServer.start([
                Route("/rooms/*", limits: limits, compression: .off) { RoomHandler(rooms, $0) }
            ])
            var plan = FanOutPlan(publisherCount: 1, pace: .rate(400))
            plan.byteCount = 32 << 10
            let target = Target([server.url("/rooms/a")])
            var load = try LoadPlan.slow(
                plan, publishing: target, subscribing: target, subscriberCount: 6, slowShare: 0.34, readByteRate: 0)
            load.schedulerCount = 1
            load.warmupSeconds = 0
            load.durationSeconds = seconds
            let record = try await load.run()
            let statistics = server.server.statistics
            await server.stop()
            return (record, statistics)
        }

        @Test("a server that closes slow consumers closes them alone; the fast ones lose nothing")
        func closes() async throws {
            let (record, _) = try await run(.close, seconds: 3)
            let figures = try #require(SlowFigures(record))
            #expect(figures.slow.clientCount == 2)
            #expect(figures.slow.endedCount == 2)
            #expect(figures.slowEnds.reduce(0) { $0 + $1.count } == 2)
            #expect(figures.slowEnds.allSatisfy { $0.kind.contains("(10") }, "\(figures.slowEnds)")
            #expect(figures.fast.endedCount == 0)
            #expect(figures.fast.lostCount == 0)
            #expect(figures.fast.deliveredCount > 0)
            #expect(figures.fast.latency.count > 0)
            #expect(record.errors.filter { !$0.isExpected } == [])
            #expect(figures.text.contains("2 x slow: connection ended"))
        }

        @Test("a slow reader's socket is not read: the server can send it little, and drops the rest")
        func doesNotRead() async throws {
            let (record, statistics) = try await run(.dropOldest, seconds: 1)
            let figures = try #require(SlowFigures(record))
            // One message is more than it may read in half a minute.
            #expect(record.whole[2].counters.received <= 2 * 2)
            #expect(record.whole[1].counters.received > 10)
            #expect(figures.slow.endedCount == 0)
            #expect(statistics.slowConsumerEpisodes >= 2)
            #expect(record.errors == [])
        }

        @Test("the share of slow ones is neither none nor all", arguments: [0, 1, -0.5, .nan])
        func share(share: Double) {
            let target = Target(["ws://h/"])
            #expect(throws: LoadTestError.self) {
                try LoadPlan.slow(
                    FanOutPlan(publisherCount: 1, pace: .rate(1)), publishing: target, subscribing: target,
                    subscriberCount: 10, slowShare: share, readByteRate: 0)
            }
        }
    }
}
