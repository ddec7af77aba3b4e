// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// The two kinds of threads that run what would hold a scheduler up. (Erlang: dirty schedulers.)
public enum DirtyPool: String, Sendable, CaseIterable {
    /// For work that computes: as many threads as cores (`RuntimeConfiguration.dirtyCPUThreadCount`).
    case cpu
    /// For work that waits in calls of the operating system: `RuntimeConfiguration.dirtyIOThreadCount` threads.
    case io
}

/// Why `dirty` has no value, beside what its closure throws and `ProcessExit`.
public enum DirtyError: Error, Equatable, CustomStringConvertible {
    /// Thrown by `Dirty.checkCancellation()`: nobody waits for the job any more.
    case cancelled
    /// The job did not end in time. It has been cancelled.
    case timedOut(Duration)

    public var description: String {
        switch self {
        case .cancelled: "the dirty job was cancelled: its process has ended, or no longer waits for it"
        case .timedOut(let timeout): "the dirty job took longer than \(timeout); give it a longer timeout"
        }
    }
}

/// What the closure of `ProcessContext.dirty` can ask. On any other thread nothing is ever cancelled.
public enum Dirty {
    /// Whether the process of the job that runs on this thread has stopped waiting for it: it was told to end, the
    /// timeout passed, or the job took it over its heap limit. Long work asks now and then, and returns early.
    ///
    /// Code built with Roost's instrumentation flags that goes on regardless is abandoned at a reduction point when
    /// `RuntimeConfiguration.dirtyCancellationGrace` is over; other code ends when it ends.
    public static var isCancelled: Bool {
        guard let dirty = unsafe roost_thread_current().pointee.dirty else { return false }
        return unsafe roost_dirty_is_cancelled(dirty)
    }

    /// Throws `DirtyError.cancelled` where `isCancelled`.
    public static func checkCancellation() throws(DirtyError) {
        if isCancelled { throw .cancelled }
    }
}

/// Counters of a runtime's dirty threads of one kind.
public struct DirtyPoolStatistics: Sendable, Equatable {
    /// Threads that may run, and that have been started: one is started when a job finds none that is idle.
    public var threadCountMax = 0
    public var threadCount = 0
    /// Jobs that wait for a thread, and that run.
    public var queuedCount = 0
    public var runningCount = 0
    /// Jobs that returned or threw.
    public var doneCount: UInt64 = 0
    /// Jobs that never ran, because their process stopped waiting before.
    public var droppedCount: UInt64 = 0
    public var trapCount: UInt64 = 0
    /// Jobs that were cancelled and did not end within the grace, or held too much memory.
    public var abandonedCount: UInt64 = 0
    /// How long all jobs that ran had waited for a thread, and the one that waited longest.
    public var waitingTime = Duration.zero
    public var waitingTimeMax = Duration.zero
}

extension Dirty {
    /// There is no process on this thread. In a dirty job that is a mistake of handler code, and contained as such.
    static func refuseContext() -> Never {
        if unsafe roost_thread_current().pointee.dirty != nil {
            roost_handler_begin()
            fatalError(
                "a ProcessContext was used in a dirty job: its process waits for the job; send it a message instead")
        }
        preconditionFailure("a ProcessContext was used outside its process")
    }
}

extension Dirty {
    /// Destroys what nobody received. On a dirty thread as handler code of the job that sent it; on other threads that
    /// are no schedulers there is no process to contain it.
    static func destroyPayload(of node: Node) {
        let thread = unsafe roost_thread_current()
        guard unsafe thread.pointee.dirty != nil, unsafe thread.pointee.preemption_disabled == 1 else {
            return node.destroyPayload()
        }
        roost_handler_begin()
        node.destroyPayload()
        roost_handler_end()
    }
}
