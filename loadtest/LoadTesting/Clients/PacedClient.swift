// SPDX-License-Identifier: Apache-2.0

internal import Roost
internal import RoostRuntime

/// A connection of an open loop: sends each message when it is due and measures from then, so that a server that stalls
/// is not spared what it would have been sent meanwhile.
///
/// What is due when too much is unanswered waits for room, and leaves with its latency counted from when it was due.
struct PacedClient: LoadClient {
    static let unansweredText = "a message was not answered"
    static let unsentText =
        "a message was due and never left: the server took no more; lower --rate, or raise --in-flight-max"
    static let reorderedText = "an answer came behind that to a later message"
    static let duplicateText = "an answer came twice"

    private let share: ClientShare
    private let plan: PacedPlan
    /// What may wait for the kernel where a further message is sent.
    private let outboundByteCountMax: Int
    private var seat: Seat
    private var exchange: Exchange
    /// The message that is due next, and the one to be sent next: the same, unless messages wait for room.
    private var due: Schedule?
    private var unsent: Schedule?
    private var isOpen = false
    private var isEnding = false

    init(_ share: ClientShare, _ seat: Seat) {
        self.share = share
        self.seat = seat
        guard case .paced(let plan) = share.group.behaviour else {
            preconditionFailure("a paced client without a plan")
        }
        self.plan = plan
        // One more message fits, with its header and what compression may add to it.
        let byteCountMax = plan.size.byteCountMax
        outboundByteCountMax =
            share.group.behaviour.limits.outboundByteCountMax - byteCountMax - byteCountMax / 1_000 - 64
        exchange = Exchange(share, seat, size: plan.size, isText: plan.isText)
    }

    mutating func opened(_ connection: borrowing Connection<ClientCommand>) {
        isOpen = true
        guard let missed = share.opened(&seat, connection.address) else { return }
        // Before it was open, nothing was due.
        if missed == .begin {
            begin(at: MonotonicTime.now().nanoseconds, connection)
        } else {
            receive(missed, connection)
        }
    }

    mutating func receive(_ command: ClientCommand, _ connection: borrowing Connection<ClientCommand>) {
        switch command {
        case .begin: begin(at: share.beganAt, connection)
        case .next:
            guard !isEnding else { break }
            catchUp(connection)
            setTimer(connection)
        case .end: end(connection)
        case .drop: share.cut(connection, isAwaiting: isEnding && exchange.unansweredCount > 0)
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
        let isExpected = isEnding && exchange.unansweredCount == 0
        let now = MonotonicTime.now().nanoseconds
        giveUp(exchange.unansweredCount, at: now)
        giveUpUnsent(at: now)
        share.ended(seat, reason, wasOpen: isOpen, isExpected: isExpected)
    }

    // MARK: The schedule

    private mutating func begin(at now: UInt64, _ connection: borrowing Connection<ClientCommand>) {
        let schedule = Schedule(
            plan, client: seat.client, of: share.group.clientCount, attempt: seat.attempt, origin: share.beganAt,
            now: now)
        due = schedule
        unsent = schedule
        setTimer(connection)
    }

    /// Times lie where the scheduler's timers can: that they are rounded up is no lag.
    @inline(__always)
    private func tick(_ schedule: Schedule) -> UInt64 {
        SchedulerRef.running.tick(atOrAfter: MonotonicTime(nanoseconds: schedule.next)).nanoseconds
    }

    private func setTimer(_ connection: borrowing Connection<ClientCommand>) {
        guard let due else { return }
        connection.process.send(.next, to: connection.address, at: MonotonicTime(nanoseconds: tick(due)))
    }

    /// Sends what has become due.
    private mutating func catchUp(_ connection: borrowing Connection<ClientCommand>) {
        guard var due, let unsent else { return }
        let now = MonotonicTime.now().nanoseconds
        let isOnTime = unsent.count == due.count
        while tick(due) <= now {
            share.counters.due &+= 1
            due.advance()
        }
        self.due = due
        sendDue(connection, lagAt: isOnTime ? now : nil)
    }

    /// Sends what is due as far as there is room. What had to wait for room was not late for the load tester's sake.
    private mutating func sendDue(_ connection: borrowing Connection<ClientCommand>, lagAt now: UInt64?) {
        guard let due, var unsent else { return }
        while unsent.count < due.count, hasRoom(connection) {
            let intended = tick(unsent)
            let isSent =
                plan.awaitsAnswers
                ? exchange.send(countedFrom: intended, connection) : exchange.sendOnly(connection)
            guard isSent else { break }
            if let now { share.noteLag(from: intended, to: now) }
            unsent.advance()
        }
        self.unsent = unsent
    }

    private mutating func hasRoom(_ connection: borrowing Connection<ClientCommand>) -> Bool {
        if exchange.windowCount >= plan.inFlightMax {
            // Answers that came out of order leave none in the window; who is far behind them will not come.
            guard exchange.unansweredCount < plan.inFlightMax else { return false }
            giveUp(1, at: MonotonicTime.now().nanoseconds)
        }
        return connection.bufferedByteCount <= outboundByteCountMax
    }

    private mutating func end(_ connection: borrowing Connection<ClientCommand>) {
        catchUp(connection)
        isEnding = true
        giveUpUnsent(at: MonotonicTime.now().nanoseconds)
        if exchange.unansweredCount == 0 { connection.close() }
    }

    // MARK: Answers

    @inline(__always)
    private mutating func answered(
        _ bytes: UnsafeRawBufferPointer, isText: Bool, _ connection: borrowing Connection<ClientCommand>
    ) {
        share.noteReceived(byteCount: bytes.count)
        guard plan.awaitsAnswers else { return }
        if let start = unsafe exchange.takeAnswer(bytes, isText: isText) {
            share.noteCompleted(from: start, to: connection.receivedAt.nanoseconds)
        } else {
            unsafe judge(bytes, isText: isText)
        }
        if isEnding {
            if exchange.unansweredCount == 0 { connection.close() }
        } else if unsent?.count != due?.count {
            sendDue(connection, lagAt: nil)
        }
    }

    private mutating func judge(_ bytes: UnsafeRawBufferPointer, isText: Bool) {
        let now = MonotonicTime.now().nanoseconds
        switch unsafe exchange.judge(bytes, isText: isText) {
        case .early(let start): share.noteCompleted(from: start, to: now)
        case .late(let start):
            share.noteCompleted(from: start, to: now)
            share.counters.reordered += 1
            share.errors.add(Self.reorderedText)
        case .duplicate:
            share.counters.duplicated += 1
            share.errors.add(Self.duplicateText)
        case .wrong(let text): share.errors.add(text)
        }
    }

    /// The `count` oldest messages that are unanswered are lost.
    private mutating func giveUp(_ count: Int, at now: UInt64) {
        for _ in 0..<count {
            if let start = exchange.giveUpOldest() { share.noteUnanswered(from: start, to: now) }
        }
        share.counters.lost += count
        share.errors.add(Self.unansweredText, count: count)
    }

    private mutating func giveUpUnsent(at now: UInt64) {
        guard let due, var unsent else { return }
        share.errors.add(Self.unsentText, count: due.count - unsent.count)
        while unsent.count < due.count {
            if plan.awaitsAnswers { share.noteUnanswered(from: tick(unsent), to: now) }
            unsent.advance()
        }
        self.unsent = unsent
    }
}
