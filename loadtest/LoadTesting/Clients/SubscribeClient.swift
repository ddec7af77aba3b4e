// SPDX-License-Identifier: Apache-2.0

internal import Roost
internal import RoostRuntime
internal import Synchronization

/// A subscriber of a fan-out: expects every message of the publishers of its room once, in order and intact.
///
/// The message may be anywhere in what comes, and several in one, so that servers may wrap what was published. What has
/// no message in it is the server's own: an answer to joining, say.
struct SubscribeClient: LoadClient {
    /// How often it looks whether all has come, at the end: first, and at most; nanoseconds.
    private static let checkInterval: UInt64 = 20_000_000
    private static let checkIntervalMax: UInt64 = 320_000_000
    private static let endTimer = 1
    private static let drainTimer = 2

    private let share: ClientShare
    private let board: FanOutBoard
    private var seat: Seat
    private let room: UInt32
    private let roomCount: UInt32
    private let byteCount: Int
    private let clockOffset: UInt64
    private let isSlow: Bool
    /// Deliveries to it are counted in the closed loops of its publishers.
    private let isCounted: Bool
    /// By publisher of the room.
    private var streams: [DeliveryStream]
    /// Where the last message was in what came.
    private var stampOffset = 0
    private var isOpen = false
    private var isEnding = false
    private var isFinished = false
    /// A slow one, at the end: something has come since it last looked.
    private var hasDrained = false
    private var endDeadline: UInt64 = 0
    private var checkWait = Self.checkInterval

    init(_ share: ClientShare, _ seat: Seat) {
        guard let board = share.board.fanOut, let plan = share.group.behaviour.fanOut else {
            preconditionFailure("a subscriber without a fan-out")
        }
        self.share = share
        self.board = board
        self.seat = seat
        roomCount = UInt32(plan.roomCount)
        room = UInt32(seat.client % plan.roomCount)
        byteCount = plan.byteCount
        clockOffset = UInt64(bitPattern: board.place.clockOffsetNanoseconds)
        isSlow = plan.readByteRate != nil
        if case .inFlight = plan.pace { isCounted = !isSlow } else { isCounted = false }
        let stream = DeliveryStream(isFromStart: seat.attempt == 0)
        streams = Array(repeating: stream, count: board.publisherCount(in: Int(room)))
    }

    // MARK: Events

    mutating func opened(_ connection: borrowing Connection<ClientCommand>) {
        isOpen = true
        if isCounted { board.subscriberCame(in: Int(room)) }
        if let message = board.plan.subscribeMessage { connection.send(message.replacingRoom(Int(room))) }
        if let missed = share.opened(&seat, connection.address) { receive(missed, connection) }
    }

    mutating func receive(_ command: ClientCommand, _ connection: borrowing Connection<ClientCommand>) {
        switch command {
        case .begin, .next: break
        case .end: end(connection)
        case .drop: connection.abort()
        }
    }

    mutating func timer(_ id: Int, _ connection: borrowing Connection<ClientCommand>) {
        if id == Self.drainTimer { checkDrained(connection) } else { checkEnd(connection) }
    }

    mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<ClientCommand>) {
        // Safe: looked at within the call only.
        unsafe text.span.withUnsafeBytes { unsafe came($0, connection) }
    }

    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<ClientCommand>) {
        // Safe: looked at within the call only.
        unsafe bytes.withUnsafeBytes { unsafe came($0, connection) }
    }

    mutating func terminated(_ reason: CloseReason, _ connection: borrowing Connection<ClientCommand>) {
        if isOpen, isCounted {
            board.subscriberLeft(in: Int(room))
            for index in streams.indices { lane(index).left(streams[index]) }
        }
        let wasFinished = isFinished && !isSlow
        finish(countsTail: false)
        share.ended(seat, reason, wasOpen: isOpen, isExpected: wasFinished)
    }

    // MARK: Messages

    @inline(__always)
    private mutating func came(
        _ bytes: UnsafeRawBufferPointer, _ connection: borrowing Connection<ClientCommand>
    ) {
        guard !isFinished else {
            hasDrained = true
            return
        }
        share.noteReceived(byteCount: bytes.count)
        if unsafe !DeliveryStamp.isAt(stampOffset, of: bytes) {
            guard let found = unsafe DeliveryStamp.find(in: bytes, from: 0) else { return unsafe cameWithout(bytes) }
            stampOffset = found
        }
        unsafe take(bytes, at: stampOffset, connection)
        if bytes.count - stampOffset >= byteCount + DeliveryStamp.byteCount {
            unsafe takeFurther(bytes, from: stampOffset + byteCount, connection)
        }
    }

    /// Messages that came together with another.
    @inline(never)
    private mutating func takeFurther(
        _ bytes: UnsafeRawBufferPointer, from start: Int, _ connection: borrowing Connection<ClientCommand>
    ) {
        var start = start
        while let offset = unsafe DeliveryStamp.find(in: bytes, from: start) {
            unsafe take(bytes, at: offset, connection)
            start = offset + byteCount
        }
    }

    @inline(__always)
    private mutating func take(
        _ bytes: UnsafeRawBufferPointer, at offset: Int, _ connection: borrowing Connection<ClientCommand>
    ) {
        // Safe: `offset` is that of a marker with room for a stamp.
        guard let stamp = unsafe DeliveryStamp(reading: bytes.baseAddress! + offset),
            unsafe share.pattern.matchesBehindStamp(bytes, at: offset, byteCount: byteCount)
        else { return cameDamaged() }
        let publisher = stamp.publisher
        guard roomCount == 1 || publisher % roomCount == room else { return cameAstray() }
        let index = Int(roomCount == 1 ? publisher : publisher / roomCount)
        guard index < streams.count else { return cameAstray() }
        guard !stamp.isLast else {
            streams[index].announcedCount = stamp.sequence
            return
        }
        switch streams[index].note(stamp.sequence) {
        case .inOrder: break
        case .reordered: note(.reordered)
        case .behindLost(let count): note(.lost, count: count)
        case .afterLoss: cameAfterLoss()
        case .duplicated: return note(.duplicated)
        }
        let now = connection.receivedAt.nanoseconds &+ clockOffset
        share.noteCompleted(from: stamp.time, to: now)
        if isCounted { lane(index).reached(stamp.sequence) }
    }

    @inline(__always)
    private func lane(_ index: Int) -> PublisherLane { board.lanes[index * Int(roomCount) + Int(room)] }

    private enum Fault: String {
        case lost = "a delivery was lost"
        case duplicated = "a delivery came twice"
        case reordered = "a delivery came behind that of a later message"

        var counter: WritableKeyPath<Counters, Int> {
            switch self {
            case .lost: \.lost
            case .duplicated: \.duplicated
            case .reordered: \.reordered
            }
        }
    }

    @inline(never)
    private func note(_ fault: Fault, count: Int = 1) {
        share.counters[keyPath: fault.counter] += count
        // What slow ones miss is what the run is about.
        if !isSlow { share.errors.add(fault.rawValue, count: count) }
    }

    /// It was counted as lost, and is not.
    @inline(never)
    private func cameAfterLoss() {
        share.counters.lost -= 1
        if !isSlow { share.errors.takeBack(Fault.lost.rawValue) }
        note(.reordered)
    }

    private func cameDamaged() {
        share.errors.add("a delivery is not what was published: other bytes, or cut off")
    }

    private func cameAstray() {
        share.errors.add("a delivery is of another room, or of another run on the same server")
    }

    private func cameWithout(_ bytes: UnsafeRawBufferPointer) {
        // A server that does not wrap what is published sends nothing else of just this length.
        if bytes.count == byteCount { cameDamaged() }
    }

    // MARK: The end

    private mutating func end(_ connection: borrowing Connection<ClientCommand>) {
        guard !isEnding else { return }
        isEnding = true
        endDeadline = MonotonicTime.now().nanoseconds + UInt64(board.plan.awaitSeconds * 1e9)
        guard !isSlow else {
            finish(countsTail: false)
            // Behind what it has not read there may be the server's close frame, or the end.
            connection.endRateLimit()
            return connection.setTimer(Self.drainTimer, after: .nanoseconds(Int64(Self.checkIntervalMax)))
        }
        checkEnd(connection)
    }

    /// A slow one closes when nothing more comes: the server has not closed it.
    private mutating func checkDrained(_ connection: borrowing Connection<ClientCommand>) {
        guard hasDrained, MonotonicTime.now().nanoseconds < endDeadline else { return connection.abort() }
        hasDrained = false
        connection.setTimer(Self.drainTimer, after: .nanoseconds(Int64(Self.checkIntervalMax)))
    }

    /// Closes when all that was sent has come, or has been waited for long enough.
    private mutating func checkEnd(_ connection: borrowing Connection<ClientCommand>) {
        guard isEnding, !isFinished else { return }
        if hasAll || MonotonicTime.now().nanoseconds >= endDeadline {
            finish(countsTail: true)
            return connection.close()
        }
        connection.setTimer(Self.endTimer, after: .nanoseconds(Int64(checkWait)))
        checkWait = min(2 * checkWait, Self.checkIntervalMax)
    }

    private var hasAll: Bool {
        streams.indices.allSatisfy { index in
            guard let count = sentCount(index, whenDone: true) else { return false }
            return streams[index].missingCount(of: count) == 0
        }
    }

    /// Messages of a publisher in all; nil where that is not known, or not yet.
    private func sentCount(_ index: Int, whenDone: Bool) -> UInt64? {
        let publisher = index * Int(roomCount) + Int(room)
        guard board.isHere(publisher) else { return streams[index].announcedCount }
        let lane = board.lanes[publisher]
        guard !whenDone || lane.isDone.load(ordering: .acquiring) else { return nil }
        return lane.sentCount.load(ordering: .acquiring)
    }

    /// Counts what has not come: before what has, and with `countsTail` behind it too. Nothing that comes later counts.
    private mutating func finish(countsTail: Bool) {
        guard !isFinished else { return }
        isFinished = true
        for index in streams.indices {
            guard countsTail, let count = sentCount(index, whenDone: false) else {
                note(.lost, count: streams[index].gapCount)
                if countsTail { share.errors.add(Self.unknownEnd) }
                continue
            }
            note(.lost, count: streams[index].missingCount(of: count))
        }
    }

    private static let unknownEnd =
        "a subscriber did not hear how many messages a publisher in another worker sent: the last may be lost, too"
}
