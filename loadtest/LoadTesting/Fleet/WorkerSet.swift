// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// Several workers as one: told at the same time, asked at the same time, added up.
///
/// A worker that is lost makes `status` and `tell` fail. Snapshots go on: they have what it had counted when it last
/// answered, with its connections as ended, and name the loss among the errors.
package final class WorkerSet: WorkerLink {
    package let name: String? = nil
    private let workers: [any WorkerLink]
    private let startedAt = ContinuousClock.now
    private let known: Mutex<[Known]>

    /// What a worker told last.
    private struct Known {
        var counters: [Counters]
        var usageCount = 0
        var errors: [TestError] = []
        var ownByteCount: Int?
        var loss: TestError?
    }

    package init(_ workers: [any WorkerLink], groupCount: Int) {
        self.workers = workers
        known = Mutex(workers.map { _ in Known(counters: Array(repeating: Counters(), count: groupCount)) })
    }

    package var workerCount: Int { workers.reduce(0) { $0 + $1.workerCount } }

    package var clockUncertaintyNanoseconds: UInt64? { workers.compactMap(\.clockUncertaintyNanoseconds).max() }

    package func connect() async throws(LoadTestError) {
        _ = try await all { worker throws(LoadTestError) in try await worker.connect() }
    }

    package func tell(_ command: WorkerCommand) async throws(LoadTestError) {
        _ = try await all { worker throws(LoadTestError) in try await worker.tell(command) }
    }

    package func status() async throws(LoadTestError) -> WorkerStatus {
        var sum = WorkerStatus(clientCount: 0, settledCount: 0, openCount: 0, failedCount: 0, isDeserted: true)
        for status in try await all({ worker throws(LoadTestError) in try await worker.status() }) {
            sum.clientCount += status.clientCount
            sum.settledCount += status.settledCount
            sum.openCount += status.openCount
            sum.failedCount += status.failedCount
            sum.connectionCount += status.connectionCount
            sum.lostCount += status.lostCount
            sum.silentCount += status.silentCount
            sum.isDeserted = sum.isDeserted && status.isDeserted
        }
        return sum
    }

    package func snapshot() async -> WorkerSnapshot {
        let results = await ask { worker throws(LoadTestError) in try await worker.snapshot() }
        return known.withLock { known in
            var sum = WorkerSnapshot(groupCount: known.first?.counters.count ?? 0)
            for (index, result) in results.enumerated() { add(result, &known[index], to: &sum) }
            sum.errors = TestError.merged(known.map { $0.errors + ($0.loss.map { [$0] } ?? []) })
            sum.ownByteCount =
                known.contains { $0.ownByteCount == nil } ? nil : known.reduce(0) { $0 + ($1.ownByteCount ?? 0) }
            return sum
        }
    }

    private func add(
        _ result: Result<WorkerSnapshot, LoadTestError>, _ known: inout Known, to sum: inout WorkerSnapshot
    ) {
        switch result {
        case .success(let snapshot):
            known.counters = snapshot.groups.map(\.counters)
            known.usageCount = snapshot.usage.count
            known.errors = snapshot.errors
            known.ownByteCount = snapshot.ownByteCount
            for (group, measure) in snapshot.groups.enumerated() {
                sum.groups[group].distributions.add(measure.distributions)
                sum.groups[group].attemptCountMax = max(sum.groups[group].attemptCountMax, measure.attemptCountMax)
            }
            sum.usage += snapshot.usage
        case .failure(let loss):
            if known.loss == nil {
                let seconds = (ContinuousClock.now - startedAt).seconds
                known.loss = TestError(kind: loss.description, count: 1, firstSeconds: seconds)
                for group in known.counters.indices { known.counters[group].ended = known.counters[group].opened }
            }
            // A scheduler keeps its place in the list.
            sum.usage += Array(repeating: SchedulerUsage(cpuShare: 0, waitShare: 0), count: known.usageCount)
        }
        for (group, counters) in known.counters.enumerated() {
            sum.groups[group].counters = sum.groups[group].counters + counters
        }
    }

    package func stop(timeoutSeconds: Double) async {
        _ = await ask { worker throws(LoadTestError) in await worker.stop(timeoutSeconds: timeoutSeconds) }
    }

    // MARK: At the same time

    /// Of each worker, in order; every one is asked, whatever the others answer.
    private func ask<Value: Sendable>(
        _ body: @escaping @Sendable (any WorkerLink) async throws(LoadTestError) -> Value
    ) async -> [Result<Value, LoadTestError>] {
        await withTaskGroup(of: (Int, Result<Value, LoadTestError>).self) { tasks in
            for (index, worker) in workers.enumerated() {
                tasks.addTask {
                    do throws(LoadTestError) {
                        return (index, .success(try await body(worker)))
                    } catch {
                        return (index, .failure(error))
                    }
                }
            }
            var results: [(Int, Result<Value, LoadTestError>)] = []
            for await result in tasks { results.append(result) }
            return results.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    private func all<Value: Sendable>(
        _ body: @escaping @Sendable (any WorkerLink) async throws(LoadTestError) -> Value
    ) async throws(LoadTestError) -> [Value] {
        var values: [Value] = []
        for result in await ask(body) { values.append(try result.get()) }
        return values
    }
}
