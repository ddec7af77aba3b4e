// SPDX-License-Identifier: Apache-2.0

extension Runtime {
    /// Calls a process from a task outside any process: the task is suspended, no thread is blocked.
    ///
    /// As `ProcessContext.call`, made by a process of its own. A task that is cancelled waits no longer and throws
    /// `CancellationError`; the callee may still do what it was asked to.
    public func call<Callee: Destination, Answer: Sendable>(
        _ callee: Callee, timeout: Duration? = .seconds(5),
        _ make: @escaping @Sendable (ReplyAddress<Answer>) -> Callee.Message
    ) async throws -> Answer {
        try await run { try $0.call(callee, timeout: timeout, make) }
    }
}
