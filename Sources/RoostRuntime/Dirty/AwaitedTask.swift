// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// A task of Swift's concurrency that a process waits for. There is no queue: it begins as it is made.
final class AwaitedTask<Value: Sendable>: OutsideWork, @unchecked Sendable {  // `phase` orders what changes
    override var waitKind: WaitKind { .task }

    private let result = Parcel<Result<Value, any Error>>()
    private var task: Task<Void, Never>?

    init(_ process: ProcessRef) { super.init(process.pid, .running) }

    deinit { result.free() }

    /// Process context, depth one.
    func start(_ priority: TaskPriority?, _ runtime: Runtime, _ body: sending @escaping () async throws -> Value) {
        // The task outlives the process where that ends first: it is not charged to it.
        let owner = unsafe roost_thread_current().pointee.owner
        unsafe roost_thread_set_owner(roost_thread_current(), 0)
        task = Task.detached(priority: priority) {
            // Put away as it comes: a copy kept here would be the last, and be destroyed on this executor.
            do { self.result.put(.success(try await body())) } catch { self.result.put(.failure(error)) }
            self.end(runtime)
        }
        unsafe roost_thread_set_owner(roost_thread_current(), owner)
    }

    private func end(_ runtime: Runtime) {
        if finish() { return }
        // Nobody waits. Its deinit is user code: it runs in a process.
        runtime.spawn { _ in self.destroyResult() }
    }

    override func cancel() { task?.cancel() }
    override func destroyResult() { _ = result.take() }
    func takeResult() -> Result<Value, any Error> { result.take() }
}
