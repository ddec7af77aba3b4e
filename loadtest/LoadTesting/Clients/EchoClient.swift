// SPDX-License-Identifier: Apache-2.0

internal import Roost
internal import RoostRuntime
internal import RoostWebSocket

/// A connection of an echo test: keeps a number of messages in flight and expects each back, in order.
struct EchoClient: LoadClient {
    private let share: ClientShare
    private let plan: EchoPlan
    private var seat: Seat
    private var sizes: SizeSampler
    /// The messages in flight, when sent and how long: number `n` at `n % inFlight`.
    private var flights: [Flight]
    private var nextNumber: UInt64
    private var awaitedNumber: UInt64
    private var isOpen = false
    private var isEnding = false
    /// A wrong answer came: nothing after it counts.
    private var hasFailed = false

    private struct Flight {
        var sentAt: UInt64
        var byteCount: Int
    }

    init(_ share: ClientShare, _ seat: Seat) {
        self.share = share
        self.seat = seat
        guard case .echo(let plan) = share.group.behaviour else { preconditionFailure("an echo client without a plan") }
        self.plan = plan
        sizes = SizeSampler(plan.size, seed: UInt64(seat.client))
        flights = Array(repeating: Flight(sentAt: 0, byteCount: 0), count: plan.inFlight)
        // Room for 16 million messages before two connections use the same numbers.
        nextNumber = UInt64(seat.client &* 31 &+ seat.attempt) << 24
        awaitedNumber = nextNumber
    }

    mutating func opened(_ connection: borrowing Connection<ClientCommand>) {
        isOpen = true
        if let missed = share.opened(&seat, connection.address) { receive(missed, connection) }
    }

    mutating func receive(_ command: ClientCommand, _ connection: borrowing Connection<ClientCommand>) {
        switch command {
        case .begin:
            for _ in 0..<plan.inFlight where !isEnding { send(at: MonotonicTime.now().nanoseconds, connection) }
        case .end:
            isEnding = true
            if nextNumber == awaitedNumber, !hasFailed { connection.close() }
        case .drop: connection.abort()
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
        // A wrong answer has been counted already.
        let isExpected = hasFailed || isEnding && nextNumber == awaitedNumber
        share.ended(seat, reason, wasOpen: isOpen, isExpected: isExpected)
    }

    @inline(__always)
    private mutating func answered(
        _ bytes: UnsafeRawBufferPointer, isText: Bool, _ connection: borrowing Connection<ClientCommand>
    ) {
        let flight = flights[slot(awaitedNumber)]
        guard isText == plan.isText, awaitedNumber != nextNumber, !hasFailed,
            unsafe share.pattern.matches(bytes, awaitedNumber, byteCount: flight.byteCount)
        else { return wronglyAnswered(bytes.count, connection) }
        let now = MonotonicTime.now().nanoseconds
        share.noteReceived(byteCount: bytes.count)
        share.noteCompleted(from: flight.sentAt, to: now)
        awaitedNumber &+= 1
        if !isEnding {
            send(at: now, connection)
        } else if nextNumber == awaitedNumber {
            connection.close()
        }
    }

    private mutating func wronglyAnswered(_ byteCount: Int, _ connection: borrowing Connection<ClientCommand>) {
        guard !hasFailed else { return }
        let expected = flights[slot(awaitedNumber)].byteCount
        let what =
            nextNumber == awaitedNumber
            ? "a message of \(byteCount) bytes came that nobody sent"
            : byteCount != expected
                ? "an answer has \(byteCount) bytes instead of \(expected)"
                : "an answer is not what was sent: other bytes, another kind of message, or out of order"
        share.errors.add(what + "; check that the URL is one of an echo server")
        hasFailed = true
        connection.close(.policyViolation, reason: "wrong answer")
    }

    @inline(__always)
    private mutating func send(at now: UInt64, _ connection: borrowing Connection<ClientCommand>) {
        let byteCount = sizes.next()
        let isQueued = unsafe share.pattern.withMessage(nextNumber, byteCount: byteCount) { bytes in
            // Safe: the bytes are lent for the call, which copies them; they are ASCII.
            plan.isText
                ? unsafe connection.send(UTF8Span(unchecked: Span(_unsafeBytes: bytes)))
                : unsafe connection.send(binary: RawSpan(_unsafeBytes: bytes))
        }
        guard isQueued else { return }
        share.noteSent(byteCount: byteCount)
        flights[slot(nextNumber)] = Flight(sentAt: now, byteCount: byteCount)
        nextNumber &+= 1
    }

    @inline(__always)
    private func slot(_ number: UInt64) -> Int { Int(number % UInt64(flights.count)) }
}
