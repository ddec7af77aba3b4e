// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

extension Runtime {
    /// Runs `body` in a process of its own and returns what it returns: the way from Swift's concurrency to processes.
    ///
    /// Throws what `body` throws, and `ProcessExit` with the reason where the process ends in any other way. When the
    /// calling task is cancelled, the process is told to shut down, and `CancellationError` is thrown once it has.
    public func run<Value: Sendable>(
        options: ProcessOptions = ProcessOptions(),
        _ body: @escaping @Sendable (borrowing ProcessContext<Never>) throws -> Value
    ) async throws -> Value {
        let outcome = RunOutcome<Value>()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                start(outcome, continuation, options, body)
            }
        } onCancel: {
            if let pid = outcome.cancel() { exit(pid, .shutdown) }
        }
    }

    private func start<Value: Sendable>(
        _ outcome: RunOutcome<Value>, _ continuation: CheckedContinuation<Value, any Error>, _ options: ProcessOptions,
        _ body: @escaping @Sendable (borrowing ProcessContext<Never>) throws -> Value
    ) {
        roost_enter()
        defer { roost_leave() }
        // Called between turns, after all that the process did.
        let observer = Observer.callback { _, reason in outcome.resume(continuation, reason) }
        let address = start(
            receiving: Never.self, options: options, link: nil, monitor: (.next(), observer),
            { process in outcome.keep(try body(process)) })
        if outcome.hasStarted(address.pid) { exit(address.pid, .shutdown) }
    }
}

/// What a process that a task waits for leaves behind.
private final class RunOutcome<Value: Sendable>: Sendable {
    private struct State {
        var pid: Pid?
        var isCancelled = false
        var value: Value?
    }
    private let state = Mutex(State())

    /// Returns the process to end, if it has started.
    func cancel() -> Pid? {
        withoutPreemption {
            state.withLock { state in
                state.isCancelled = true
                return state.pid
            }
        }
    }

    /// Returns whether it is cancelled already.
    func hasStarted(_ pid: Pid) -> Bool {
        state.withLock { state in
            state.pid = pid
            return state.isCancelled
        }
    }

    func keep(_ value: Value) { withoutPreemption { state.withLock { $0.value = value } } }

    func resume(_ continuation: CheckedContinuation<Value, any Error>, _ reason: ExitReason) {
        let (value, isCancelled) = state.withLock { ($0.value.take(), $0.isCancelled) }
        switch reason {
        case .error(let error): continuation.resume(throwing: error)
        case .shutdown where isCancelled: continuation.resume(throwing: CancellationError())
        default:
            if let value, reason.isNormal { return continuation.resume(returning: value) }
            continuation.resume(throwing: ProcessExit(reason: reason))
        }
    }
}
