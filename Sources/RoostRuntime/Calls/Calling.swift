// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
internal import Synchronization

/// The caller's side of a call, for any types. Payloads pass as addresses; the generic part is inlined into the caller.
///
/// It is not generic and it is shallow: what is on the stack while a process waits is what the process keeps. A call
/// costs the node of the request and that of the reply. The callee's side needs no signals: the request says who
/// waits, and the callee's runtime remembers that as long as the answer is owed (`CallState`, K1).
@usableFromInline
@safe enum Calling {
    /// The process that runs, and a reference for a call of it to `callee`.
    @usableFromInline
    static func begin(
        _ callee: Pid, _ request: Any.Type, isReplyAligned: Bool
    ) throws -> (caller: Pid, reference: Reference) {
        guard let process = SchedulerRef.currentProcess, let scheduler = SchedulerRef.current else {
            preconditionFailure("a ProcessContext was used outside its process")
        }
        precondition(isReplyAligned, "the answer to \(request) needs an alignment of more than 16; box it in a class")
        let caller = process.pid
        guard callee != caller else { throw CallError(.callingItself, callee: callee, request: request) }
        roost_enter()
        process.checkMayPark()
        process.checkIsNotMatching()
        let isExiting = process.isExiting
        let number = scheduler.nextCallNumber()
        roost_leave()
        if isExiting { throw Receiving.exit() }
        return (caller, Reference(number: number))
    }

    /// The payload of a new request; nil when there is no such process. `isRequest`: of a `GenServer`'s own kind.
    @usableFromInline
    static func allocate(
        _ callee: Pid, _ reference: Reference, byteCount: Int, type: UnsafeRawPointer?, isRequest: Bool
    ) -> UnsafeMutableRawPointer? {
        guard ProcessTable.find(callee) != nil else { return nil }
        roost_enter()
        defer { roost_leave() }
        // Safe: `begin` has found the scheduler and the process that run.
        let scheduler = unsafe SchedulerRef.current.unsafelyUnwrapped
        let caller = unsafe SchedulerRef.currentProcess.unsafelyUnwrapped
        roost_charge(1)
        let size = NodeHeader.payloadOffset &+ CallTrailer.byteCount(withPayload: byteCount)
        let block = unsafe scheduler.state.blocks.allocate(byteCount: size)
        let header = unsafe block.bindMemory(to: NodeHeader.self, capacity: 1)
        unsafe header.initialize(
            to: NodeHeader(
                target: callee.word, payloadType: type, byteCount: size, kind: isRequest ? .request : .message,
                at: scheduler.state.now))
        unsafe header.pointee.isCall = true
        unsafe Node(header).trailer.initialize(to: CallTrailer(number: reference.number, word: caller.pid.word))
        return unsafe block + NodeHeader.payloadOffset
    }

    /// Makes the new message of `payload` a request of a `GenServer`'s own kind.
    @usableFromInline
    static func markRequest(_ payload: UnsafeMutableRawPointer) {
        // Safe: `Sending.allocate` made the node, which nobody else knows yet.
        unsafe (payload - NodeHeader.payloadOffset).assumingMemoryBound(to: NodeHeader.self).pointee.kind = .request
    }

    /// Sends the request of `payload`, which is initialised, and waits for the reply, whose payload it returns: to be
    /// moved out, and then given back to `free`. Throws `CallError` or `ProcessExit`. Process context.
    @usableFromInline
    static func exchange(
        _ payload: UnsafeMutableRawPointer, timeout: Duration?, _ request: Any.Type
    ) throws -> UnsafeMutableRawPointer {
        roost_enter()
        defer { roost_leave() }
        // Safe: a call is in a process.
        let process = unsafe SchedulerRef.currentProcess.unsafelyUnwrapped
        let scheduler = unsafe SchedulerRef.current.unsafelyUnwrapped
        let node = unsafe Node((payload - NodeHeader.payloadOffset).assumingMemoryBound(to: NodeHeader.self))
        let callee = unsafe Pid(word: node.header.pointee.target)
        let number = unsafe node.trailer.pointee.number
        process.extras.calls.awaited = number
        if Tracing.isCurrent { Tracing.noteSent(node) }
        guard send(node, scheduler) else {
            process.extras.calls.awaited = 0
            throw CallError(.noProcess, callee: callee, request: request)
        }
        guard let reply = wait(process, scheduler, timeout) else {
            try giveUp(number, callee, process, scheduler)
            throw CallError(.timedOut(timeout ?? .zero), callee: callee, request: request)
        }
        let status = unsafe reply.trailer.pointee.word
        if status == CallTrailer.Status.answered.rawValue { return unsafe reply.payload }
        return unsafe try settle(reply, status, callee, scheduler, request)
    }

