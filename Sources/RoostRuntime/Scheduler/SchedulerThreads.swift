// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
internal import Synchronization

/// The threads that run a runtime's schedulers: one for each, and spare ones for those whose thread is stuck.
///
/// A thread runs one scheduler at a time. It leaves it when the runtime stops, or when a thread that the scheduler was
/// taken over from wants it back; then it waits here until it is needed again.
final class SchedulerThreads: Sendable {
    private struct State: ~Copyable {
        var idle: [SchedulerThread] = []
        /// Threads that exist; of them, those that are stuck outside with another thread on their scheduler.
        var count = 0
        var stuckCount = 0
        var isStopping = false
    }

    private let state = Mutex(State())
    private let stackReserveByteCount: Int
    private let countMax: Int
    private let ended = Semaphore()

    init(schedulerCount: Int, spareCountMax: Int, stackReserveByteCount: Int) {
        countMax = schedulerCount + spareCountMax
        self.stackReserveByteCount = stackReserveByteCount
    }

    /// Makes a thread that waits run `scheduler`, or a new one. Throws where the kernel gives no thread.
    func run(_ scheduler: SchedulerRef) throws(RuntimeError) {
        let thread = if let waiting = takeIdle() { waiting } else { try start() }
        thread.assign(unsafe Assignment(scheduler: scheduler, stuck: nil))
    }

    enum HandOver { case done, refused, noThread }

    /// Takes `scheduler` over from `thread`, which is stuck in it, and goes on with it on another. Refused where the
    /// thread is not outside the runtime. The watch's thread.
    func takeOver(_ scheduler: SchedulerRef, from thread: UnsafeMutablePointer<roost_thread>) -> HandOver {
        // First who goes on: a claim that was granted cannot be taken back, since `thread` may wait in line already.
        guard let other = takeIdle() ?? startSpare() else { return .noThread }
        guard unsafe roost_claim(thread) else {
            putIdle(other)
            return .refused
        }
        // Nobody's, for the watch, until the other thread has it.
        scheduler.state.thread.store(0, ordering: .relaxed)
        locked { $0.stuckCount += 1 }
        other.assign(unsafe Assignment(scheduler: scheduler, stuck: thread))
        return .done
    }

    private func startSpare() -> SchedulerThread? {
        guard locked({ $0.count < countMax }) else { return nil }
        return try? start()
    }

    private func locked<Result>(_ body: (inout State) -> Result) -> Result {
        // ThreadSanitizer does not see this lock.
        let mark = unsafe Unmanaged.passUnretained(self).toOpaque()
        return state.withLock { state in
            unsafe roost_taken_over(mark)
            defer { unsafe roost_handed_over(mark) }
            return body(&state)
        }
    }

    func gaveBack() { locked { $0.stuckCount -= 1 } }

    /// Ends the threads that wait, and waits until all are gone but those stuck outside, which never come back. After
    /// the schedulers have been told to stop.
    func stop() {
        let idle = locked { state in
            state.isStopping = true
            let idle = state.idle
            state.idle = []
            return idle
        }
        for thread in idle { thread.assign(nil) }
        while locked({ $0.count > $0.stuckCount }) { ended.wait() }
    }

    private func takeIdle() -> SchedulerThread? { locked { $0.idle.popLast() } }

    private func putIdle(_ thread: SchedulerThread) {
        let isStopping = locked { state in
            if !state.isStopping { state.idle.append(thread) }
            return state.isStopping
        }
        if isStopping { thread.assign(nil) }
    }

    /// A thread that waits to be given a scheduler.
    private func start() throws(RuntimeError) -> SchedulerThread {
        let thread = SchedulerThread(self)
        locked { $0.count += 1 }
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        unsafe pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
        defer { unsafe _ = pthread_attr_destroy(&attributes) }
        var handle = pthread_t()
        let code = unsafe pthread_create(
            &handle, &attributes,
            { argument in
                // Safe: the argument is the retained thread made below.
                unsafe Unmanaged<SchedulerThread>.fromOpaque(argument!).takeRetainedValue().main()
                return nil
            }, Unmanaged.passRetained(thread).toOpaque())
        guard code == 0 else {
            unsafe Unmanaged.passUnretained(thread).release()
            locked { $0.count -= 1 }
            throw .systemCall("pthread_create", code)
        }
        return thread
    }

    /// The life of one thread.
    fileprivate func live(_ thread: SchedulerThread) {
        let code = roost_thread_attach(0, 0, stackReserveByteCount, nil)
        guard code == 0 else { fatalError("cannot map the signal stack of a scheduler: errno \(code)") }
        while let assignment = thread.next() {
            assignment.scheduler.bind()
            if let stuck = unsafe assignment.stuck { unsafe assignment.scheduler.takeOver(from: stuck) }
            if !assignment.scheduler.runLoop() {
                assignment.scheduler.close()
                break
            }
            unsafe roost_thread_current().pointee.scheduler = nil
            putIdle(thread)
        }
        roost_thread_detach()
        locked { $0.count -= 1 }
        ended.signal()
    }
}

/// A scheduler to run; `stuck` is the thread it is taken over from.
// the pointer is a thread's that waits or is stuck until the scheduler is given back
@safe private struct Assignment: @unchecked Sendable {
    let scheduler: SchedulerRef
    let stuck: UnsafeMutablePointer<roost_thread>?
}

