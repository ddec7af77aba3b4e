// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

/// Where the answer to one call goes. (OTP: `From`.)
///
/// A plain value: keep it, send it on, answer later and from anywhere, also outside processes. The first answer counts;
/// any other, and one that comes too late, is destroyed as it arrives. Where none is ever sent, the caller waits for
/// its timeout, or until the process that received the request ends. `promise()` makes that an error at once.
public struct ReplyAddress<Answer: Sendable>: Sendable, Hashable {
    /// The process that waits.
    public let caller: Pid
    @usableFromInline let reference: Reference

    @usableFromInline
    init(caller: Pid, reference: Reference) {
        self.caller = caller
        self.reference = reference
    }

    /// Answers the call. Any thread; never waits.
    @inlinable
    public func send(_ answer: consuming sending Answer) {
        let type: UnsafeRawPointer? =
            unsafe _isPOD(Answer.self) ? nil : unsafeBitCast(Answer.self as Any.Type, to: UnsafeRawPointer.self)
        guard let payload = unsafe Answering.allocate(caller, byteCount: MemoryLayout<Answer>.size, type: type) else {
            return Answering.forget(reference)
        }
        // Safe: the payload has the size of an `Answer` and is aligned to 16; greater alignments are refused by `call`.
        unsafe payload.bindMemory(to: Answer.self, capacity: 1).initialize(to: answer)
        unsafe Answering.push(payload, reference)
    }

    /// A promise to answer later, which cannot be forgotten: when the last reference to it goes without an answer, the
    /// caller is told at once (`CallError.Cause.unanswered`). Make one for each call.
    public func promise() -> PromisedReply<Answer> { PromisedReply(self) }
}

/// An answer that is owed. Made by `ReplyAddress.promise` and for each `DeferredRequest`; answered exactly once.
public final class PromisedReply<Answer: Sendable>: Sendable {
    private let address: ReplyAddress<Answer>
    private let isAnswered = Atomic<Bool>(false)

    @usableFromInline
    init(_ address: ReplyAddress<Answer>) { self.address = address }

    /// The process that waits.
    public var caller: Pid { address.caller }

    /// Answers the call; false, and nothing else, when it was answered before. Any thread; never waits.
    @discardableResult
    public func send(_ answer: consuming sending Answer) -> Bool {
        guard !isAnswered.exchange(true, ordering: .relaxed) else { return false }
        address.send(answer)
        return true
    }

    deinit {
        if !isAnswered.load(ordering: .relaxed) { Answering.failUnanswered(address.caller, address.reference) }
    }
}

/// The parts of an answer that do not depend on its type; payloads pass as addresses.
@usableFromInline
@safe enum Answering {
    /// The payload of a new reply for `caller`; nil when it has ended.
    @usableFromInline
    static func allocate(_ caller: Pid, byteCount: Int, type: UnsafeRawPointer?) -> UnsafeMutableRawPointer? {
        guard ProcessTable.find(caller) != nil else { return nil }
        roost_enter()
        defer { roost_leave() }
        roost_charge(1)
        let size = NodeHeader.payloadOffset &+ CallTrailer.byteCount(withPayload: byteCount)
        let block: UnsafeMutableRawPointer
        let now: MonotonicTime
        if let scheduler = SchedulerRef.current {
            unsafe block = scheduler.state.blocks.allocate(byteCount: size)
            now = scheduler.state.now
        } else {
            unsafe block = External.allocate(byteCount: size)
            now = .coarse()
        }
        unsafe block.bindMemory(to: NodeHeader.self, capacity: 1).initialize(
            to: NodeHeader(target: caller.word, payloadType: type, byteCount: size, kind: .reply, at: now))
        return unsafe block + NodeHeader.payloadOffset
    }

    /// Delivers the reply of `payload`, which is initialised.
    @usableFromInline
    static func push(_ payload: UnsafeMutableRawPointer, _ reference: Reference) {
        roost_enter()
        defer { roost_leave() }
        let node = unsafe Node((payload - NodeHeader.payloadOffset).assumingMemoryBound(to: NodeHeader.self))
        let status: CallTrailer.Status = forgetPending(reference) ? .answered : .answeredByAnother
        unsafe node.trailer.initialize(to: CallTrailer(number: reference.number, word: status.rawValue))
        deliver(node)
    }

    /// The caller has ended: its call is over.
    @usableFromInline
    static func forget(_ reference: Reference) {
        roost_enter()
        defer { roost_leave() }
        _ = forgetPending(reference)
    }

    static func failUnanswered(_ caller: Pid, _ reference: Reference) {
        roost_enter()
        defer { roost_leave() }
        let name = SchedulerRef.currentProcess?.block.extras?.label
        _ = forgetPending(reference)
        guard ProcessTable.find(caller) != nil else { return }
        let failure = CallFailure(cause: .unanswered, calleeName: name)
        let node = unsafe makeFailure(reference.number, caller, failure) { byteCount in
            if let scheduler = SchedulerRef.current {
                return unsafe scheduler.state.blocks.allocate(byteCount: byteCount)
            }
            return unsafe External.allocate(byteCount: byteCount)
        }
        deliver(node)
    }

    static func makeFailure(
        _ number: UInt64, _ caller: Pid, _ failure: CallFailure, allocate: (Int) -> UnsafeMutableRawPointer
    ) -> Node {
        let payload = MemoryLayout<CallFailure>.size
        let node = unsafe NodeMaker.make(failure, kind: .reply, for: caller, at: .coarse()) { _ in
            unsafe allocate(NodeHeader.payloadOffset + CallTrailer.byteCount(withPayload: payload))
        }
        unsafe node.header.pointee.byteCount = UInt32(
            NodeHeader.payloadOffset + CallTrailer.byteCount(withPayload: payload))
        unsafe node.trailer.initialize(
            to: CallTrailer(number: number, word: CallTrailer.Status.failed.rawValue))
        return node
    }

    /// Whether the process that runs had received the request and now owes no answer any more.
    @inline(__always)
    private static func forgetPending(_ reference: Reference) -> Bool {
        guard let extras = SchedulerRef.currentProcess?.block.extras else { return false }
        return extras.calls.pending.remove(reference.number)
    }

    @inline(__always)
    private static func deliver(_ node: Node) {
        if let scheduler = SchedulerRef.current { scheduler.deliver(node) } else { External.deliver(node) }
    }
}
