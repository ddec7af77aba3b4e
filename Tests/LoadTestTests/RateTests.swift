// SPDX-License-Identifier: Apache-2.0

import Glibc
import Histogram
import LoadTesting
import Roost
import Testing

/// An echo that blocks its scheduler, and with it every client, once, for half a second.
private struct StallingEcho: ConnectionHandler {
    static let stall = Duration.milliseconds(500)
    let counter: Counter
    let stallsAt: Int

    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Never>) {
        if counter.next() == stallsAt {
            let end = ContinuousClock.now + Self.stall
            while ContinuousClock.now < end { usleep(1_000) }
        }
        connection.send(binary: bytes)
    }
}

extension TrafficTests {
    @Suite struct RateTests {
        private func plan(
            _ url: String, connections: Int = 3, rate: Double = 600, pacing: Pacing = .uniform, seconds: Double = 0.5,
            change: (inout PacedPlan) -> Void = { _ in }
        ) -> LoadPlan {
            var paced = PacedPlan(ratePerSecond: rate, pacing: pacing, size: .fixed(64))
            change(&paced)
            var plan = LoadPlan.short(.rate, .of(url, connections, .paced(paced)))
            plan.durationSeconds = seconds
            return plan
        }

        private func withServer<Handler: ConnectionHandler & SendableMetatype>(
            _ handler: @escaping @Sendable () -> Handler, _ body: (String) async throws -> RunRecord
        ) async throws -> RunRecord {
            let server = try await TestServer.start([Route("/") { _ in handler() }], sharesStuck: false)
            let record = try await body(server.url("/"))
            await server.stop()
            return record
        }

        private func count(_ kind: String, in record: RunRecord) -> Int {
            record.errors.filter { $0.kind.contains(kind) }.reduce(0) { $0 + $1.count }
        }

        /// The run from the first message to the last.
        private func secondsAtWork(_ record: RunRecord) -> Double {
            record.intervals.reduce(0) { $1.phase == .connecting ? $0 : $0 + $1.seconds }
        }

        @Test(
            "what is due is rate times time, and all of it is sent and answered", arguments: [1, 20], [100.0, 2_000])
        func due(connections: Int, rate: Double) async throws {
            let record = try await withServer({ EchoHandler() }) {
                try await plan($0, connections: connections, rate: rate).run()
            }
            let counters = record.counters
            #expect(record.errors == [])
            #expect(counters.sent == counters.due && counters.completed == counters.due)
            #expect(counters.lost == 0 && counters.reordered == 0 && counters.duplicated == 0)
            // A client's schedule has rate times time messages, one more or one fewer.
            #expect(Double(counters.due) >= rate * 0.5 - Double(connections))
            #expect(Double(counters.due) <= rate * secondsAtWork(record) + Double(connections))
            let whole = record.whole[0].distributions
            #expect(whole.latency.totalCount == UInt64(counters.due))
            #expect(whole.lag.totalCount == UInt64(counters.due))
        }

        @Test(
            "Poisson pacing, text, sizes below the number's 8 bytes: all of it is answered", arguments: [0, 1, 7, 8, 9])
        func poisson(byteCount: Int) async throws {
            let record = try await withServer({ EchoHandler() }) {
                try await plan($0, pacing: .poisson) {
                    $0.isText = true
                    $0.size = .fixed(byteCount)
                }.run()
            }
            #expect(record.errors == [])
            #expect(record.counters.due > 100)
            #expect(record.counters.completed == record.counters.due)
            #expect(record.counters.sentByteCount == byteCount * record.counters.due)
        }

