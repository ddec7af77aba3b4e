// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

extension ProcessContext {
    /// Runs `body` on a thread of `pool` and waits for it: for what would hold the scheduler up, long computations
    /// in code without reduction points, or blocking calls. Returns what it returns, throws what it throws. (Erlang:
    /// dirty NIFs.)
    ///
    /// Meanwhile messages wait in order, links, monitors and timers work. `body` runs as the process does: a trap in it
    /// ends the process, and it alone; what it allocates counts towards the process's heap limit. It has no
    /// `ProcessContext`: what it wants to say it returns, or sends to an address. It is not preempted.
    ///
    /// Throws `ProcessExit` at once when the process is told to end, and `DirtyError.timedOut` after `timeout`. The job
    /// is dropped then if it has not begun; otherwise it is asked to end (`Dirty.isCancelled`), and what it returns is
    /// destroyed.
    public func dirty<Value>(
        _ pool: DirtyPool, timeout: Duration? = nil, _ body: sending @escaping () throws -> sending Value
    ) throws -> sending Value {
        try runDirty(pool, timeout, body)
    }

    /// As `dirty(_:timeout:_:)`, for code that does not throw: only `ProcessExit` is thrown.
    public func dirty<Value>(
        _ pool: DirtyPool, _ body: sending @escaping () -> sending Value
    ) throws(ProcessExit) -> sending Value {
        do {
            return try runDirty(pool, nil, body)
        } catch {
            throw (error as? ProcessExit) ?? ProcessExit(reason: .error(error))
        }
    }

    private func runDirty<Value>(
        _ pool: DirtyPool, _ timeout: Duration?, _ body: @escaping () throws -> Value
    ) throws -> sending Value {
        roost_enter()
        defer { roost_leave() }
        guard let process = SchedulerRef.currentProcess else { Dirty.refuseContext() }
        process.checkMayPark()
        try process.throwIfExiting()
        let runtime = runtime
        let threads = runtime.dirtyThreads(pool)
        let job = TypedDirtyJob(process, threads, grace: runtime.configuration.dirtyCancellationGrace, body)
        threads.submit(job, runtime)
        guard try job.wait(in: process, until: timeout.map { .now() + $0 }) else {
            throw DirtyError.timedOut(timeout ?? .zero)
        }
        return try job.takeResult().get()
    }

    /// Runs `body` as a task of Swift's concurrency and waits for it. Returns what it returns, throws what it throws.
    ///
    /// Meanwhile messages wait in order, links, monitors and timers work. Throws `ProcessExit` at once when the process
    /// is told to end; the task is cancelled then, and what it returns is destroyed in a process of its own.
    ///
    /// The task runs on Swift's executors, at `priority`, not as a process: a trap in it ends the program, and what it
    /// allocates is charged to nobody.
    public func `await`<Value: Sendable>(
        priority: TaskPriority? = nil, _ body: sending @escaping () async throws -> Value
    ) throws -> Value {
        roost_enter()
        defer { roost_leave() }
        guard let process = SchedulerRef.currentProcess else { Dirty.refuseContext() }
        process.checkMayPark()
        try process.throwIfExiting()
        let work = AwaitedTask<Value>(process)
        work.start(priority, runtime, body)
        _ = try work.wait(in: process, until: nil)
        return try work.takeResult().get()
    }
}
