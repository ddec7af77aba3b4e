// SPDX-License-Identifier: Apache-2.0

internal import Roost
internal import RoostRuntime

/// A connection that sends a message when it has opened and one in each period, and expects each back.
///
/// A client that has lost its connection is back for good when the first message on a new one is answered: until then
/// a further loss belongs to the first.
struct HeartbeatClient: LoadClient {
    private static let timer = 1
    static let unansweredText = "a heartbeat was not answered"

    private let share: ClientShare
    private let period: Duration
    /// Before the next message: the first one is another for each client, so that they spread.
    private var wait: Duration
    private var seat: Seat
    private var exchange: Exchange
    /// When the client lost a connection, if nothing has been answered since; 0: nothing is amiss.
    private var silentSince: UInt64 = 0
    private var isOpen = false
    private var hasBegun = false
    private var isEnding = false
    /// A heartbeat was due while one was unanswered.
    private var isOverdue = false
    /// We cut it: what is unanswered is no fault.
    private var isDropped = false

    init(_ share: ClientShare, _ seat: Seat) {
        guard case .heartbeat(let plan) = share.group.behaviour else {
            preconditionFailure("a heartbeat client without a plan")
        }
        self.share = share
        self.seat = seat
        period = .nanoseconds(Int64(plan.periodSeconds * 1e9))
        wait = period * Schedule.phase(ofClient: seat.client)
        exchange = Exchange(share, seat, size: plan.size, isText: plan.isText)
    }

    mutating func opened(_ connection: borrowing Connection<ClientCommand>) {
        isOpen = true
        silentSince = seat.lostAt
        if silentSince > 0 { share.cameSilent() }
        if let missed = share.opened(&seat, connection.address) { receive(missed, connection) }
    }

    mutating func receive(_ command: ClientCommand, _ connection: borrowing Connection<ClientCommand>) {
        switch command {
        case .begin:
            guard !hasBegun else { break }
            hasBegun = true
            beat(connection)
        case .end:
            isEnding = true
            if exchange.unansweredCount == 0 { connection.close() }
        case .drop:
            isDropped = true
            share.cut(connection, isAwaiting: isEnding && exchange.unansweredCount > 0)
        case .next: break
        }
    }

    mutating func timer(_ id: Int, _ connection: borrowing Connection<ClientCommand>) {
        guard !isEnding else { return }
        if exchange.unansweredCount == 0 { beat(connection) } else { isOverdue = true }
    }

    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<ClientCommand>) {
        // Safe: looked at within the call only.
        unsafe bytes.withUnsafeBytes { unsafe came($0, isText: false, connection) }
    }

    mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<ClientCommand>) {
        // Safe: looked at within the call only.
        unsafe text.span.withUnsafeBytes { unsafe came($0, isText: true, connection) }
    }

    mutating func terminated(_ reason: CloseReason, _ connection: borrowing Connection<ClientCommand>) {
        let unansweredCount = exchange.unansweredCount
        if unansweredCount > 0, !isDropped || isEnding {
            share.noteUnanswered(&exchange)
            share.errors.add(
                Self.unansweredText, count: unansweredCount, isExpected: !isEnding && share.group.expectsLosses)
        }
        if isOpen, silentSince > 0 {
            share.isNoLongerSilent()
            // It is away since then.
            seat.lostAt = silentSince
        }
        share.ended(seat, reason, wasOpen: isOpen, isExpected: isEnding && unansweredCount == 0)
    }

    private mutating func beat(_ connection: borrowing Connection<ClientCommand>) {
        isOverdue = false
        _ = exchange.send(countedFrom: MonotonicTime.now().nanoseconds, connection)
        connection.setTimer(Self.timer, after: wait)
        wait = period
    }

    private mutating func came(
        _ bytes: UnsafeRawBufferPointer, isText: Bool, _ connection: borrowing Connection<ClientCommand>
    ) {
        share.noteReceived(byteCount: bytes.count)
        if let start = unsafe exchange.takeAnswer(bytes, isText: isText) {
            answered(from: start)
        } else {
            unsafe judge(bytes, isText: isText)
        }
        guard exchange.unansweredCount == 0 else { return }
        if isEnding { connection.close() } else if isOverdue { beat(connection) }
    }

    private mutating func answered(from start: UInt64) {
        let now = MonotonicTime.now().nanoseconds
        share.noteCompleted(from: start, to: now)
        if silentSince > 0 {
            share.noteAnswered(since: silentSince, at: now)
            silentSince = 0
        }
    }

    private mutating func judge(_ bytes: UnsafeRawBufferPointer, isText: Bool) {
        switch unsafe exchange.judge(bytes, isText: isText) {
        case .wrong(let text): share.errors.add(text)
        case .duplicate:
            share.counters.duplicated += 1
            share.errors.add(PacedClient.duplicateText)
        // Only one is under way.
        case .early, .late: share.errors.add(PacedClient.reorderedText)
        }
    }
}