        @Test(
            "a server that stalls once shows in the percentiles of an open loop, and hides from those of a closed loop")
        func coordinatedOmission() async throws {
            let counter = Counter()
            let open = try await withServer({ StallingEcho(counter: counter, stallsAt: 300) }) {
                try await plan($0, connections: 10, rate: 1_000, seconds: 2).run()
            }
            #expect(open.errors == [])
            // 500 messages are due in the stall, less one for each client at both ends; one due at x of it waits for
            // 500 - x ms. Of some 2,000 messages in all.
            let latency = open.whole[0].distributions.latency
            #expect(open.counters.completed == open.counters.due)
            #expect(latency.maxRecorded >= 500_000_000)
            #expect(latency.count(within: 100_000_000...Distributions.valueMax) >= 380)
            #expect(latency.count(within: 400_000_000...Distributions.valueMax) >= 80)
            #expect(latency.valueAtPercentile(95) >= 100_000_000)
            #expect(latency.valueAtPercentile(99) >= 350_000_000)

            let closedCounter = Counter()
            let closed = try await withServer({ StallingEcho(counter: closedCounter, stallsAt: 3_000) }) {
                var plan = LoadPlan.echo($0, connections: 10, inFlight: 1)
                plan.durationSeconds = 4
                return try await plan.run()
            }
            // As many messages as clients saw it: 10 of more than 3,000.
            try #require(
                closedCounter.value >= 3_000, "the machine is too slow for this test: \(closedCounter.value) messages")
            let closedLatency = closed.whole[0].distributions.latency
            #expect(closedLatency.maxRecorded >= 400_000_000)
            #expect(closedLatency.valueAtPercentile(99) < latency.valueAtPercentile(95))
        }

        @Test(
            "wrong answers are counted one by one, and the messages behind them are answered",
            arguments: [
                (FaultyEcho.Fault.changedLastByte, "not what was sent"), (.shorter, "63 bytes instead of 64"),
                (.longer, "65 bytes instead of 64"), (.otherKind, "not what was sent"),
            ])
        private func wrong(fault: FaultyEcho.Fault, text: String) async throws {
            let faults = Counter()
            let record = try await withServer({ FaultyEcho(fault, at: [1, 10, 11, 30], faults) }) {
                try await plan($0).run()
            }
            #expect(faults.value == 12)
            #expect(record.errors.map(\.count) == [12])
            #expect(count(text, in: record) == 12)
            #expect(record.counters.lost == 0 && record.counters.sent == record.counters.due)
            #expect(record.counters.completed == record.counters.sent - 12)
        }

        @Test("answers that do not come are counted as lost, with their latency so far")
        func lost() async throws {
            let faults = Counter()
            let record = try await withServer({ FaultyEcho(.dropped, at: [1, 10, 11, 30], faults) }) {
                var plan = plan($0)
                plan.endTimeoutSeconds = 2
                return try await plan.run()
            }
            #expect(faults.value == 12)
            #expect(record.counters.lost == 12)
            #expect(record.measured[0].counters.lost == 12)
            #expect(count("a message was not answered", in: record) == 12)
            #expect(count("3 connections had messages unanswered 2.0 s after the end", in: record) == 1)
            #expect(record.errors.reduce(0) { $0 + $1.count } == 13)
            #expect(record.counters.completed == record.counters.sent - 12)
            let latency = record.whole[0].distributions.latency
            #expect(latency.totalCount == UInt64(record.counters.due))
            #expect(latency.count(within: 2_000_000_000...Distributions.valueMax) >= 12)
        }

        @Test("what the warm-up lost is in no latency, however late it is given up")
        func lostInWarmup() async throws {
            let faults = Counter()
            let record = try await withServer({ FaultyEcho(.dropped, at: [1], faults) }) {
                var plan = plan($0)
                plan.warmupSeconds = 0.3
                plan.endTimeoutSeconds = 0.5
                return try await plan.run()
            }
            #expect(faults.value == 3)
            #expect(record.counters.lost == 3)
            #expect(record.counters.completed == record.counters.sent - 3)
            #expect(record.whole[0].distributions.latency.totalCount == UInt64(record.counters.completed))
        }

