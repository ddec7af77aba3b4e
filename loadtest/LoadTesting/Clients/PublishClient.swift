// SPDX-License-Identifier: Apache-2.0

internal import Roost
internal import RoostRuntime
internal import Synchronization

/// A publisher of a fan-out: sends stamped messages, at their times or when earlier ones have reached all.
///
/// What comes back, its own messages perhaps, is counted and otherwise ignored.
struct PublishClient: LoadClient {
    /// While so much waits for a server that does not read, nothing is sent: what has a time is late then.
    private static let backlogByteCountMax = 256 << 10
    /// How often a closed loop looks for messages that do not arrive, at least.
    private static let checkSeconds = 0.25
    /// Messages sent without looking at anything else: at a rate that cannot be kept up with there are always more.
    private static let burstCountMax = 4_096
    private static let beginTimer = 1
    private static let workTimer = 2

    private let share: ClientShare
    private let board: FanOutBoard
    private let lane: PublisherLane
    private var seat: Seat
    private let room: Int
    /// Around the message; empty where there is no template.
    private var wrapped: [UInt8] = []
    private var stampOffset = 0
    private var isOpen = false
    private var isEnding = false
    private var schedule: Schedule
    /// When each message of a closed loop that has not reached all was sent: number `n` at `n % count`.
    private var sentAt: [UInt64] = []
    /// Closed loop: every message before it has reached all, or was given up.
    private var oldest: UInt64 = 0

    init(_ share: ClientShare, _ seat: Seat) {
        guard let board = share.board.fanOut else { preconditionFailure("a publisher without a fan-out") }
        self.share = share
        self.board = board
        self.seat = seat
        room = seat.client % board.plan.roomCount
        lane = board.lanes[seat.client]
        schedule = Schedule(board.plan, publisher: seat.client)
        if case .inFlight(let count) = board.plan.pace { sentAt = Array(repeating: 0, count: count) }
        guard let template = board.plan.publishTemplate else { return }
        let parts = template.replacingRoom(room).split(separator: "{payload}", omittingEmptySubsequences: false)
        stampOffset = parts[0].utf8.count
        wrapped = Array(parts[0].utf8) + Array(repeating: 0, count: board.plan.byteCount) + Array(parts[1].utf8)
    }

    // MARK: Events

    mutating func opened(_ connection: borrowing Connection<ClientCommand>) {
        isOpen = true
        lane.setAddress(connection.address)
        if let message = board.plan.subscribeMessage { connection.send(message.replacingRoom(room)) }
        if let missed = share.opened(&seat, connection.address) { receive(missed, connection) }
    }

    mutating func receive(_ command: ClientCommand, _ connection: borrowing Connection<ClientCommand>) {
        switch command {
        case .begin:
            connection.setTimer(Self.beginTimer, after: .seconds(seat.attempt == 0 ? board.plan.settleSeconds : 0))
        case .end:
            guard !isEnding else { return }
            isEnding = true
            if board.place.count > 1 { announceEnd(connection) }
            lane.isDone.store(true, ordering: .releasing)
            connection.close()
        case .drop: connection.abort()
        case .next: if !isEnding { work(connection) }
        }
    }

    mutating func timer(_ id: Int, _ connection: borrowing Connection<ClientCommand>) {
        guard !isEnding else { return }
        if id == Self.beginTimer {
            schedule.begin(at: MonotonicTime.now().nanoseconds)
            oldest = sentCount
        }
        guard case .inFlight = board.plan.pace else { return work(connection) }
        giveUpLate()
        work(connection)
        let seconds = min(Self.checkSeconds, board.plan.awaitSeconds / 2)
        connection.setTimer(Self.workTimer, after: .seconds(seconds))
    }

    private mutating func work(_ connection: borrowing Connection<ClientCommand>) {
        switch board.plan.pace {
        case .rate: sendDue(connection)
        case .inFlight: fillWindow(connection)
        }
    }

    mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<ClientCommand>) {
        share.noteReceived(byteCount: text.span.count)
    }

    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<ClientCommand>) {
        share.noteReceived(byteCount: bytes.byteCount)
    }

    mutating func terminated(_ reason: CloseReason, _ connection: borrowing Connection<ClientCommand>) {
        lane.setAddress(nil)
        if share.group.backoff == nil || share.stage == .end { lane.isDone.store(true, ordering: .releasing) }
        share.ended(seat, reason, wasOpen: isOpen, isExpected: isEnding)
    }

    // MARK: Open loop

    private mutating func sendDue(_ connection: borrowing Connection<ClientCommand>) {
        var now = MonotonicTime.now().nanoseconds
        var left = Self.burstCountMax
        while nextTick <= now, left > 0, hasRoom(connection) {
            left -= 1
            let intended = nextTick
            guard send(at: intended, connection) else { break }
            share.noteLag(from: intended, to: now)
            schedule.sent()
            now = MonotonicTime.now().nanoseconds
        }
        share.counters.due += schedule.newlyDue(at: now)
        let time = MonotonicTime(nanoseconds: max(nextTick, now + 1))
        connection.process.send(.next, to: connection.address, at: time)
    }

    /// Times lie where the scheduler's timers can: that they are rounded up is no lag.
    private var nextTick: UInt64 {
        SchedulerRef.running.tick(atOrAfter: MonotonicTime(nanoseconds: schedule.nextTime)).nanoseconds
    }

    // MARK: Closed loop

    private mutating func fillWindow(_ connection: borrowing Connection<ClientCommand>) {
        guard !isEnding else { return }
        var next = sentCount
        while oldest < next, lane.isComplete(oldest) { oldest += 1 }
        let subscriberCount = board.subscriberCount(in: room)
        // With nobody there all is delivered at once: the timer asks again.
        guard subscriberCount > 0 else { return }
        while next - oldest < UInt64(sentAt.count), hasRoom(connection) {
            let now = MonotonicTime.now().nanoseconds
            lane.begin(next, count: subscriberCount)
            guard send(at: now, connection) else { return }
            sentAt[Int(next % UInt64(sentAt.count))] = now
            next += 1
        }
    }

    /// So that one lost message does not stop the loop.
    private mutating func giveUpLate() {
        let now = MonotonicTime.now().nanoseconds
        let patience = UInt64(board.plan.awaitSeconds * 1e9)
        while oldest < sentCount {
            if !lane.isComplete(oldest) {
                guard now - sentAt[Int(oldest % UInt64(sentAt.count))] >= patience else { return }
                share.errors.add("a message did not reach every subscriber within \(board.plan.awaitSeconds) s")
            }
            oldest += 1
        }
    }

    // MARK: Sending

    private var sentCount: UInt64 { lane.sentCount.load(ordering: .relaxed) }

    private func hasRoom(_ connection: borrowing Connection<ClientCommand>) -> Bool {
        connection.bufferedByteCount <= Self.backlogByteCountMax
    }

    /// Sends the next message as one of `time`, on this machine's clock.
    @inline(__always)
    private mutating func send(at time: UInt64, _ connection: borrowing Connection<ClientCommand>) -> Bool {
        let sequence = sentCount
        // Before it leaves: its subscribers, on other threads, look.
        lane.sentCount.store(sequence + 1, ordering: .releasing)
        guard send(stamp(sequence, time), connection) else {
            lane.sentCount.store(sequence, ordering: .releasing)
            return false
        }
        share.noteSent(byteCount: board.plan.byteCount)
        return true
    }

    private mutating func announceEnd(_ connection: borrowing Connection<ClientCommand>) {
        var stamp = stamp(sentCount, MonotonicTime.now().nanoseconds)
        stamp.isLast = true
        _ = send(stamp, connection)
    }

    private func stamp(_ sequence: UInt64, _ time: UInt64) -> DeliveryStamp {
        DeliveryStamp(
            publisher: UInt32(seat.client), sequence: sequence,
            time: time &+ UInt64(bitPattern: board.place.clockOffsetNanoseconds))
    }

    private mutating func send(_ stamp: DeliveryStamp, _ connection: borrowing Connection<ClientCommand>) -> Bool {
        unsafe share.pattern.withMessage(stamp, byteCount: board.plan.byteCount) { bytes in
            guard !wrapped.isEmpty else {
                // Safe: the bytes are lent for the call, which copies them; they are ASCII.
                return board.plan.isText
                    ? unsafe connection.send(UTF8Span(unchecked: Span(_unsafeBytes: bytes)))
                    : unsafe connection.send(binary: RawSpan(_unsafeBytes: bytes))
            }
            // Safe: the place of the message has its size; the rest is text.
            return unsafe wrapped.withUnsafeMutableBytes { target in
                unsafe target.baseAddress!.advanced(by: stampOffset).copyMemory(
                    from: bytes.baseAddress!, byteCount: bytes.count)
                return unsafe connection.send(UTF8Span(unchecked: Span(_unsafeBytes: UnsafeRawBufferPointer(target))))
            }
        }
    }

    // MARK: -

    /// When the messages of a publisher are meant to leave: evenly, each publisher's between the others'.
    private struct Schedule {
        private let interval: Double
        private let phase: Double
        private var start: UInt64 = 0
        private var number = 0
        private var dueCount = 0

        init(_ plan: FanOutPlan, publisher: Int) {
            guard case .rate(let rate) = plan.pace else {
                (interval, phase) = (0, 0)
                return
            }
            interval = Double(plan.publisherCount) / rate * 1e9
            phase = Double(publisher) / rate * 1e9
        }

        mutating func begin(at now: UInt64) {
            start = now
            number = 0
            dueCount = 0
        }

        var nextTime: UInt64 { start + UInt64(phase + Double(number) * interval) }

        mutating func sent() { number += 1 }

        /// Messages whose time has come since the last call.
        mutating func newlyDue(at now: UInt64) -> Int {
            let passed = Double(now - start) - phase
            let count = passed < 0 ? 0 : max(Int(passed / interval) + 1, number)
            defer { dueCount = max(count, dueCount) }
            return max(count - dueCount, 0)
        }
    }
}
