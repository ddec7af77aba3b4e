// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// Where the answer to one call goes. It may be answered once, from any process, or never.
package struct ReplyAddress<Answer: Sendable>: Sendable {
    let caller: Pid
    let reference: Reference

    /// Answers. An answer that comes too late, or to a caller that has ended, is destroyed.
    package func send(_ answer: Answer) {
        roost_enter()
        defer { roost_leave() }
        guard let scheduler = SchedulerRef.current else {
            preconditionFailure("a call was answered outside any process")
        }
        scheduler.deliver(scheduler.makeNode(Reply(reference: reference, value: answer), kind: .reply, for: caller))
    }
}

/// What a node of kind `reply` carries. `reference` is of the call's monitor: where that is over, the reply is late.
struct Reply: Sendable {
    let reference: Reference
    let value: any Sendable
}

/// Why a call has no answer.
package enum CallError: Error {
    /// The callee has ended, or ended before it answered.
    case ended(ExitReason)
    case timedOut(Duration)
}

extension ProcessContext {
    /// Sends the request that `make` makes and waits for its answer. A callee that ends, or is late, is an error at
    /// once.
    ///
    /// Throws `CallError`, or `ProcessExit` when the caller is told to exit. A late answer does not reach the mailbox.
    package func call<Request, Answer: Sendable>(
        _ callee: Address<Request>, timeout: Duration? = nil, _ make: (ReplyAddress<Answer>) -> Request
    ) throws -> Answer {
        precondition(callee.pid != pid, "a process called itself and would wait for ever")
        let reference = monitor(callee.pid)
        defer { endCall(reference) }
        callee.send(make(ReplyAddress(caller: pid, reference: reference)))
        let outcome: Result<Answer, CallError>? = try wait(until: timeout.map { .now() + $0 }) { process, node in
            guard Self.answers(node, reference) else { return nil }
            if node.kind == .down { return .failure(.ended(Self.takeDown(node, process).reason)) }
            // Safe to trap: only `ReplyAddress<Answer>` of this very call makes a reply with its reference.
            return .success(node.takePayload(as: Reply.self).value as! Answer)
        }
        guard let outcome else { throw CallError.timedOut(timeout ?? .zero) }
        return try outcome.get()
    }

    /// From here on answers are late: they are dropped on arrival. What came before is taken out of the mailbox.
    private func endCall(_ reference: Reference) {
        _ = endMonitor(reference)
        while (try? wait(until: .now(), destroysTaken: true, { _, node in Self.answers(node, reference) ? true : nil }))
            == true
        {}
    }

    /// Whether `node` is the reply to, or the end of, the call of `reference`.
    private static func answers(_ node: Node, _ reference: Reference) -> Bool {
        switch node.kind {
        // Safe: the kind says what the payload is; it is only looked at.
        case .reply: unsafe node.payload.assumingMemoryBound(to: Reply.self).pointee.reference == reference
        case .down: unsafe node.payload.assumingMemoryBound(to: Down.self).pointee.reference == reference
        case .message, .signal, .exit, .undeliverable: false
        }
    }
}

extension Runtime {
    /// Runs `body` in a process of its own and returns what it returns: for code outside any process.
    func ask<Value: Sendable>(
        _ body: @escaping @Sendable (borrowing ProcessContext<Never>) throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            spawn { process in
                let outcome: Result<Value, any Error>
                do { outcome = .success(try body(process)) } catch { outcome = .failure(error) }
                continuation.resume(with: outcome)
            }
        }
    }
}
