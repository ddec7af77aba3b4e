// SPDX-License-Identifier: Apache-2.0

import Histogram
import LoadTesting
import Synchronization
import Testing

/// Counts as it is told, and can be lost.
private final class FakeWorker: WorkerLink {
    let name: String?
    let opened = Atomic<Int>(0)
    let isLost = Atomic<Bool>(false)
    let told = Mutex<[WorkerCommand]>([])
    let clockUncertaintyNanoseconds: UInt64?
    let error: String

    init(_ name: String, clockUncertaintyNanoseconds: UInt64? = nil, error: String = "refused") {
        self.name = name
        self.clockUncertaintyNanoseconds = clockUncertaintyNanoseconds
        self.error = error
    }

    private func check() throws(LoadTestError) {
        if isLost.load(ordering: .relaxed) { throw LoadTestError("\(name ?? "") was lost") }
    }

    func connect() throws(LoadTestError) { try check() }

    func status() throws(LoadTestError) -> WorkerStatus {
        try check()
        let count = opened.load(ordering: .relaxed)
        return WorkerStatus(
            clientCount: 10, settledCount: count, openCount: count, failedCount: 1, isDeserted: count == 0)
    }

    func tell(_ command: WorkerCommand) throws(LoadTestError) {
        try check()
        told.withLock { $0.append(command) }
    }

    func snapshot() throws(LoadTestError) -> WorkerSnapshot {
        try check()
        var snapshot = WorkerSnapshot(groupCount: 1)
        snapshot.groups[0].counters.opened = opened.load(ordering: .relaxed)
        snapshot.groups[0].distributions.latency.record(1_000)
        snapshot.usage = [SchedulerUsage(cpuShare: 0.5, waitShare: 0)]
        snapshot.errors = [TestError(kind: error, count: 2, firstSeconds: 1)]
        snapshot.ownByteCount = 100
        return snapshot
    }

    func stop(timeoutSeconds: Double) {}
}

extension TrafficTests {
    @Suite struct WorkerSetTests {
        @Test("workers are added up")
        func sums() async throws {
            let workers = [FakeWorker("one"), FakeWorker("two")]
            workers[0].opened.store(3, ordering: .relaxed)
            let set = WorkerSet(workers, groupCount: 1)
            let status = try await set.status()
            #expect(
                status
                    == WorkerStatus(clientCount: 20, settledCount: 3, openCount: 3, failedCount: 2, isDeserted: false))
            let snapshot = await set.snapshot()
            #expect(snapshot.groups[0].counters.opened == 3)
            #expect(snapshot.groups[0].distributions.latency.totalCount == 2)
            #expect(snapshot.usage.count == 2 && snapshot.ownByteCount == 200)
            #expect(snapshot.errors == [TestError(kind: "refused", count: 4, firstSeconds: 1)])
            try await set.tell(.begin)
            #expect(workers.allSatisfy { $0.told.withLock { $0 } == [.begin] })
            #expect(set.workerCount == 2)
        }

        @Test("a lost worker is named, and what it had counted stays")
        func loss() async throws {
            let workers = [FakeWorker("one"), FakeWorker("two")]
            for worker in workers { worker.opened.store(5, ordering: .relaxed) }
            let set = WorkerSet(workers, groupCount: 1)
            _ = await set.snapshot()
            workers[1].isLost.store(true, ordering: .relaxed)
            workers[0].opened.store(6, ordering: .relaxed)
            await #expect(throws: LoadTestError("two was lost")) { _ = try await set.status() }
            await #expect(throws: LoadTestError("two was lost")) { try await set.tell(.end) }
            #expect(workers[0].told.withLock { $0 } == [.end], "the other is told all the same")
            for _ in 0..<2 {
                let snapshot = await set.snapshot()
                #expect(snapshot.groups[0].counters.opened == 11)
                #expect(snapshot.groups[0].counters.open == 6, "its connections have ended")
                #expect(snapshot.usage.count == 2)
                #expect(snapshot.errors.map(\.kind) == ["refused", "two was lost"])
                #expect(snapshot.errors.map(\.count) == [4, 1])
            }
        }

        @Test("an error that only some agents met says which")
        func locatedErrors() async {
            func kinds(_ errors: [String], isRemote: Bool = true) async -> [String] {
                let workers = errors.enumerated().map { index, error in
                    FakeWorker("agent \(index)", clockUncertaintyNanoseconds: isRemote ? 1 : nil, error: error)
                }
                return await WorkerSet(workers, groupCount: 1).snapshot().errors.map { "\($0.count) \($0.kind)" }
            }
            #expect(await kinds(["x", "x", "x"]) == ["6 x"])
            #expect(await kinds(["x", "y", "x"]) == ["4 x (only at agent 0, agent 2)", "2 y (only at agent 1)"])
            let loss = "worker 1 of agent 0 was lost"
            #expect(await kinds([loss, "x"]) == ["2 \(loss)", "2 x (only at agent 1)"])
            #expect(await kinds(["x", "y"], isRemote: false) == ["2 x", "2 y"])
            #expect(await kinds(["x"]) == ["2 x"])
        }

