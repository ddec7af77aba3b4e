// SPDX-License-Identifier: Apache-2.0

internal import Roost
internal import RoostRuntime

/// A connection that exchanges some messages and goes. Its client comes back: `ClientGroup.backoff`.
struct ChurnClient: LoadClient {
    private let share: ClientShare
    private let plan: ChurnPlan
    private var seat: Seat
    private var exchange: Exchange
    /// Messages that are yet to be sent.
    private var left: Int
    private var isOpen = false
    /// Everything is said, or nothing more is worth saying.
    private var isDone = false

    init(_ share: ClientShare, _ seat: Seat) {
        self.share = share
        self.seat = seat
        guard case .churn(let plan) = share.group.behaviour else {
            preconditionFailure("a churn client without a plan")
        }
        self.plan = plan
        left = plan.messageCount
        exchange = Exchange(share, seat, size: plan.size, isText: plan.isText)
    }

    mutating func opened(_ connection: borrowing Connection<ClientCommand>) {
        isOpen = true
        if let missed = share.opened(&seat, connection.address) { receive(missed, connection) }
    }

    mutating func receive(_ command: ClientCommand, _ connection: borrowing Connection<ClientCommand>) {
        switch command {
        case .begin: sendNext(connection)
        case .end:
            left = 0
            if exchange.unansweredCount == 0 { finish(connection) }
        case .drop: share.cut(connection, isAwaiting: share.stage == .end && exchange.unansweredCount > 0)
        case .next: break
        }
    }

    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<ClientCommand>) {
        // Safe: looked at within the call only.
        unsafe bytes.withUnsafeBytes { unsafe answered($0, isText: false, connection) }
    }

    mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<ClientCommand>) {
        // Safe: looked at within the call only.
        unsafe text.span.withUnsafeBytes { unsafe answered($0, isText: true, connection) }
    }

    mutating func terminated(_ reason: CloseReason, _ connection: borrowing Connection<ClientCommand>) {
        if !isDone { share.noteUnanswered(&exchange) }
        share.ended(seat, reason, wasOpen: isOpen, isExpected: isDone)
    }

    private mutating func sendNext(_ connection: borrowing Connection<ClientCommand>) {
        guard left > 0 else { return finish(connection) }
        left -= 1
        _ = exchange.send(countedFrom: MonotonicTime.now().nanoseconds, connection)
    }

    private mutating func answered(
        _ bytes: UnsafeRawBufferPointer, isText: Bool, _ connection: borrowing Connection<ClientCommand>
    ) {
        guard !isDone else { return }
        guard let start = unsafe exchange.takeAnswer(bytes, isText: isText) else {
            share.errors.add(exchange.complaint(bytes.count))
            isDone = true
            return connection.close(.policyViolation, reason: "wrong answer")
        }
        share.noteReceived(byteCount: bytes.count)
        share.noteCompleted(from: start, to: MonotonicTime.now().nanoseconds)
        sendNext(connection)
    }

    private mutating func finish(_ connection: borrowing Connection<ClientCommand>) {
        guard !isDone else { return }
        isDone = true
        switch plan.ending {
        case .handshake: connection.close()
        case .reset: connection.abort(resets: true)
        }
    }
}