private final class SchedulerThread: Sendable {
    private let pool: SchedulerThreads
    private let assignment = Mutex<Assignment?>(nil)
    private let semaphore = Semaphore()

    init(_ pool: SchedulerThreads) { self.pool = pool }

    func assign(_ assignment: Assignment?) {
        self.assignment.withLock { $0 = assignment }
        semaphore.signal()
    }

    /// Waits for work; nil: none will come.
    func next() -> Assignment? {
        semaphore.wait()
        return assignment.withLock { $0 }
    }

    func main() { pool.live(self) }
}

/// sem_overview(7), for threads that are no schedulers' processes.
// the semaphore is made for threads, and is freed with its last reference
@safe final class Semaphore: @unchecked Sendable {
    private let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        unsafe semaphore = .allocate(capacity: 1)
        unsafe sem_init(semaphore, 0, 0)
    }

    deinit {
        unsafe sem_destroy(semaphore)
        unsafe semaphore.deallocate()
    }

    func signal() { unsafe _ = sem_post(semaphore) }
    func wait() { while unsafe sem_wait(semaphore) != 0 {} }  // again after a signal
}

// MARK: - A scheduler and its thread

extension SchedulerRef {
    /// Makes the calling thread the one that runs the scheduler.
    func bind() {
        let thread = unsafe roost_thread_current()
        unsafe thread.pointee.scheduler = unsafe UnsafeMutableRawPointer(pointer)
        unsafe roost_thread_set_name("roost-\(state.index)")
        state.thread.store(UInt(bitPattern: thread), ordering: .releasing)
    }

    /// The scheduler will not be run any more.
    func close() {
        state.slots.drain()
        if let scratch = unsafe state.scratch { unsafe state.scratchRelease?(scratch) }
    }

    /// Goes on in the place of `thread`, which is in native code of a process and stays there. What the process has
    /// borrowed from the scheduler goes with it, as when it is preempted. The thread that takes over.
    func takeOver(from thread: UnsafeMutablePointer<roost_thread>) {
        guard let process = unsafe Self.process(on: thread) else { return }
        state.statistics.handOvers &+= 1
        if !roost_stack_per_process() {
            let lane = process.block.lane
            state.lanes[lane].resident = unsafe UInt(bitPattern: process.pointer)
            state.lanes.setStuck(lane, true)
            if lane == state.lanes.fresh {
                state.lanes.advance()
                clear(state.lanes.fresh)
            }
        }
        unsafe process.block.operations.pointee.didStop(process.raw)
    }

    /// Gives the scheduler back to a thread that it was taken over from, in the middle of the turn that it is in.
    /// Between turns.
    func giveBack() -> Bool {
        var seen = state.rejoining.load(ordering: .acquiring)
        while seen != 0 {
            // Safe: whoever pushed itself waits until it is given the scheduler.
            let thread = unsafe UnsafeMutablePointer<roost_thread>(bitPattern: seen)!
            let (done, value) = unsafe state.rejoining.compareExchange(
                expected: seen, desired: UInt(bitPattern: thread.pointee.next_rejoining),
                ordering: .acquiringAndReleasing)
            guard done else {
                seen = value
                continue
            }
            if let process = unsafe Self.process(on: thread) { readmit(process) }
            state.thread.store(seen, ordering: .releasing)
            unsafe state.runtime.threads.gaveBack()
            unsafe roost_claim_end(thread)
            return true
        }
        return false
    }

    private func readmit(_ process: ProcessRef) {
        if !roost_stack_per_process() { state.lanes.setStuck(process.block.lane, false) }
        if let willResume = unsafe process.block.operations.pointee.willResume { unsafe willResume(process.raw) }
        var waiting = state.waitingForLane
        state.waitingForLane = 0
        while waiting != 0 {
            let process = ProcessRef(queued: waiting)
            waiting = process.block.runNext
            enqueueLocal(process)
        }
    }

    /// Whether `process` cannot run now, because its frames belong where someone is stuck; then it waits for that one.
    func putAside(_ process: ProcessRef) -> Bool {
        guard process.block.flags.contains(.hasStack), state.lanes.isStuck(process.block.lane) else { return false }
        process.block.runNext = state.waitingForLane
        state.waitingForLane = unsafe UInt(bitPattern: process.pointer)
        return true
    }

    /// What a thread does that finds its scheduler taken over: it waits in line. (`roost_claimed`)
    static func rejoin(_ thread: UnsafeMutablePointer<roost_thread>) {
        guard let scheduler = current else { return }
        let word = UInt(bitPattern: thread)
        var seen = scheduler.state.rejoining.load(ordering: .relaxed)
        while true {
            unsafe thread.pointee.next_rejoining = unsafe UnsafeMutablePointer(bitPattern: seen)
            let (done, value) = scheduler.state.rejoining.compareExchange(
                expected: seen, desired: word, ordering: .sequentiallyConsistent)
            if done { break }
            seen = value
        }
        scheduler.poke()
    }

    /// The process that a thread is in.
    static func process(on thread: UnsafeMutablePointer<roost_thread>) -> ProcessRef? {
        guard let current = unsafe thread.pointee.current else { return nil }
        return unsafe ProcessRef(current.assumingMemoryBound(to: ProcessControlBlock.self))
    }
}