        @Test("parts of a place have its clients, each once", arguments: [1, 2, 5], [1, 3, 4])
        func parts(count: Int, parts: Int) {
            for clientCount in [0, 1, 7, 60, 61] {
                let places = (0..<count).flatMap { index in
                    (0..<parts).map { WorkerPlace(index: index, count: count).part($0, of: parts) }
                }
                #expect(Set(places.map(\.index)) == Set(0..<count * parts))
                #expect(places.allSatisfy { $0.count == count * parts })
                #expect(places.reduce(0) { $0 + $1.share(of: clientCount) } == clientCount)
            }
        }

        @Test(
            "cores are read as they are written", arguments: [("1", [1]), ("1-3", [1, 2, 3]), ("4,0-1,1", [4, 0, 1])])
        func cores(text: String, cores: [Int]) throws { #expect(try CoreSet.parse(text) == cores) }

        @Test(
            "what names no cores is refused", arguments: ["", "x", "3-1", "1-", "-1", "1,,2", "1-2-3", "1024", "0x1"])
        func wrongCores(text: String) {
            #expect(throws: LoadTestError("--cores is '\(text)'; write it as 1, 1-3 or 0,2,4-6")) {
                try CoreSet.parse(text)
            }
        }

        @Test("each core has one worker where there are enough, else each worker one core")
        func coreShares() {
            #expect((0..<2).map { CoreSet.share([0, 1, 2, 3, 4], $0, of: 2) } == [[0, 2, 4], [1, 3]])
            #expect((0..<3).map { CoreSet.share([5, 6], $0, of: 3) } == [[5], [6], [5]])
            #expect((0..<2).map { CoreSet.share([5, 6], $0, of: 2) } == [[5], [6]])
            #expect(CoreSet.share([], 0, of: 3) == [])
        }

        @Test("the fastest round trip tells the offset, and half of it the doubt")
        func clock() {
            let samples = [
                ClockSample(asked: 1_000, theirs: 9_000_500, answered: 3_000),
                ClockSample(asked: 5_000, theirs: 9_004_100, answered: 5_201),
                ClockSample(asked: 8_000, theirs: 9_008_000, answered: 9_000),
            ]
            let offset = ClockOffset(samples)
            #expect(offset?.nanoseconds == 5_100 - 9_004_100)
            #expect(offset?.uncertaintyNanoseconds == 101)
            #expect(ClockOffset([]) == nil)
            #expect(ClockOffset([ClockSample(asked: 10, theirs: 4, answered: 10)])?.nanoseconds == 6)
        }

        @Test("two machines' doubts add up, and one machine has none with itself")
        func clockDoubts() {
            func doubt(_ nanoseconds: [UInt64?]) -> UInt64? {
                let workers = nanoseconds.map { FakeWorker("", clockUncertaintyNanoseconds: $0) }
                return WorkerSet(workers, groupCount: 1).clockUncertaintyNanoseconds
            }
            #expect(doubt([nil, nil]) == nil)
            #expect(doubt([5]) == nil)
            #expect(doubt([5, 7]) == 12)
            #expect(doubt([5, 3, 7]) == 12)
        }

        @Test("clocks that ran apart during the run are known no better than by so much")
        func drift() {
            func offset(_ theirs: UInt64) -> ClockOffset? {
                ClockOffset([ClockSample(asked: 1_000_000, theirs: theirs, answered: 1_000_200)])
            }
            #expect(offset(500).map { $0.doubtNanoseconds(now: $0) } == 100)
            #expect(offset(500).flatMap { before in offset(9_500).map { before.doubtNanoseconds(now: $0) } } == 9_100)
            #expect(offset(9_500).flatMap { before in offset(500).map { before.doubtNanoseconds(now: $0) } } == 9_100)
        }

        @Test("times of two workers are compared where a room's clients may be in both")
        func measuresAcross() throws {
            let target = Target(["ws://127.0.0.1:1/"])
            for pace in [FanOutPlan.Pace.rate(10), .inFlight(1)] {
                let plan = FanOutPlan(publisherCount: 1, pace: pace)
                let fanOut = try LoadPlan.fanOut(plan, publishing: target, subscribing: target, subscriberCount: 4)
                let slow = try LoadPlan.slow(
                    plan, publishing: target, subscribing: target, subscriberCount: 4, slowShare: 0.5, readByteRate: 0)
                #expect(fanOut.measuresAcrossWorkers == (pace == .rate(10)))
                #expect(slow.measuresAcrossWorkers == (pace == .rate(10)))
            }
            #expect(!LoadPlan.echo("ws://127.0.0.1:1/").measuresAcrossWorkers)
        }
    }
}
