// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

// What schedulers do for calls: numbering, taking replies in, telling callers that they will get none.

/// Blocks of numbers that schedulers have taken.
private let lastCallBlock = Atomic<UInt64>(0)

extension SchedulerRef {
    /// A number for a call that starts here. Unique in the program's life; this scheduler's only grow.
    @inline(__always)
    func nextCallNumber() -> UInt64 {
        if state.lastCallNumber & (1 << Reference.callBlockBits &- 1) == 0 { takeCallBlock() }
        defer { state.lastCallNumber &+= 1 }
        return state.lastCallNumber
    }

    @inline(never)
    private func takeCallBlock() {
        let block = lastCallBlock.add(1, ordering: .relaxed).newValue
        state.lastCallNumber = Reference.callBit | block << Reference.callBlockBits | 1
    }

    /// Deals with a reply that has arrived; false: it belongs in the mailbox, where a `PendingCall` looks for it.
    @inline(__always)
    func takeReply(_ node: Node, for process: ProcessRef) -> Bool {
        let number = unsafe node.trailer.pointee.number
        guard let extras = process.block.extras else {
            discard(node)
            return true
        }
        if unsafe extras.calls.awaited == number && extras.calls.reply == nil {
            unsafe extras.calls.reply = unsafe node.header
            process.charge(byteCount: node.byteCount)
            return true
        }
        if extras.monitors.contains(Reference(number: number)) { return false }
        discard(node)
        return true
    }

    /// A request leaves the mailbox of `process`: from here on its end is the caller's business (K1).
    func noteReceived(_ node: Node, by process: ProcessRef) {
        let trailer = unsafe node.trailer.pointee
        if process.block.flags.contains(.isFinished) {
            failCall(trailer.number, caller: Pid(word: trailer.word), process.callFailure)
        } else {
            process.extras.calls.pending.add(trailer.number, caller: trailer.word)
        }
    }

    /// The request in `node` will not be received: there is no process that it is for.
    func refuseCall(_ node: Node) {
        guard unsafe node.header.pointee.isCall else { return }
        unsafe node.header.pointee.isCall = false
        let trailer = unsafe node.trailer.pointee
        failCall(trailer.number, caller: Pid(word: trailer.word), CallFailure(cause: .noProcess, calleeName: nil))
    }

    /// The process has ended: whoever waits for its answer is told.
    func failPendingCalls(of reason: ExitReason, _ extras: ProcessExtras) {
        guard extras.calls.pending.count > 0 else { return }
        let failure = CallFailure(cause: .ended(reason), calleeName: extras.label)
        extras.calls.pending.forEach { number, caller in failCall(number, caller: caller, failure) }
    }

    func failCall(_ number: UInt64, caller: Pid, _ failure: CallFailure) {
        guard ProcessTable.find(caller) != nil else { return }
        let node = unsafe Answering.makeFailure(number, caller, failure) { byteCount in
            unsafe state.blocks.allocate(byteCount: byteCount)
        }
        deliver(node)
    }

    /// A process that ends waits for no reply; one that came is destroyed with its messages.
    func endCall(of process: ProcessRef) {
        guard let extras = process.block.extras else { return }
        extras.calls.awaited = 0
        guard let reply = unsafe extras.calls.reply else { return }
        unsafe extras.calls.reply = nil
        unsafe process.charge(byteCount: -Node(reply).byteCount)
        unsafe append(Node(reply), to: process)
    }
}

extension ProcessRef {
    fileprivate var callFailure: CallFailure {
        CallFailure(cause: .ended(exitReason), calleeName: block.extras?.label)
    }
}
