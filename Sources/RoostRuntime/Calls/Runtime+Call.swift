// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

extension Runtime {
    /// Calls a process from a task outside any process: the task is suspended, no thread is blocked.
    ///
    /// As `ProcessContext.call`, made by a process of its own. A task that is cancelled waits no longer and throws
    /// `CancellationError`; the callee may still do what it was asked to.
    public func call<Callee: Destination, Answer: Sendable>(
        _ callee: Callee, timeout: Duration? = .seconds(5),
        _ make: @escaping @Sendable (ReplyAddress<Answer>) -> Callee.Message
    ) async throws -> Answer {
        try await ask { try $0.call(callee, timeout: timeout, make) }
    }

    /// Runs `body` in a process of its own and returns what it returns: for code outside any process. Cancelling the
    /// task tells that process to exit, and throws `CancellationError`.
    func ask<Value: Sendable>(
        _ body: @escaping @Sendable (borrowing ProcessContext<Never>) throws -> Value
    ) async throws -> Value {
        let question = Question<Value>()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                guard question.begin(continuation) else { return }
                let pid = spawn { process in
                    do {
                        question.end(.success(try body(process)))
                    } catch {
                        question.end(.failure(error))
                    }
                }
                // Where it traps, nobody else would tell.
                whenEnded(pid) { _, reason in question.end(.failure(ProcessExit(reason: reason))) }
                if question.started(pid) { exit(pid, .shutdown) }
            }
        } onCancel: {
            if let pid = question.cancel() { exit(pid, .shutdown) }
        }
    }
}

/// What a task outside asks a process. Ends once.
private final class Question<Value: Sendable>: Sendable {
    private struct State {
        var continuation: CheckedContinuation<Value, any Error>?
        var pid: Pid?
        var isCancelled = false
    }
    private let state = Mutex(State())

    /// False: the task was cancelled before, and has been told.
    func begin(_ continuation: CheckedContinuation<Value, any Error>) -> Bool {
        let isCancelled = withState { state in
            if !state.isCancelled { state.continuation = continuation }
            return state.isCancelled
        }
        if isCancelled { continuation.resume(throwing: CancellationError()) }
        return !isCancelled
    }

    /// Whether the task has been cancelled meanwhile: the process is to end.
    func started(_ pid: Pid) -> Bool {
        withState { state in
            state.pid = pid
            return state.isCancelled
        }
    }

    /// The process that is to end, if it has started.
    func cancel() -> Pid? {
        let (pid, continuation) = withState { state in
            state.isCancelled = true
            return (state.pid, state.continuation.take())
        }
        continuation?.resume(throwing: CancellationError())
        return pid
    }

    func end(_ outcome: Result<Value, any Error>) {
        let continuation = withState { $0.continuation.take() }
        continuation?.resume(with: outcome)
    }

    private func withState<Result>(_ body: (inout sending State) -> sending Result) -> Result {
        withoutPreemption { state.withLock(body) }
    }
}
