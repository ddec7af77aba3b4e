// SPDX-License-Identifier: Apache-2.0

import Histogram
import Roost
import Testing

@testable import LoadTesting

// One after the other: each loads a server as fast as it goes.
extension TrafficTests {
    @Suite struct FanOutTests {
        /// Runs a fan-out on a server of such rooms; publishers only publish unless `isMember`.
        private func run(
            _ rooms: TestRooms, _ plan: FanOutPlan, subscriberCount: Int = 4, path: String = "/rooms/a",
            publishPath: String = "/rooms/a", workers: [WorkerPlace] = [WorkerPlace(index: 0, count: 1)],
            schedulerCount: Int = 1, seconds: Double = 0.3
        ) async throws -> RunRecord {
            let server = try await TestServer.start([
                Route("/rooms/*") { RoomHandler(rooms, $0) },
                Route("/publish/*") { RoomHandler(rooms, $0, isMute: true) },
                Route("/lobby") { RoomHandler(rooms, $0, joinsByMessage: true) },
            ])
            var load = try LoadPlan.fanOut(
                plan, publishing: Target([server.url(publishPath)]), subscribing: Target([server.url(path)]),
                subscriberCount: subscriberCount)
            load.schedulerCount = schedulerCount
            load.warmupSeconds = 0
            load.durationSeconds = seconds
            var links: [any WorkerLink] = []
            for place in workers { links.append(try await LocalWorker(load, place)) }
            let record = await LoadRun(load, links, server: nil, observer: nil).run()
            await server.stop()
            return record
        }

        private func plan(_ pace: FanOutPlan.Pace, publisherCount: Int = 1, roomCount: Int = 1) -> FanOutPlan {
            var plan = FanOutPlan(publisherCount: publisherCount, pace: pace)
            plan.roomCount = roomCount
            plan.settleSeconds = 0.02
            // Longer than any delivery here takes: what has come by then is not lost.
            plan.awaitSeconds = 30
            return plan
        }

        private func expectClean(
            _ record: RunRecord, _ rooms: TestRooms, reach: Int, sourceLocation: SourceLocation = #_sourceLocation
        ) {
            let subscribers = record.whole[1]
            #expect(record.errors == [], sourceLocation: sourceLocation)
            #expect(rooms.messageCount > 0, sourceLocation: sourceLocation)
            #expect(record.whole[0].counters.sent == rooms.messageCount, sourceLocation: sourceLocation)
            #expect(subscribers.counters.completed == rooms.messageCount * reach, sourceLocation: sourceLocation)
            #expect(
                subscribers.distributions.latency.totalCount == UInt64(subscribers.counters.completed),
                sourceLocation: sourceLocation)
            #expect(subscribers.counters.lost == 0, sourceLocation: sourceLocation)
            #expect(subscribers.counters.duplicated == 0, sourceLocation: sourceLocation)
            #expect(subscribers.counters.reordered == 0, sourceLocation: sourceLocation)
        }

        @Test(
            "every subscriber of a room gets every message of its publishers, echoed to the publisher or not",
            arguments: [FanOutPlan.Pace.rate(1_000), .inFlight(1), .inFlight(8)], [true, false])
        func delivers(pace: FanOutPlan.Pace, echoes: Bool) async throws {
            let rooms = TestRooms(echoes: echoes)
            expectClean(try await run(rooms, plan(pace, publisherCount: 2)), rooms, reach: 4)
        }

        @Test(
            "clients are dealt out to rooms, on whatever scheduler",
            arguments: [FanOutPlan.Pace.rate(1_000), .inFlight(2)])
        func rooms(pace: FanOutPlan.Pace) async throws {
            let rooms = TestRooms()
            let record = try await run(
                rooms, plan(pace, publisherCount: 6, roomCount: 3), subscriberCount: 12, path: "/rooms/{room}",
                publishPath: "/rooms/{room}", schedulerCount: 2)
            expectClean(record, rooms, reach: 4)
        }

        @Test("publishers may have a path of their own, and messages any size", arguments: [48, 125, 65_536, 300_000])
        func sizes(byteCount: Int) async throws {
            let rooms = TestRooms()
            var plan = plan(.inFlight(2))
            plan.byteCount = byteCount
            plan.isText = byteCount == 125
            let record = try await run(rooms, plan, publishPath: "/publish/a", seconds: 0.2)
            expectClean(record, rooms, reach: 4)
            #expect(record.whole[0].counters.received == 0)
        }

