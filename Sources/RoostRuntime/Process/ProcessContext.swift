// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

/// What a process can do: handed to its code, borrowed, so that it cannot leave the process.
///
/// `Message` is the type that the process receives; `Never` for one that receives none.
public struct ProcessContext<Message: Sendable>: ~Copyable {
    @usableFromInline package init() {}

    /// The process that runs. Every use of a context is inside its process: it can be neither copied nor captured by
    /// another.
    var process: ProcessRef {
        guard let process = SchedulerRef.currentProcess else { Dirty.refuseContext() }
        return process
    }

    var scheduler: SchedulerRef { SchedulerRef.current! }

    // MARK: Identity

    public var pid: Pid { process.pid }

    /// Whether waiting calls throw `ProcessExit` from here on.
    var isToldToExit: Bool { process.isExiting }

    /// Where others send this process its messages.
    public var address: Address<Message> { Address(pid: process.pid) }

    /// Whether exit signals arrive as messages instead of ending the process. (Erlang: `process_flag(trap_exit,
    /// true)`.)
    public var trapsExits: Bool { process.block.flags.contains(.trapsExits) }

    /// Turns the arrival of exit signals as messages on or off.
    public func trapExits(_ isOn: Bool = true) {
        if isOn { process.block.flags.insert(.trapsExits) } else { process.block.flags.remove(.trapsExits) }
    }

    // MARK: Receiving

    /// Waits for the next message of this process's type; other events stay where they are.
    @inlinable
    public func receive() throws(ProcessExit) -> Message {
        guard let payload = unsafe Receiving.nextMessage() else { throw Receiving.exit() }
        // Safe: a node of kind message holds a `Message`: only an `Address<Message>` of this process makes one.
        let message = unsafe payload.assumingMemoryBound(to: Message.self).move()
        unsafe Receiving.free(payload)
        return message
    }

    /// Waits at most `timeout` for the next message; nil when none came.
    public func receive(timeout: Duration) throws(ProcessExit) -> Message? {
        try next(until: .now() + timeout) { $0 }
    }

    /// Waits for the first message, in the order of arrival, that `match` makes something of; the others stay in the
    /// mailbox.
    ///
    /// `match` looks at messages with preemption enabled; it must not receive itself.
    public func receive<Result>(matching match: (Message) -> Result?) throws(ProcessExit) -> Result {
        while true {
            if let result = try next(until: nil, match) { return result }
        }
    }

    /// As `receive(matching:)`, at most `timeout` long; nil when no message matched in time.
    public func receive<Result>(
        timeout: Duration, matching match: (Message) -> Result?
    ) throws(ProcessExit) -> Result? {
        try next(until: .now() + timeout, match)
    }

    /// Waits for the next event of any kind: a message, the end of a monitored process, an exit signal. nil after
    /// `timeout`.
    public func receiveAny(timeout: Duration? = nil) throws(ProcessExit) -> Received<Message>? {
        let deadline = timeout.map { MonotonicTime.now() + $0 }
        return try wait(until: deadline) { process, node in
            switch node.kind {
            case .message: .message(node.takePayload(as: Message.self))
            case .down: .down(Self.takeDown(node, process))
            case .exit: .exit(node.takePayload(as: ExitSignal.self))
            case .reply, .request, .signal, .undeliverable: nil
            }
        }
    }

    /// Waits for the end of the process that `reference` monitors; nil after `timeout`.
    public func receiveDown(of reference: Reference, timeout: Duration? = nil) throws(ProcessExit) -> Down? {
        try process.receiveDown(of: reference, until: timeout.map { MonotonicTime.now() + $0 })
    }

    /// The monitor has fired: it is over.
    static func takeDown(_ node: Node, _ process: ProcessRef) -> Down {
        process.takeDown(node)
    }

    private func next<Result>(
        until deadline: MonotonicTime?, _ match: (Message) -> Result?
    ) throws(ProcessExit) -> Result? {
        try wait(until: deadline, destroysTaken: true) { process, node in
            guard node.kind == .message else { return nil }
            // Safe: a node of kind message holds a `Message`: only an `Address<Message>` of this process makes one.
            let message = unsafe node.payload.assumingMemoryBound(to: Message.self)
            process.block.flags.insert(.isMatching)
            roost_handler_begin()
            let result = unsafe match(message.pointee)
            roost_handler_end()
            process.block.flags.remove(.isMatching)
            return result
        }
    }