        @Test("answers that change places are counted, and checked all the same")
        func reordered() async throws {
            let faults = Counter()
            let record = try await withServer({ FaultyEcho(.swapped, at: [1, 10, 11, 30], faults) }) {
                var plan = plan($0)
                plan.endTimeoutSeconds = 2
                return try await plan.run()
            }
            // 10 and 11 are held together: only the later of them leaves, behind 12, and 10 is gone.
            #expect(record.counters.reordered == 9)
            #expect(count("an answer came behind that to a later message", in: record) == 9)
            #expect(record.counters.lost == 3)
            #expect(record.counters.completed == record.counters.sent - 3)
        }

        @Test("answers that come twice are counted")
        func duplicated() async throws {
            let faults = Counter()
            let record = try await withServer({ FaultyEcho(.twice, at: [1, 10, 11, 30], faults) }) {
                try await plan($0).run()
            }
            #expect(record.counters.duplicated == 12)
            #expect(record.errors.map(\.count) == [12])
            #expect(count("an answer came twice", in: record) == 12)
            #expect(record.counters.completed == record.counters.sent)
        }

        @Test("beyond the messages that may be unanswered none leaves; each is counted once, with its latency so far")
        func inFlightMax() async throws {
            let record = try await withServer({ SilentHandler() }) {
                var plan = plan($0, rate: 300) { $0.inFlightMax = 5 }
                plan.endTimeoutSeconds = 0.1
                return try await plan.run()
            }
            let counters = record.counters
            #expect(counters.sent == 15 && counters.lost == 15)
            #expect(counters.due >= 147)
            #expect(count("a message was due and never left", in: record) == counters.due - 15)
            #expect(record.whole[0].distributions.latency.totalCount == UInt64(counters.due))
            #expect(record.whole[0].distributions.lag.totalCount == 15)
            // Thousands are set apart by blanks.
            let warnings = record.warnings.map { $0.filter { $0 != " " } }
            let expected = "\(counters.due - 15)of\(counters.due)messagesthatweredue"
            #expect(warnings.contains { $0.hasPrefix(expected) }, "\(record.warnings)")
        }

        @Test("what waited for room leaves when there is some, and its latency counts from when it was due")
        func waitsForRoom() async throws {
            let counter = Counter()
            let record = try await withServer({ StallingEcho(counter: counter, stallsAt: 50) }) {
                try await plan($0, seconds: 1.5) { $0.inFlightMax = 3 }.run()
            }
            #expect(record.errors == [])
            #expect(record.counters.completed == record.counters.due && record.counters.sent == record.counters.due)
            let distributions = record.whole[0].distributions
            #expect(distributions.latency.totalCount == UInt64(record.counters.due))
            // Some 300 were due in the stall.
            #expect(distributions.latency.count(within: 100_000_000...Distributions.valueMax) >= 230)
            #expect(distributions.lag.totalCount < distributions.latency.totalCount)
        }

        @Test("a server that does not echo is only sent to")
        func noAnswer() async throws {
            let record = try await withServer({ SilentHandler() }) {
                try await plan($0) { $0.awaitsAnswers = false }.run()
            }
            #expect(record.errors == [])
            #expect(record.counters.sent == record.counters.due && record.counters.due >= 297)
            #expect(record.counters.completed == 0 && record.counters.lost == 0)
            #expect(record.whole[0].distributions.latency.totalCount == 0)
            #expect(record.whole[0].distributions.lag.totalCount == UInt64(record.counters.sent))
        }

        @Test("what a server that closes leaves unanswered is lost; nothing is due after it")
        func serverCloses() async throws {
            let record = try await withServer({ ClosingEcho(after: 5) }) { try await plan($0).run() }
            let counters = record.counters
            #expect(counters.completed == 15)
            #expect(counters.lost == counters.sent - 15 && counters.lost >= 3)
            // The close is seen in two steps: what is due between them cannot leave.
            #expect(count("a message was due and never left", in: record) == counters.due - counters.sent)
            #expect(count("connection ended: server_closed (1001): enough", in: record) == 3)
            #expect(count("a message was not answered", in: record) == counters.lost)
        }
    }
}