        @Test("a room is joined by a message, and messages are found in what the server wraps them in")
        func templates() async throws {
            let rooms = TestRooms(wrapping: (#"{"seq":1,"RoostM":"x","data":"#, #","more":"Roost"}"#))
            var plan = plan(.inFlight(2), publisherCount: 2, roomCount: 2)
            plan.subscribeMessage = "join r{room}"
            plan.publishTemplate = #"{"room":"r{room}","payload":"{payload}"}"#
            plan.settleSeconds = 0.1
            let record = try await run(rooms, plan, subscriberCount: 6, path: "/lobby", publishPath: "/lobby")
            expectClean(record, rooms, reach: 3)
            // And the answer to joining.
            #expect(record.whole[1].counters.received == record.whole[1].counters.completed + 6)
        }

        // MARK: Servers that go wrong

        private struct Fault: Sendable, CustomTestStringConvertible {
            var fault: RoomFault
            var lost = 0
            var duplicated = 0
            var reordered = 0
            var damaged = 0

            var testDescription: String { "\(fault)" }
        }

        /// What four subscribers count.
        private static let faults = [
            Fault(fault: .lostForOne(number: 10), lost: 1),
            Fault(fault: .swapped(number: 10), reordered: 4),
            Fault(fault: .doubled(number: 10), duplicated: 4),
            // Of the marker, of the stamp, of the rest.
            Fault(fault: .changed(number: 10, offset: 0), lost: 4, damaged: 4),
            Fault(fault: .changed(number: 10, offset: 20), lost: 4, damaged: 4),
            Fault(fault: .changed(number: 10, offset: 47), lost: 4, damaged: 4),
            Fault(fault: .changed(number: 10, offset: 48), lost: 4, damaged: 4),
            Fault(fault: .changed(number: 10, offset: 63), lost: 4, damaged: 4),
            Fault(fault: .cut(number: 10), lost: 4, damaged: 4),
        ]

        @Test("what a server loses, doubles, swaps or changes is counted exactly", arguments: faults)
        private func counts(fault: Fault) async throws {
            let rooms = TestRooms(fault.fault)
            var plan = plan(.rate(500))
            plan.awaitSeconds = 1.5
            let record = try await run(rooms, plan)
            #expect(rooms.messageCount >= 11)
            let counters = record.whole[1].counters
            #expect(counters.lost == fault.lost)
            #expect(counters.duplicated == fault.duplicated)
            #expect(counters.reordered == fault.reordered)
            #expect(counters.completed == rooms.messageCount * 4 - fault.lost)
            // Each is a failure with a kind and a first time, too.
            let kinds = [
                (" was lost", fault.lost), (" came twice", fault.duplicated), (" of a later message", fault.reordered),
                (" is not what was published", fault.damaged),
            ]
            for (kind, count) in kinds {
                let errors = record.errors.filter { $0.kind.contains(kind) }
                #expect(errors.reduce(0) { $0 + $1.count } == count, "\(record.errors)")
                #expect(errors.allSatisfy { $0.firstSeconds > 0 })
            }
            #expect(record.errors.count == kinds.filter { $0.1 > 0 }.count)
        }

        @Test("a server that loses every so-manieth message loses as many as are reported", arguments: [1_000, 7, 1])
        func lossy(every: Int) async throws {
            let rooms = TestRooms(.lostForAll(every: every))
            var plan = plan(.rate(3_000))
            plan.awaitSeconds = 1.5
            let record = try await run(rooms, plan, seconds: 0.5)
            #expect(rooms.messageCount > every)
            #expect(record.whole[1].counters.lost == rooms.messageCount / every * 4)
            #expect(record.whole[1].counters.completed == (rooms.messageCount - rooms.messageCount / every) * 4)
            #expect(record.errors.map(\.kind) == ["a delivery was lost"])
            #expect(record.errors.map(\.count) == [record.whole[1].counters.lost])
        }

        @Test("a closed loop goes on behind a message that was lost, and says so")
        func lossInClosedLoop() async throws {
            let rooms = TestRooms(.lostForOne(number: 10))
            var plan = plan(.inFlight(1))
            plan.awaitSeconds = 0.5
            let record = try await run(rooms, plan, seconds: 1.5)
            #expect(rooms.messageCount > 10)
            #expect(record.whole[1].counters.lost == 1)
            #expect(
                Set(record.errors.map(\.kind)) == [
                    "a message did not reach every subscriber within 0.5 s", "a delivery was lost",
                ])
            #expect(record.errors.map(\.count) == [1, 1])
        }

        @Test("a closed loop does not wait for a subscriber that has gone", arguments: [1, 4])
        func goneInClosedLoop(inFlight: Int) async throws {
            let rooms = TestRooms(.closed(number: 10))
            let record = try await run(rooms, plan(.inFlight(inFlight)), seconds: 0.5)
            #expect(rooms.messageCount > 10 + inFlight)
            #expect(record.whole[1].counters.lost == 0)
            #expect(record.whole[1].counters.ended == 4)
            #expect(record.errors.map(\.kind) == ["connection ended: server_closed (1001): enough"])
        }

        @Test("a stall of half a second is in the maximum, and in an open loop in the 99th percentile")
        func stall() async throws {
            let rooms = TestRooms(.stalled(number: 50, milliseconds: 500))
            let record = try await run(rooms, plan(.rate(1_000)), seconds: 0.8)
            expectClean(record, rooms, reach: 4)
            let latency = Latency(record.whole[1].distributions.latency)
            #expect(latency.max >= 499_000_000)
            // At least a hundred messages were due in the first 100 ms of it; they wait 400 ms or more.
            #expect(rooms.messageCount < 10_000)
            #expect(latency.p99 >= 399_000_000)
        }

        // MARK: Several workers

        private static let both = [WorkerPlace(index: 0, count: 2), WorkerPlace(index: 1, count: 2)]

        @Test(
            "subscribers in another worker than the publisher know what they lost, the last message included",
            arguments: [7, 1])
        func workers(every: Int) async throws {
            let rooms = TestRooms(.lostForAll(every: every))
            var plan = plan(.rate(1_000))
            plan.awaitSeconds = 1.5
            let record = try await run(rooms, plan, workers: Self.both)
            // The announcement of the end is a message, too, and may be lost as the others.
            let counters = record.whole[1].counters
            let sent = record.whole[0].counters.sent
            #expect(rooms.messageCount == sent + 1)
            let lostOfSent = sent / every
            let (losses, others) = (
                record.errors.filter { $0.kind == "a delivery was lost" },
                record.errors.filter { $0.kind != "a delivery was lost" }
            )
            #expect(losses.reduce(0) { $0 + $1.count } == counters.lost)
            if rooms.messageCount.isMultiple(of: every) {
                #expect(others.map(\.count) == [2])
                #expect(counters.completed == (sent - lostOfSent) * 4)
            } else {
                #expect(others == [])
                #expect(counters.lost == lostOfSent * 4)
            }
        }

        @Test("a worker's clock is put right by its offset")
        func clocks() async throws {
            let rooms = TestRooms()
            var places = Self.both
            places[1].clockOffsetNanoseconds = 2_000_000_000
            let record = try await run(rooms, plan(.rate(1_000)), workers: places)
            let latency = record.whole[1].distributions.latency
            // Two of the four subscribers are where it is two seconds later.
            #expect(latency.valueAtPercentile(75) >= 1_990_000_000)
            #expect(record.errors == [])
        }

        @Test("a closed loop's rooms are not split between workers")
        func splitRooms() async throws {
            let closed = plan(.inFlight(1), publisherCount: 3, roomCount: 3)
            #expect(closed.problems(workerCount: 3) == [])
            #expect(closed.problems(workerCount: 2).count == 1)
            #expect(plan(.rate(1), publisherCount: 3, roomCount: 3).problems(workerCount: 2) == [])
            let rooms = TestRooms()
            let record = try await run(
                rooms, plan(.inFlight(2), publisherCount: 2, roomCount: 2), path: "/rooms/{room}",
                publishPath: "/rooms/{room}", workers: Self.both)
            // Each of the two publishers announces its end, which is no message.
            #expect(record.errors == [])
            #expect(record.whole[0].counters.sent == rooms.messageCount - 2)
            #expect(record.whole[1].counters.completed == record.whole[0].counters.sent * 2)
            #expect(record.whole[1].counters.lost == 0)
        }

        // MARK: Plans that cannot be

        @Test("a plan that cannot be run is refused with the option that mends it")
        func refusals() async {
            func problem(_ change: (inout FanOutPlan) -> Void) -> String {
                var plan = plan(.inFlight(1))
                change(&plan)
                return plan.problems(workerCount: 1).joined(separator: "\n")
            }
            #expect(problem { _ in } == "")
            #expect(problem { $0.byteCount = 47 }.hasPrefix("--size is 47; use 48...268435456"))
            #expect(problem { $0.byteCount = 48 } == "")
            #expect(problem { $0.roomCount = 2 }.hasPrefix("--rooms is 2 with 1 publishers"))
            #expect(problem { $0.publisherCount = 0 }.hasPrefix("--publishers is 0; use 1...1000000"))
            #expect(problem { $0.pace = .inFlight(0) }.hasPrefix("--in-flight is 0; use 1...1024"))
            #expect(problem { $0.pace = .rate(0) }.hasPrefix("--rate is 0"))
            #expect(problem { $0.pace = .rate(.nan) }.hasPrefix("--rate is nan"))
            #expect(problem { $0.publishTemplate = "{}" }.contains("must have {payload} once"))
            #expect(problem { $0.publishTemplate = "{payload}{payload}" }.contains("must have {payload} once"))
            #expect(problem { $0.awaitSeconds = 0 }.hasPrefix("--await is 0.0"))
            #expect(problem { $0.settleSeconds = -1 }.hasPrefix("--settle is -1.0"))
            #expect(problem { $0.readByteRate = -1 }.hasPrefix("--read-rate is -1"))
            let target = Target(["ws://127.0.0.1:1/rooms/a"])
            let two = plan(.inFlight(1), publisherCount: 2, roomCount: 2)
            #expect(throws: LoadTestError.self) {
                try LoadPlan.fanOut(two, publishing: target, subscribing: target, subscriberCount: 2)
            }
            #expect(throws: LoadTestError.self) {
                try LoadPlan.fanOut(two, publishing: target, subscribing: target, subscriberCount: 1)
            }
        }
    }
}
