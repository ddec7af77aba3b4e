// SPDX-License-Identifier: Apache-2.0

internal import Roost
internal import RoostRuntime
internal import RoostWebSocket

/// A connection of an echo test: keeps a number of messages in flight and expects each back, in order.
struct EchoClient: ConnectionHandler {
    /// What the test tells its connections.
    enum Message: Sendable { case begin, end }

    private let share: SchedulerShare
    private let created = MonotonicTime.now().nanoseconds
    /// When the messages in flight were sent: number `n` at `n % inFlight`.
    private var sentAt: [UInt64]
    private var nextNumber: UInt64
    private var awaitedNumber: UInt64
    private var isOpen = false
    private var isEnding = false
    /// A wrong answer came: nothing after it counts.
    private var hasFailed = false

    init(_ share: SchedulerShare) {
        self.share = share
        sentAt = Array(repeating: 0, count: share.plan.inFlight)
        // Room for 16 million messages before two connections of a scheduler use the same numbers.
        nextNumber = share.nextConnection() << 24
        awaitedNumber = nextNumber
    }

    mutating func opened(_ connection: borrowing Connection<Message>) {
        isOpen = true
        share.recordOpening(since: created)
        share.addresses.append(connection.address)
    }

    mutating func receive(_ message: Message, _ connection: borrowing Connection<Message>) {
        switch message {
        case .begin:
            for _ in 0..<share.plan.inFlight where !isEnding { send(at: MonotonicTime.now().nanoseconds, connection) }
        case .end:
            isEnding = true
            if nextNumber == awaitedNumber, !hasFailed { connection.close() }
        }
    }

    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Message>) {
        // Safe: looked at within the call only.
        let isRight = unsafe bytes.withUnsafeBytes { unsafe share.pattern.matches($0, awaitedNumber) }
        answered(isRight: isRight && !share.plan.isText, byteCount: bytes.byteCount, connection)
    }

    mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<Message>) {
        // Safe: looked at within the call only.
        let isRight = unsafe text.span.withUnsafeBytes { unsafe share.pattern.matches($0, awaitedNumber) }
        answered(isRight: isRight && share.plan.isText, byteCount: text.span.count, connection)
    }

    mutating func terminated(_ reason: CloseReason, _ connection: borrowing Connection<Message>) {
        // A wrong answer has been counted already.
        let isExpected = hasFailed || isEnding && nextNumber == awaitedNumber
        share.recordEnd(reason, wasOpen: isOpen, isExpected: isExpected)
    }

    @inline(__always)
    private mutating func answered(isRight: Bool, byteCount: Int, _ connection: borrowing Connection<Message>) {
        guard isRight, awaitedNumber != nextNumber, !hasFailed else { return wronglyAnswered(byteCount, connection) }
        let now = MonotonicTime.now().nanoseconds
        share.recordRoundTrip(from: sentAt[slot(awaitedNumber)], to: now)
        awaitedNumber &+= 1
        if !isEnding {
            send(at: now, connection)
        } else if nextNumber == awaitedNumber {
            connection.close()
        }
    }

    private mutating func wronglyAnswered(_ byteCount: Int, _ connection: borrowing Connection<Message>) {
        guard !hasFailed else { return }
        let what =
            nextNumber == awaitedNumber
            ? "a message of \(byteCount) bytes came that nobody sent"
            : byteCount != share.pattern.byteCount
                ? "an answer has \(byteCount) bytes instead of \(share.pattern.byteCount)"
                : "an answer is not what was sent: other bytes, another kind of message, or out of order"
        share.errors.add(what + "; check that the URL is one of an echo server")
        hasFailed = true
        connection.close(.policyViolation, reason: "wrong answer")
    }

    @inline(__always)
    private mutating func send(at now: UInt64, _ connection: borrowing Connection<Message>) {
        let isQueued = unsafe share.pattern.withMessage(nextNumber) { bytes in
            // Safe: the bytes are lent for the call, which copies them; they are ASCII.
            share.plan.isText
                ? unsafe connection.send(UTF8Span(unchecked: Span(_unsafeBytes: bytes)))
                : unsafe connection.send(binary: RawSpan(_unsafeBytes: bytes))
        }
        guard isQueued else { return }
        sentAt[slot(nextNumber)] = now
        nextNumber &+= 1
    }

    @inline(__always)
    private func slot(_ number: UInt64) -> Int { Int(number % UInt64(sentAt.count)) }
}

/// A connection that is opened and held.
struct IdleClient: ConnectionHandler {
    private let share: SchedulerShare
    private let created = MonotonicTime.now().nanoseconds
    private var isOpen = false

    init(_ share: SchedulerShare) { self.share = share }

    mutating func opened(_ connection: borrowing Connection<Never>) {
        isOpen = true
        share.recordOpening(since: created)
    }

    mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<Never>) {}
    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Never>) {}

    mutating func terminated(_ reason: CloseReason, _ connection: borrowing Connection<Never>) {
        share.recordEnd(reason, wasOpen: isOpen, isExpected: share.isEnding)
    }
}
