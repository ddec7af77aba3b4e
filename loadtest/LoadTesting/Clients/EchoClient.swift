// SPDX-License-Identifier: Apache-2.0

internal import Roost
internal import RoostRuntime
internal import RoostWebSocket

/// A connection of an echo test: keeps a number of messages in flight and expects each back, in order.
struct EchoClient: LoadClient {
    private let share: ClientShare
    private let plan: EchoPlan
    private var seat: Seat
    private var exchange: Exchange
    private var isOpen = false
    private var isEnding = false
    /// A wrong answer came: nothing after it counts.
    private var hasFailed = false

    init(_ share: ClientShare, _ seat: Seat) {
        self.share = share
        self.seat = seat
        guard case .echo(let plan) = share.group.behaviour else { preconditionFailure("an echo client without a plan") }
        self.plan = plan
        exchange = Exchange(share, seat, size: plan.size, isText: plan.isText)
    }

    mutating func opened(_ connection: borrowing Connection<ClientCommand>) {
        isOpen = true
        if let missed = share.opened(&seat, connection.address) { receive(missed, connection) }
    }

    mutating func receive(_ command: ClientCommand, _ connection: borrowing Connection<ClientCommand>) {
        switch command {
        case .begin:
            for _ in 0..<plan.inFlight where !isEnding {
                _ = exchange.send(countedFrom: MonotonicTime.now().nanoseconds, connection)
            }
        case .end:
            isEnding = true
            if exchange.unansweredCount == 0, !hasFailed { connection.close() }
        case .drop: share.cut(connection, isAwaiting: isEnding && exchange.unansweredCount > 0)
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
        let isExpected = hasFailed || isEnding && exchange.unansweredCount == 0
        // A wrong answer has been counted already, and nothing after it counts.
        if !hasFailed { share.noteUnanswered(&exchange) }
        share.ended(seat, reason, wasOpen: isOpen, isExpected: isExpected)
    }

    @inline(__always)
    private mutating func answered(
        _ bytes: UnsafeRawBufferPointer, isText: Bool, _ connection: borrowing Connection<ClientCommand>
    ) {
        guard !hasFailed, let start = unsafe exchange.takeAnswer(bytes, isText: isText) else {
            return wronglyAnswered(bytes.count, connection)
        }
        let now = connection.receivedAt.nanoseconds
        share.noteReceived(byteCount: bytes.count)
        share.noteCompleted(from: start, to: now)
        if !isEnding {
            _ = exchange.send(countedFrom: now, connection)
        } else if exchange.unansweredCount == 0 {
            connection.close()
        }
    }

    private mutating func wronglyAnswered(_ byteCount: Int, _ connection: borrowing Connection<ClientCommand>) {
        guard !hasFailed else { return }
        share.errors.add(exchange.complaint(byteCount))
        hasFailed = true
        connection.close(.policyViolation, reason: "wrong answer")
    }
}