    @inline(__always)
    private static func send(_ node: Node, _ scheduler: SchedulerRef) -> Bool {
        let process = unsafe ProcessTable.slot(UInt32(truncatingIfNeeded: node.header.pointee.target))
        switch Mailbox.push(node, to: process) {
        case .pushed: break
        case .pushedAndMustEnqueue: process.home.enqueue(process)
        case .closed:
            scheduler.discard(node)
            return false
        }
        return true
    }

    /// The reply, out of the process's `CallState`; nil when it is told to exit, or late.
    @inline(__always)
    private static func wait(_ process: ProcessRef, _ scheduler: SchedulerRef, _ timeout: Duration?) -> Node? {
        var deadline: MonotonicTime?
        if let timeout {
            let time = MonotonicTime.deadline(after: timeout)
            deadline = time
            guard timeout > .zero else {
                scheduler.collectInbox(of: process)
                return takeReply(process)
            }
            process.block.timer = scheduler.armWake(process, at: time)
        }
        defer { process.disarmTimer(scheduler) }
        process.block.waitKind = .call
        while true {
            process.park(in: .call)
            scheduler.collectInbox(of: process)
            if process.isExiting { return nil }
            if let reply = takeReply(process) { return reply }
            if let deadline, MonotonicTime.now() >= deadline { return nil }
        }
    }

    @inline(__always)
    private static func takeReply(_ process: ProcessRef) -> Node? {
        guard let extras = process.block.extras, let reply = unsafe extras.calls.reply else { return nil }
        unsafe extras.calls.reply = nil
        extras.calls.awaited = 0
        let node = unsafe Node(reply)
        process.charge(byteCount: -node.byteCount)
        return node
    }

    /// The caller waits no longer: a reply from here on is destroyed as it arrives, and the callee owes none.
    @inline(never)
    private static func giveUp(
        _ number: UInt64, _ callee: Pid, _ process: ProcessRef, _ scheduler: SchedulerRef
    ) throws {
        let reply = takeReply(process)
        process.extras.calls.awaited = 0
        scheduler.sendSignal(.demonitor(reference: Reference(number: number)), to: callee)
        if let reply { scheduler.destroy(reply, of: process) }
        try process.throwIfExiting()
    }

    /// A reply that needs more than to be taken.
    @inline(never)
    private static func settle(
        _ reply: Node, _ status: UInt64, _ callee: Pid, _ scheduler: SchedulerRef, _ request: Any.Type
    ) throws -> UnsafeMutableRawPointer {
        guard status == CallTrailer.Status.failed.rawValue else {
            let reference = unsafe Reference(number: reply.trailer.pointee.number)
            scheduler.sendSignal(.demonitor(reference: reference), to: callee)
            return unsafe reply.payload
        }
        let failure = reply.takePayload(as: CallFailure.self)
        scheduler.free(reply)
        throw CallError(failure.cause, callee: callee, calleeName: failure.calleeName, request: request)
    }
}

extension MonotonicTime {
    /// From so long on, deadlines are taken from the clock that costs an eighth (CLOCK_MONOTONIC_COARSE).
    private static let coarseFrom = Duration.seconds(1)

    /// When a call that starts now and may last for `timeout` is late: never early, and at most 1 % late.
    static func deadline(after timeout: Duration) -> MonotonicTime {
        guard timeout >= coarseFrom else { return .now() + timeout }
        return MonotonicTime(nanoseconds: coarse().nanoseconds &+ coarseLag) + timeout
    }

    /// Nanoseconds that the coarse clock may lag behind, a late tick of a virtual machine included: added, so that no
    /// deadline is early.
    private static let coarseLag: UInt64 = {
        var resolution = timespec()
        unsafe clock_getres(CLOCK_MONOTONIC_COARSE, &resolution)
        return 2 * UInt64(resolution.tv_nsec)
    }()
}
