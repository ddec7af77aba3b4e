// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc

/// A lock to wait at: pthread_mutex(3) and pthread_cond(3).
@safe final class Gate: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    init() {
        unsafe mutex = .allocate(capacity: 1)
        unsafe condition = .allocate(capacity: 1)
        unsafe pthread_mutex_init(mutex, nil)
        unsafe pthread_cond_init(condition, nil)
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(mutex)
        unsafe condition.deallocate()
        unsafe mutex.deallocate()
    }

    /// Not from handler code with preemption enabled: a process that is preempted here would hold its scheduler up.
    func withLock<Result>(_ body: () -> Result) -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return body()
    }

    /// Inside `withLock`; spurious returns happen.
    func wait() { unsafe pthread_cond_wait(condition, mutex) }
    func wakeOne() { unsafe pthread_cond_signal(condition) }
    func wakeAll() { unsafe pthread_cond_broadcast(condition) }
}

/// The dirty threads of one kind, and the jobs that wait for them, first in first out.
///
/// The queue has no bound of its own: a process waits for one job at a time, so it is as long as there are processes.
/// A thread is started when a job finds none that is idle, up to `threadCountMax`; threads stay until the runtime
/// stops.
// `gate` guards everything that changes
final class DirtyThreads: @unchecked Sendable {
    private let pool: DirtyPool
    private let threadCountMax: Int
    private let gate = Gate()
    private var queue = JobQueue()
    private var threads: [DirtyThread] = []
    private var idleCount = 0
    private var isStopping = false
    private var statistics = DirtyPoolStatistics()

    init(_ pool: DirtyPool, threadCountMax: Int) {
        self.pool = pool
        self.threadCountMax = threadCountMax
    }

    var currentStatistics: DirtyPoolStatistics {
        gate.withLock {
            var current = statistics
            current.threadCountMax = threadCountMax
            current.threadCount = threads.count
            current.queuedCount = queue.count
            return current
        }
    }

    /// Gives `job` to the next free thread. Depth one or more.
    func submit(_ job: DirtyJob, _ runtime: Runtime) {
        withoutAccount {
            gate.withLock {
                queue.append(job)
                if queue.count > idleCount, threads.count < threadCountMax, !isStopping { startThread(runtime) }
                gate.wakeOne()
            }
        }
    }

    /// Takes back a job that has not begun, for its process. False: it has. Depth one or more.
    func drop(_ job: DirtyJob) -> Bool {
        gate.withLock {
            guard job.change(.queued, to: .dropped) else { return false }
            statistics.droppedCount += 1
            queue.noteDropped()
            return true
        }
    }

    private func startThread(_ runtime: Runtime) {
        let thread = DirtyThread(self, runtime, name: "roost-d\(pool.rawValue)-\(threads.count)")
        let code = thread.start()
        // With a thread less the jobs wait longer; with none for ever.
        if code == 0 { return threads.append(thread) }
        if threads.isEmpty {
            fatalError("cannot start a dirty \(pool.rawValue) thread: errno \(code); raise the limit of threads")
        }
    }

    /// The next job for `thread`, which has begun; nil: the runtime stops. Waits.
    func next(for thread: DirtyThread) -> DirtyJob? {
        gate.withLock {
            while !isStopping {
                while let job = queue.popFirst() {
                    guard job.begin() else {
                        queue.forgetDropped()
                        continue
                    }
                    let waited = MonotonicTime.now() - job.submitted
                    statistics.waitingTime += waited
                    statistics.waitingTimeMax = max(statistics.waitingTimeMax, waited)
                    statistics.runningCount += 1
                    thread.job = job
                    return job
                }
                idleCount += 1
                gate.wait()
                idleCount -= 1
            }
            return nil
        }
    }

    func ended(_ thread: DirtyThread, _ outcome: UInt32) {
        gate.withLock {
            thread.job = nil
            statistics.runningCount -= 1
            switch Int(outcome) {
            case Int(ROOST_FINISHED): statistics.doneCount += 1
            case Int(ROOST_TRAPPED): statistics.trapCount += 1
            default: statistics.abandonedCount += 1
            }
        }
    }

    /// Ends the threads. One that runs a job is told to end when the job does, at its next reduction point or when it
    /// returns, and is not waited for: it may be stuck in native code.
    func stop() {
        let idle = gate.withLock {
            isStopping = true
            let idle = threads.filter { $0.job == nil }
            for thread in threads {
                guard let job = thread.job else { continue }
                job.cancelNow()
                pthread_detach(thread.handle)
            }
            threads.removeAll()
            gate.wakeAll()
            return idle
        }
        for thread in idle { pthread_join(thread.handle, nil) }
    }

    /// What `body` allocates is the runtime's, not the process's that calls it.
    private func withoutAccount(_ body: () -> Void) {
        let owner = unsafe roost_thread_current().pointee.owner
        unsafe roost_thread_set_owner(roost_thread_current(), 0)
        body()
        unsafe roost_thread_set_owner(roost_thread_current(), owner)
    }
}

/// Jobs in the order they came. One whose process has left stays as an empty shell until its turn comes, or until there
/// are too many of those.
private struct JobQueue {
    private var jobs: [DirtyJob?] = []
    private var head = 0
    private var droppedCount = 0

    /// Those that are to run.
    var count: Int { jobs.count - head - droppedCount }

    mutating func append(_ job: DirtyJob) { jobs.append(job) }

    mutating func popFirst() -> DirtyJob? {
        guard head < jobs.count, let job = jobs[head] else { return nil }
        jobs[head] = nil
        head += 1
        if head == jobs.count {
            jobs.removeAll(keepingCapacity: jobs.count <= 1_024)
            head = 0
        } else if head >= 1_024, head * 2 >= jobs.count {
            jobs.removeFirst(head)
            head = 0
        }
        return job
    }

    /// A job in the queue has been dropped.
    mutating func noteDropped() {
        droppedCount += 1
        guard droppedCount >= 1_024, droppedCount * 2 >= jobs.count - head else { return }
        jobs.removeAll { $0?.isDropped ?? true }
        head = 0
        droppedCount = 0
    }

    /// A job that was popped had been dropped.
    mutating func forgetDropped() { droppedCount -= 1 }
}
