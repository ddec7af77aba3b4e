// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

/// What a process runs. A struct: a bare closure that passes through generic code, as a cast does, is wrapped in two
/// thunks, which cost an allocation each and frames on every parked stack.
struct Code<Message: Sendable> {
    let body: (borrowing ProcessContext<Message>) throws -> Void
}

extension Runtime {
    /// Starts a process: `body` runs in it from its first line to its last. Any thread.
    ///
    /// What `body` captures belongs to the new process alone; the compiler checks it. An error that it throws is its
    /// exit reason. Code of targets built with Roost's instrumentation flags is preempted wherever it loops (README,
    /// "Your package").
    @discardableResult
    public func spawn(
        options: ProcessOptions = ProcessOptions(),
        _ body: sending @escaping (borrowing ProcessContext<Never>) throws -> Void
    ) -> Pid {
        roost_enter()
        defer { roost_leave() }
        return start(receiving: Never.self, options: options, link: nil, monitor: nil, body).pid
    }

    /// Starts a process that receives messages of type `type`, and returns where they are sent.
    @discardableResult
    public func spawn<Message: Sendable>(
        receiving type: Message.Type, options: ProcessOptions = ProcessOptions(),
        _ body: sending @escaping (borrowing ProcessContext<Message>) throws -> Void
    ) -> Address<Message> {
        Self.checkAlignment(type)
        roost_enter()
        defer { roost_leave() }
        return start(receiving: type, options: options, link: nil, monitor: nil, body)
    }

    /// Before the runtime is entered: the trap is the caller's, and is contained.
    static func checkAlignment<Message>(_ type: Message.Type) {
        precondition(
            MemoryLayout<Message>.alignment <= 16,
            "\(Message.self) needs an alignment of more than 16; box it in a class or array")
    }

    func start<Message: Sendable>(
        receiving type: Message.Type, options: ProcessOptions, link: Pid?, monitor: (Reference, Observer)?,
        _ body: sending @escaping (borrowing ProcessContext<Message>) throws -> Void
    ) -> Address<Message> {
        // Safe: a context is empty; its type parameter changes nothing about how the closure is called.
        let entry = unsafe unsafeBitCast(Code(body: body), to: Code<Never>.self).body
        return Address(pid: start(entry, options, link, monitor))
    }

    private func start(
        _ entry: @escaping (borrowing ProcessContext<Never>) throws -> Void, _ options: ProcessOptions, _ link: Pid?,
        _ monitor: (Reference, Observer)?
    ) -> Pid {
        let limit = options.heapByteCountMax ?? configuration.heapByteCountMax
        let target = options.schedulerIndex.map { schedulers[$0] }
        let home: SchedulerRef
        let process: ProcessRef
        if let current = SchedulerRef.current, unsafe current.state.runtime === self, target == nil || target == current
        {
            home = current
            process = unsafe current.makeProcess(StraightLine.operations, heapLimit: limit == 0 ? .max : limit)
        } else {
            home = target ?? pickScheduler()
            process = External.takeSlot()
            processStarted()
            unsafe process.prepare(
                StraightLine.operations, home: home, heapLimit: limit == 0 ? .max : limit, at: .now())
        }
        process.block.entry = entry
        process.block.priority = options.priority
        if let label = options.label { process.extras.label = label }
        if options.isPinned { process.block.flags.insert(.isPinned) }
        if let limit = options.mailboxCountMax { process.setMailboxLimit(limit, options.mailboxPolicy) }
        if let link { process.extras.links.add(link, ()) }
        if let (reference, observer) = monitor { process.extras.observers.add(reference, observer) }
        let pid = process.pid
        if Tracing.isCurrent { Tracing.note(.spawned(pid)) }
        home.enqueue(process)
        return pid
    }

    /// Sends `pid` an exit signal from outside any process. False when it has ended.
    @discardableResult
    public func exit(_ pid: Pid, _ reason: ExitReason) -> Bool {
        roost_enter()
        defer { roost_leave() }
        let signal = Signal.exit(from: SchedulerRef.currentProcess?.pid ?? Pid(word: 0), reason: reason, isLink: false)
        return SchedulerRef.current?.sendSignal(signal, to: pid) ?? External.sendSignal(signal, to: pid)
    }

    /// Calls `body` once, on a scheduler, when `pid` ends; at once when it has ended. `body` must not block.
    public func whenEnded(_ pid: Pid, _ body: @escaping @Sendable (Pid, ExitReason) -> Void) {
        roost_enter()
        defer { roost_leave() }
        let signal = Signal.monitor(reference: .next(), observer: .callback(body))
        let isSent = SchedulerRef.current?.sendSignal(signal, to: pid) ?? External.sendSignal(signal, to: pid)
        if !isSent { body(pid, .noProcess) }
    }

    /// Suspends the calling task until `pid` ends and returns why it did; `.noProcess` when it had ended before.
    public func exitReason(of pid: Pid) async -> ExitReason {
        await withCheckedContinuation { continuation in
            whenEnded(pid) { _, reason in continuation.resume(returning: reason) }
        }
    }
}
