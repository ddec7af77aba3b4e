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

    /// Of two machines each has its share in it; within one there is none.
    package var clockUncertaintyNanoseconds: UInt64? {
        let shares = workers.compactMap(\.clockUncertaintyNanoseconds).sorted(by: >)
        guard shares.count > 1 else { return nil }
        return shares[0].addingReportingOverflow(shares[1]).partialValue
    }

    package func compareClocks() async {
        _ = await ask { worker throws(LoadTestError) in await worker.compareClocks() }
    }

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
            sum.abandonedCount += status.abandonedCount
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
            sum.errors = TestError.merged(located(known.map(\.errors)) + [known.compactMap(\.loss)])
            sum.ownByteCount =
                known.contains { $0.ownByteCount == nil } ? nil : known.reduce(0) { $0 + ($1.ownByteCount ?? 0) }
            return sum
        }
    }

    /// Where some agents met an error and others did not, it says which: machines are not all alike.
    private func located(_ errors: [[TestError]]) -> [[TestError]] {
        let agents = workers.compactMap { $0.clockUncertaintyNanoseconds == nil ? nil : $0.name }
        guard agents.count > 1, agents.count == workers.count else { return errors }
        var places: [String: [String]] = [:]
        for (agent, errors) in zip(agents, errors) {
            for error in errors { places[error.kind, default: []].append(agent) }
        }
        return errors.map { errors in
            errors.map { error in
                let names = places[error.kind] ?? []
                // What one of its workers was lost by has the agent's name in it.
                guard names.count < agents.count, !names.allSatisfy({ error.kind.contains($0) }) else { return error }
                return TestError(
                    kind: "\(error.kind) (only at \(names.joined(separator: ", ")))", count: error.count,
                    firstSeconds: error.firstSeconds, firstOpenCount: error.firstOpenCount,
                    isExpected: error.isExpected)
            }
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
        await concurrently(workers, body)
    }

    private func all<Value: Sendable>(
        _ body: @escaping @Sendable (any WorkerLink) async throws(LoadTestError) -> Value
    ) async throws(LoadTestError) -> [Value] {
        var values: [Value] = []
        for result in await ask(body) { values.append(try result.get()) }
        return values
    }
}
