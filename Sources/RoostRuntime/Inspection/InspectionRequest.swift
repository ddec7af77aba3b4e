// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

/// One question about a process. It is answered once: by the process's scheduler, or when its time is up.
final class InspectionRequest: Sendable {
    private enum State: Sendable {
        case open(@Sendable (ProcessInformation?) -> Void, timer: Task<Void, Never>?)
        case answered
    }

    let pid: Pid
    private let state: Mutex<State>

    init(_ pid: Pid, _ body: @escaping @Sendable (ProcessInformation?) -> Void) {
        self.pid = pid
        state = Mutex(.open(body, timer: nil))
    }

    /// Asks. The answer comes at the process's next turn; at once where it has ended. Any thread.
    func send() {
        roost_enter()
        defer { roost_leave() }
        let signal = Signal.inspect { process in
            Accounting.unbooked { self.answer(process.map { ProcessInformation(of: $0) }) }
        }
        let isSent = SchedulerRef.current?.sendSignal(signal, to: pid) ?? External.sendSignal(signal, to: pid)
        if !isSent { answer(nil) }
    }

    /// Gives up after `timeout`, unless the answer is there.
    func limit(to timeout: Duration) {
        let timer = Task {
            if (try? await Task.sleep(for: timeout)) != nil { giveUp() }
        }
        let isOpen = withoutPreemption {
            state.withLock { state in
                guard case .open(let body, _) = state else { return false }
                state = .open(body, timer: timer)
                return true
            }
        }
        if !isOpen { timer.cancel() }
    }

    /// Answers with what can be told without the process.
    func giveUp() { answer(.unanswered(pid)) }

    private func answer(_ information: ProcessInformation?) {
        let open = withoutPreemption {
            state.withLock { state in
                defer { state = .answered }
                return state
            }
        }
        guard case .open(let body, let timer) = open else { return }
        timer?.cancel()
        body(information)
    }
}

enum Accounting {
    /// Runs `body` so that what it allocates is booked on no process.
    static func unbooked(_ body: () -> Void) {
        let thread = unsafe roost_thread_current()
        let owner = unsafe thread.pointee.owner
        unsafe roost_thread_set_owner(thread, 0)
        body()
        unsafe roost_thread_set_owner(thread, owner)
    }
}

extension Runtime {
    /// How long a process may take to answer before what is known without it is given.
    public static var inspectionTimeout: Duration { .milliseconds(200) }

    /// What is known of `pid`; nil when it has ended. Stops nobody: the process is looked at between two of its turns,
    /// or where it takes its messages. Any thread, any runtime's process.
    ///
    /// A process that waits is woken for it, finds nothing and waits on. One that has not answered after `timeout` is
    /// described from outside: see `ProcessInformation.hasAnswered`.
    public func information(
        of pid: Pid, timeout: Duration = Runtime.inspectionTimeout
    ) async -> ProcessInformation? {
        await withCheckedContinuation { continuation in
            inspect(pid, timeout: timeout) { continuation.resume(returning: $0) }
        }
    }

    /// As `information(of:)`, with the answer to `body`: called once, on a scheduler's or a Swift task's thread, or
    /// before this returns. It must not block.
    public func inspect(
        _ pid: Pid, timeout: Duration = Runtime.inspectionTimeout,
        _ body: @escaping @Sendable (ProcessInformation?) -> Void
    ) {
        let request = InspectionRequest(pid, body)
        request.send()
        request.limit(to: timeout)
    }
}

extension ProcessContext {
    /// What is known of `pid`, which may be this process; nil when it has ended. Waits at most `timeout`, as
    /// `Runtime.information(of:timeout:)` does.
    public func information(
        of pid: Pid, timeout: Duration = Runtime.inspectionTimeout
    ) throws(ProcessExit) -> ProcessInformation? {
        roost_enter()
        defer { roost_leave() }
        let process = process
        let scheduler = scheduler
        if pid == process.pid {
            scheduler.collectInbox(of: process)
            return ProcessInformation(of: process)
        }
        let deadline = MonotonicTime.now() + timeout
        let answer = InspectionAnswer()
        let asker = process.pid
        InspectionRequest(pid) { information in
            answer.set(information)
            if let process = ProcessTable.find(asker) { Runtime.notify(process, .poke) }
        }.send()
        defer { process.disarmTimer(scheduler) }
        while true {
            if let information = answer.value { return information }
            try process.throwIfExiting()
            if process.isPast(deadline, scheduler) { return .unanswered(pid) }
            process.park(in: .call)
            scheduler.collectInbox(of: process)
        }
    }
}

/// Where a process that asked finds the answer.
private final class InspectionAnswer: Sendable {
    private let storage = Mutex<ProcessInformation??>(nil)

    func set(_ information: ProcessInformation?) { storage.withLock { $0 = .some(information) } }
    var value: ProcessInformation?? { storage.withLock { $0 } }
}