    /// `ProcessRef.wait` of this process.
    func wait<Result>(
        until deadline: MonotonicTime?, destroysTaken: Bool = false, in kind: WaitKind = .receive,
        _ take: (ProcessRef, Node) -> Result?
    ) throws(ProcessExit) -> Result? {
        try process.wait(until: deadline, destroysTaken: destroysTaken, in: kind, take)
    }

    // MARK: Time

    /// Waits for `duration`. Messages stay in the mailbox.
    public func sleep(_ duration: Duration) throws(ProcessExit) {
        roost_enter()
        defer { roost_leave() }
        let process = process
        let scheduler = scheduler
        let deadline = MonotonicTime.now() + duration
        defer { process.disarmTimer(scheduler) }
        try process.throwIfExiting()
        while !process.isPast(deadline, scheduler) {
            process.park(in: .sleep)
            scheduler.collectInbox(of: process)
            try process.throwIfExiting()
        }
    }

    /// Ends the turn: everyone else who is runnable goes first.
    public func yield() throws(ProcessExit) {
        roost_enter()
        let process = process
        try process.throwIfExiting { roost_leave() }
        unsafe roost_thread_current().pointee.reductions = -1
        roost_leave()
        try process.throwIfExiting()
    }

    // MARK: Others

    /// Links this process with another: when either ends abnormally, so does the other, unless it traps exits.
    public func link(_ pid: Pid) {
        roost_enter()
        defer { roost_leave() }
        guard pid != process.pid, !process.extras.links.contains(pid) else { return }
        process.extras.links.add(pid, ())
        process.extras.unlinking.remove(pid)
        if Tracing.isCurrent { Tracing.note(.linked(pid)) }
        if !scheduler.sendSignal(.link(from: process.pid), to: pid) {
            scheduler.sendSignal(.exit(from: pid, reason: .noProcess, isLink: true), to: process.pid)
        }
    }

    public func unlink(_ pid: Pid) {
        roost_enter()
        defer { roost_leave() }
        guard process.block.extras?.links.remove(pid) != nil else { return }
        if Tracing.isCurrent { Tracing.note(.unlinked(pid)) }
        let number = Reference.next().number
        guard scheduler.sendSignal(.unlink(from: process.pid, number: number), to: pid) else { return }
        process.extras.unlinking.remove(pid)
        process.extras.unlinking.add(pid, number)
    }

    /// Asks to be told, once, when `pid` ends: a `Down` with the returned reference. At once when it has ended already.
    public func monitor(_ pid: Pid) -> Reference {
        roost_enter()
        defer { roost_leave() }
        let reference = Reference.next()
        process.extras.monitors.add(reference, pid)
        if !scheduler.sendSignal(.monitor(reference: reference, observer: .process(process.pid)), to: pid) {
            scheduler.tell(.process(process.pid), of: pid, reference, .noProcess)
        }
        return reference
    }

    /// Ends a monitor; a `Down` of it that has arrived is taken out of the mailbox.
    public func demonitor(_ reference: Reference) {
        guard endMonitor(reference) else { return }
        _ = try? receiveDown(of: reference, timeout: .zero)
    }

    func endMonitor(_ reference: Reference) -> Bool {
        roost_enter()
        defer { roost_leave() }
        guard let pid = process.block.extras?.monitors.remove(reference) else { return false }
        scheduler.sendSignal(.demonitor(reference: reference), to: pid)
        return true
    }

    /// Sends `pid` an exit signal. `.kill` cannot be trapped; `.normal` does nothing to others.
    public func exit(_ pid: Pid, _ reason: ExitReason) {
        roost_enter()
        defer { roost_leave() }
        scheduler.sendSignal(.exit(from: process.pid, reason: reason, isLink: false), to: pid)
    }

    /// Sends `message` to `address` after `delay`.
    public func send<Other: Sendable>(_ message: Other, to address: Address<Other>, after delay: Duration) -> TimerToken
    {
        roost_enter()
        defer { roost_leave() }
        let node = scheduler.makeNode(message, kind: .message, for: address.pid)
        return unsafe TimerToken(
            home: scheduler.pointer, reference: scheduler.state.timers.arm(at: .now() + delay, .send(node)))
    }

