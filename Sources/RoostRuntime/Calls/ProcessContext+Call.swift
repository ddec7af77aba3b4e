// SPDX-License-Identifier: Apache-2.0

internal import CRoost

extension ProcessContext {
    /// Sends the request that `make` makes and waits for its answer. (OTP: `gen_server:call/3`.)
    ///
    ///     let sum = try process.call(adder) { Adder.Message.add(1, 2, replyTo: $0) }
    ///
    /// A callee that has ended, or ends before it answers, is an error at once: however it ends, and whether it has
    /// taken the request or not. Messages that come meanwhile stay in the mailbox, in their order; they do not make the
    /// call slower. Where it fails, a late answer is destroyed as it arrives.
    ///
    /// - Parameter callee: an address, or a name that leads to one.
    /// - Parameter timeout: how long to wait at most, 5 seconds as in OTP; nil: for ever. A timeout of a second or more
    ///   may be up to 1 % late.
    /// - Throws: `CallError`, or `ProcessExit` when the caller is told to exit while it waits.
    @inlinable
    public func call<Callee: Destination, Answer: Sendable>(
        _ callee: Callee, timeout: Duration? = .seconds(5), _ make: (ReplyAddress<Answer>) -> Callee.Message
    ) throws -> Answer {
        guard let pid = callee.address?.pid else { throw CallError(nobody: callee) }
        let call = try Calling.begin(pid, Callee.Message.self, isReplyAligned: MemoryLayout<Answer>.alignment <= 16)
        let request = make(ReplyAddress(caller: call.caller, reference: call.reference))
        let type: UnsafeRawPointer? =
            unsafe _isPOD(Callee.Message.self)
            ? nil : unsafeBitCast(Callee.Message.self as Any.Type, to: UnsafeRawPointer.self)
        guard
            let payload = unsafe Calling.allocate(
                pid, call.reference, byteCount: MemoryLayout<Callee.Message>.size, type: type, isRequest: false)
        else { throw CallError(noProcess: pid, request: Callee.Message.self) }
        // Safe: the payload has the size of a message and is aligned to 16; greater alignments are refused at spawn.
        unsafe payload.bindMemory(to: Callee.Message.self, capacity: 1).initialize(to: request)
        let reply = unsafe try Calling.exchange(payload, timeout: timeout, Callee.Message.self)
        // Safe: only `ReplyAddress<Answer>` of this very call makes a reply with its reference.
        let answer = unsafe reply.assumingMemoryBound(to: Answer.self).move()
        unsafe Receiving.free(reply)
        return answer
    }
}

/// A request that has been sent, and whose answer is still to be received. (OTP: `request_id()`.)
///
/// Belongs to the process that made it. When the last reference to it goes, its answer is no longer waited for.
public final class PendingCall<Answer: Sendable> {
    let callee: Pid
    let reference: Reference
    let request: Any.Type
    let caller: Pid
    var isOver = false

    init(_ callee: Pid, _ reference: Reference, _ request: Any.Type, caller: Pid) {
        self.callee = callee
        self.reference = reference
        self.request = request
        self.caller = caller
    }

    deinit {
        guard !isOver, SchedulerRef.currentProcess?.pid == caller else { return }
        ProcessContext<Never>().abandonCall(reference)
    }
}

extension ProcessContext {
    /// Sends the request that `make` makes and goes on; `receiveAnswer` waits for the answer. Any number may be
    /// pending. (OTP: `gen_server:send_request/2`.)
    public func startCall<Callee: Destination, Answer: Sendable>(
        _ callee: Callee, _ make: (ReplyAddress<Answer>) -> Callee.Message
    ) throws -> PendingCall<Answer> {
        let type = Callee.Message.self
        guard let address = callee.address else { throw CallError(nobody: callee) }
        guard address.pid != pid else { throw CallError(.callingItself, callee: pid, request: type) }
        precondition(
            MemoryLayout<Answer>.alignment <= 16,
            "the answer to \(type) needs an alignment of more than 16; box it in a class")
        let reference = monitor(address.pid)
        address.send(make(ReplyAddress(caller: pid, reference: reference)))
        return PendingCall(address.pid, reference, type, caller: pid)
    }

    /// Waits for the answer to `call`; nil when none came within `timeout`: it may be asked for again.
    ///
    /// - Throws: `CallError` when the callee has ended, or `ProcessExit` when the caller is told to exit.
    public func receiveAnswer<Answer: Sendable>(
        to call: PendingCall<Answer>, timeout: Duration? = .seconds(5)
    ) throws -> Answer? {
        precondition(!call.isOver, "the answer to a call of \(call.request) to \(call.callee) was received before")
        let deadline = timeout.map { MonotonicTime.now() + $0 }
        let outcome: Result<Answer, CallError>? = try wait(until: deadline, in: .call) { process, node in
            switch node.kind {
            case .down where Self.reference(ofDown: node) == call.reference:
                let reason = Self.takeDown(node, process).reason
                return .failure(CallError(ended: reason, call.callee, call.request))
            case .reply where unsafe node.trailer.pointee.number == call.reference.number:
                if unsafe node.trailer.pointee.word == CallTrailer.Status.failed.rawValue {
                    let failure = node.takePayload(as: CallFailure.self)
                    return .failure(
                        CallError(
                            failure.cause, callee: call.callee, calleeName: failure.calleeName, request: call.request))
                }
                return .success(node.takePayload(as: Answer.self))
            case .message, .request, .signal, .exit, .down, .reply, .undeliverable: return nil
            }
        }
        guard let outcome else { return nil }
        call.isOver = true
        abandonCall(call.reference)
        return try outcome.get()
    }

    /// From here on answers to the call are late. What came before is taken out of the mailbox.
    func abandonCall(_ reference: Reference) {
        guard endMonitor(reference) else { return }
        while (try? wait(until: .now(), destroysTaken: true, { _, node in Self.answers(node, reference) ? true : nil }))
            == true
        {}
    }

    /// Whether `node` is the reply to, or the end of, the call of `reference`.
    private static func answers(_ node: Node, _ reference: Reference) -> Bool {
        switch node.kind {
        case .reply: unsafe node.trailer.pointee.number == reference.number
        case .down: Self.reference(ofDown: node) == reference
        case .message, .request, .signal, .exit, .undeliverable: false
        }
    }

    private static func reference(ofDown node: Node) -> Reference {
        // Safe: the kind says what the payload is; it is only looked at.
        unsafe node.payload.assumingMemoryBound(to: Down.self).pointee.reference
    }
}

extension CallError {
    @usableFromInline
    init(noProcess callee: Pid, request: Any.Type) { self.init(.noProcess, callee: callee, request: request) }

    /// The name leads to no process.
    @usableFromInline
    init<Callee: Destination>(nobody callee: Callee) {
        self.init(.noProcess, callee: nil, calleeName: "\(callee)", request: Callee.Message.self)
    }

    init(ended reason: ExitReason, _ callee: Pid, _ request: Any.Type) {
        if case .noProcess = reason {
            self.init(.noProcess, callee: callee, request: request)
        } else {
            self.init(.ended(reason), callee: callee, request: request)
        }
    }
}
