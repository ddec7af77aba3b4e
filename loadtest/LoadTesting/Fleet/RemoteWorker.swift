// SPDX-License-Identifier: Apache-2.0

internal import RoostRuntime
internal import Synchronization

/// A worker in another process or on another machine, at the other end of a channel.
final class RemoteWorker: WorkerLink {
    /// Preparing looks names up and reads certificates; the rest waits for a scheduler that may be busy.
    private static let prepareTimeoutSeconds = 60.0
    private static let answerTimeoutSeconds = 30.0
    /// What an agent has more than its workers: it is to say which of them does not answer.
    private static let agentTimeoutSeconds = 10.0
    /// A run asks more often than an answer over a network is worth.
    private static let statusAge = Duration.milliseconds(100)

    let name: String?
    let workerCount: Int
    var clockUncertaintyNanoseconds: UInt64? { state.withLock { $0.clockUncertaintyNanoseconds } }
    /// Of an agent's clock, as its workers were told.
    private let offset: ClockOffset?
    private let channel: Channel
    private let groupCount: Int
    /// Where the worker is a process of this program's.
    private let process: WorkerProcess?
    private let state = Mutex(State())

    private struct State {
        /// Why the worker is lost: nothing more is asked of it.
        var loss: LoadTestError?
        var status: WorkerStatus?
        var statusAt = MonotonicTime.now()
        var clockUncertaintyNanoseconds: UInt64?
    }

    /// `remote`: connected, and known to be one of ours. Throws where the plan cannot be run there.
    init(_ remote: Remote, _ plan: LoadPlan, _ place: WorkerPlace) async throws(LoadTestError) {
        name = remote.name
        workerCount = remote.workerCount
        offset = remote.offset
        channel = remote.channel
        process = remote.process
        groupCount = plan.groups.count
        var place = place
        // A worker of an agent has the agent's clock, and the offset that the agent was told.
        if let offset = remote.offset {
            place.clockOffsetNanoseconds = offset.nanoseconds
            place.agentName = remote.name
        }
        state.withLock { $0.clockUncertaintyNanoseconds = remote.offset?.uncertaintyNanoseconds }
        do throws(LoadTestError) {
            try await order(.prepare(plan, place), timeoutSeconds: Self.prepareTimeoutSeconds)
        } catch {
            channel.shutdown()
            await process?.end(waitSeconds: 0)
            throw error
        }
    }

    func connect() async throws(LoadTestError) { try await order(.connect) }
    func tell(_ command: WorkerCommand) async throws(LoadTestError) { try await order(.tell(command)) }

    func status() async throws(LoadTestError) -> WorkerStatus {
        let recent = state.withLock { state in
            state.statusAt + Self.statusAge > MonotonicTime.now() ? state.status : nil
        }
        if let recent { return recent }
        guard case .status(let status) = try await ask(.status) else { throw await lose(.outOfTurn) }
        state.withLock { state in
            state.status = status
            state.statusAt = .now()
        }
        return status
    }

    func snapshot() async throws(LoadTestError) -> WorkerSnapshot {
        guard case .snapshot(let answer) = try await ask(.snapshot) else { throw await lose(.outOfTurn) }
        do throws(WireError) {
            return try answer.snapshot(groupCount: groupCount)
        } catch {
            throw await lose(error)
        }
    }

    func compareClocks() async {
        guard let offset, state.withLock({ $0.loss == nil }) else { return }
        do throws(WireError) {
            guard let now = try await AgentLink.compareClocks(channel) else { return }
            state.withLock { $0.clockUncertaintyNanoseconds = offset.doubtNanoseconds(now: now) }
        } catch {
            _ = await lose(error)
        }
    }

    func stop(timeoutSeconds: Double) async {
        if state.withLock({ $0.loss == nil }) {
            let seconds = timeoutSeconds + Self.answerTimeoutSeconds
            try? await order(.stop(timeoutSeconds: timeoutSeconds), timeoutSeconds: seconds)
        }
        channel.shutdown()
        await process?.end(waitSeconds: 2)
    }

    // MARK: Questions and answers

    private func order(
        _ request: WorkerRequest, timeoutSeconds: Double = answerTimeoutSeconds
    ) async throws(LoadTestError) {
        // What it does now may change what was known of it.
        state.withLock { $0.status = nil }
        guard case .done = try await ask(request, timeoutSeconds: timeoutSeconds) else { throw await lose(.outOfTurn) }
        state.withLock { $0.status = nil }
    }

    private func ask(
        _ request: WorkerRequest, timeoutSeconds: Double = answerTimeoutSeconds
    ) async throws(LoadTestError) -> WorkerAnswer {
        if let loss = state.withLock({ $0.loss }) { throw loss }
        let answer: WorkerAnswer
        do throws(WireError) {
            let more = process == nil ? Self.agentTimeoutSeconds : 0
            answer = try await channel.exchange(request, timeoutSeconds: timeoutSeconds + more)
        } catch {
            throw await lose(error)
        }
        guard case .failed(let text) = answer else { return answer }
        // An agent says which of its workers it speaks of, and what it calls them has its own name.
        guard let name, !text.contains(name) else { throw LoadTestError(text) }
        throw LoadTestError("\(name): \(text)")
    }

    /// Takes down why the worker is lost; the first reason stands.
    private func lose(_ error: WireError) async -> LoadTestError {
        if error != .ended { channel.shutdown() }
        let end = await process?.end(waitSeconds: error == .ended ? 1 : 0)
        let loss = LoadTestError("\(name ?? "a worker") was lost: \(end ?? error.description)")
        return state.withLock { state in
            if let known = state.loss { return known }
            state.loss = loss
            return loss
        }
    }
}

/// A connected worker process or agent, before it has a plan.
struct Remote: Sendable {
    var name: String
    var channel: Channel
    var workerCount = 1
    /// Of an agent's clock.
    var offset: ClockOffset?
    var process: WorkerProcess?
}