    /// Sends `message` to `address` at `time`.
    package func send<Other: Sendable>(_ message: Other, to address: Address<Other>, at time: MonotonicTime) {
        roost_enter()
        defer { roost_leave() }
        let node = scheduler.makeNode(message, kind: .message, for: address.pid)
        _ = scheduler.state.timers.arm(at: time, .send(node))
    }

    /// Cancels a timer that has not fired.
    public func cancel(_ timer: TimerToken) {
        roost_enter()
        defer { roost_leave() }
        timer.cancel()
    }

    // MARK: Starting processes

    /// The runtime that this process belongs to.
    public var runtime: Runtime { unsafe scheduler.state.runtime }

    /// Starts a process and links it with this one in one step.
    @discardableResult
    public func spawnLink(
        options: ProcessOptions = ProcessOptions(),
        _ body: sending @escaping (borrowing ProcessContext<Never>) throws -> Void
    ) -> Pid {
        spawnLink(receiving: Never.self, options: options, body).pid
    }

    /// Starts a process and links it with this one in one step. It receives messages of type `type`.
    @discardableResult
    public func spawnLink<Other: Sendable>(
        receiving type: Other.Type, options: ProcessOptions = ProcessOptions(),
        _ body: sending @escaping (borrowing ProcessContext<Other>) throws -> Void
    ) -> Address<Other> {
        Runtime.checkAlignment(type)
        roost_enter()
        defer { roost_leave() }
        let address = runtime.start(receiving: type, options: options, link: process.pid, monitor: nil, body)
        process.extras.links.add(address.pid, ())
        if Tracing.isCurrent { Tracing.note(.linked(address.pid)) }
        return address
    }

    /// Starts a process and monitors it in one step.
    public func spawnMonitor(
        options: ProcessOptions = ProcessOptions(),
        _ body: sending @escaping (borrowing ProcessContext<Never>) throws -> Void
    ) -> (pid: Pid, reference: Reference) {
        let (address, reference) = spawnMonitor(receiving: Never.self, options: options, body)
        return (address.pid, reference)
    }

    /// Starts a process and monitors it in one step. It receives messages of type `type`.
    public func spawnMonitor<Other: Sendable>(
        receiving type: Other.Type, options: ProcessOptions = ProcessOptions(),
        _ body: sending @escaping (borrowing ProcessContext<Other>) throws -> Void
    ) -> (address: Address<Other>, reference: Reference) {
        Runtime.checkAlignment(type)
        roost_enter()
        defer { roost_leave() }
        let reference = Reference.next()
        let address = runtime.start(
            receiving: type, options: options, link: nil, monitor: (reference, .process(process.pid)), body)
        process.extras.monitors.add(reference, address.pid)
        return (address, reference)
    }

    /// Starts a process that nothing ties to this one.
    @discardableResult
    public func spawn(
        options: ProcessOptions = ProcessOptions(),
        _ body: sending @escaping (borrowing ProcessContext<Never>) throws -> Void
    ) -> Pid {
        spawn(receiving: Never.self, options: options, body).pid
    }

    /// Starts a process that nothing ties to this one. It receives messages of type `type`.
    @discardableResult
    public func spawn<Other: Sendable>(
        receiving type: Other.Type, options: ProcessOptions = ProcessOptions(),
        _ body: sending @escaping (borrowing ProcessContext<Other>) throws -> Void
    ) -> Address<Other> {
        Runtime.checkAlignment(type)
        roost_enter()
        defer { roost_leave() }
        return runtime.start(receiving: type, options: options, link: nil, monitor: nil, body)
    }
}

/// Runs `body` without being preempted: what it does to state that others of this scheduler look at, a lock for one, is
/// seen whole.
///
/// A process that is preempted while it holds a lock would leave it held for its turn and more, and another process
/// that wants it blocks the thread they share, for good. `body` must be short and must not wait: a waiting call inside
/// it traps. A trap inside it ends the program: nothing is known of the state behind the lock.
public func withoutPreemption<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    roost_enter()
    defer { roost_leave() }
    return try body()
}
