// SPDX-License-Identifier: Apache-2.0

internal import Histogram
internal import Roost
internal import RoostRuntime
internal import Synchronization

/// What the clients of one group on one scheduler have in common: no lock and no atomic for a message.
///
/// All but the atomics belongs to the scheduler's thread; others run a closure there (`Worker.onEachScheduler`), or
/// wait until the scheduler has stopped.
final class ClientShare: @unchecked Sendable {  // as above
    let group: ClientGroup
    let groupIndex: Int
    /// The scheduler's index.
    let index: Int
    let errors: ErrorTally
    let pattern: MessagePattern
    /// Of the run, shared by the shares of a group in this program.
    let board: GroupBoard
    /// Of a group with a script; and where its named measurements go.
    let script: ScriptProgram?
    /// Connections that open are what the run is about.
    private let completesByOpening: Bool
    /// From when the work begins to when it is measured, in nanoseconds.
    private let warmup: UInt64
    var measures: [ClientShare] = []
    var counters = Counters()
    /// Since they were last taken.
    var distributions = Distributions()
    /// Attempts that a client needed to come back: the most.
    private var attemptCountMax = 0
    var random: SystemRandomNumberGenerator = SystemRandomNumberGenerator()
    /// The last command that all clients were given; nil before the first.
    private(set) var stage: ClientCommand?
    /// When the work began, on the monotonic clock; 0 before.
    private(set) var beganAt: UInt64 = 0
    /// Where each client's open connection is told things, by slot.
    private var addresses: [Address<ClientCommand>?] = []
    /// Seats of connections whose handler has not been made yet, in the order in which they were begun.
    private var waiting: [Seat] = []
    private var waitingHead = 0
    /// Seats that are kept here and not in the handlers, each of which takes its room twice; by slot.
    private var kept: [Seat] = []
    private var clientCountMax = 0
    /// Begins connections of this share; set before the first.
    var connector: Connector?

    let openedCount = Atomic<Int>(0)
    let failedCount = Atomic<Int>(0)
    let endedCount = Atomic<Int>(0)
    /// Clients whose first connection has opened or failed.
    let settledCount = Atomic<Int>(0)
    /// Clients that have lost an open connection, once or more often.
    let lostClientCount = Atomic<Int>(0)
    /// Connections that were cut at the end while something was unanswered.
    let abandonedCount = Atomic<Int>(0)
    /// Clients that are back, and whose first message since has not been answered.
    let silentCount = Atomic<Int>(0)

    init(
        _ group: ClientGroup, groupIndex: Int, index: Int, errors: ErrorTally, board: GroupBoard,
        completesByOpening: Bool, warmupSeconds: Double
    ) {
        self.group = group
        self.completesByOpening = completesByOpening
        warmup = UInt64(warmupSeconds * 1e9)
        self.groupIndex = groupIndex
        self.index = index
        self.errors = errors
        self.board = board
        script = ScriptProgram.of(group)
        pattern = MessagePattern(byteCount: group.behaviour.byteCountMax)
    }

    // MARK: Connections

    /// Makes room for so many clients at once: arrays that grow leave what they have outgrown behind.
    func reserve(clientCount: Int) {
        addresses.reserveCapacity(clientCount)
        clientCountMax = clientCount
    }

    /// A place for one more client; before it first connects.
    func newSeat(_ client: Int) -> Seat {
        addresses.append(nil)
        return Seat(client: client, slot: addresses.count - 1)
    }

    /// A connection begins; its handler takes the seat when it is made.
    func begin(_ seat: Seat) {
        counters.started += 1
        waiting.append(seat)
    }

    /// The seat of the connection whose handler is being made. Processes have their first turns in the order in which
    /// they were started: the runtime's run queue is one.
    func takeSeat() -> Seat {
        let seat = waiting[waitingHead]
        waitingHead += 1
        if waitingHead == waiting.count {
            waiting.removeAll(keepingCapacity: true)
            waitingHead = 0
        }
        return seat
    }

    /// Keeps a seat, for `opened(slot:)` and `ended(slot:)`.
    func keep(_ seat: Seat) {
        kept.reserveCapacity(max(clientCountMax, kept.count))
        while kept.count <= seat.slot { kept.append(seat) }
        kept[seat.slot] = seat
    }

    func opened(slot: Int, _ address: Address<ClientCommand>) -> ClientCommand? {
        var seat = kept[slot]
        let missed = opened(&seat, address)
        kept[slot] = seat
        return missed
    }

    func ended(slot: Int, _ reason: CloseReason, wasOpen: Bool, isExpected: Bool) {
        ended(kept[slot], reason, wasOpen: wasOpen, isExpected: isExpected)
    }

    /// A connection is open. Returns what its client missed: the work may have begun.
    func opened(_ seat: inout Seat, _ address: Address<ClientCommand>) -> ClientCommand? {
        let now = MonotonicTime.now().nanoseconds
        counters.opened += 1
        // Who has had one before has lost it.
        if !seat.hasBeenLost { counters.connected += 1 }
        if completesByOpening { counters.completed += 1 }
        if seat.attempt == 0 { add(settledCount) }
        add(openedCount)
        errors.openCount.add(1, ordering: .relaxed)
        distributions.connect.record(min(now &- seat.intendedAt, Distributions.valueMax))
        if seat.lostAt > 0 {
            counters.reconnected += 1
            distributions.recovery.record(min(now &- seat.lostAt, Distributions.valueMax))
            seat.lostAt = 0
            attemptCountMax = max(attemptCountMax, seat.failureCount)
        }
        seat.failureCount = 0
        addresses[seat.slot] = address
        return stage
    }

    /// A connection is over, or could not be opened. `isExpected`: neither side had anything left to do.
    ///
    /// The client comes back where its group says so and the run is not over. `place` begins what is said of an error.
    func ended(
        _ seat: Seat, _ reason: CloseReason, wasOpen: Bool, isExpected: Bool, at place: @autoclosure () -> String = ""
    ) {
        let now = MonotonicTime.now().nanoseconds
        if wasOpen {
            addresses[seat.slot] = nil
            counters.ended += 1
            add(endedCount)
            errors.openCount.subtract(1, ordering: .relaxed)
            if !isExpected, !isClosing(reason) { addError("\(place())connection ended: \(reason)") }
            if !seat.hasBeenLost { add(lostClientCount) }
        } else {
            counters.failed += 1
            if seat.attempt == 0 { add(settledCount) }
            add(failedCount)
            addError(reason.cause == .connectFailed ? reason.message : "\(reason)")
        }
        guard let backoff = group.backoff, stage != .end, let connector else { return }
        var next = seat
        next.attempt += 1
        if wasOpen {
            next.hasBeenLost = true
            // Of a client that has had no answer since an earlier loss, that one counts.
            if !isExpected, next.lostAt == 0 { next.lostAt = now }
        }
        let delay = backoff.delaySeconds(seat.failureCount, random: Double.random(in: 0..<1, using: &random))
        next.failureCount += 1
        next.intendedAt = now + UInt64(delay * 1e9)
        connector.connect(next, after: delay)
    }

    private func addError(_ kind: String) {
        guard group.expectsLosses else { return errors.add(kind) }
        errors.add("\(group.name): \(kind)", isExpected: true)
    }

    /// We closed it, or the run is over and the server was the first to say so.
    private func isClosing(_ reason: CloseReason) -> Bool {
        reason.cause == .handlerClosed
            || stage == .end && !group.expectsLosses && (reason.cause == .draining || reason.cause == .serverClosed)
    }

    /// Tells every client that has an open connection, and those that open later.
    func tell(_ command: ClientCommand) {
        if command == .begin { beganAt = MonotonicTime.now().nanoseconds }
        if command != .drop, command != .next { stage = command }
        for case let address? in addresses { address.send(command) }
    }

    // MARK: Messages

    @inline(__always)
    func noteSent(byteCount: Int) {
        counters.sent &+= 1
        counters.sentByteCount &+= byteCount
    }

    @inline(__always)
    func noteReceived(byteCount: Int) {
        counters.received &+= 1
        counters.receivedByteCount &+= byteCount
    }

    /// What latency is measured of is complete. Nanoseconds of the monotonic clock.
    @inline(__always)
    func noteCompleted(from start: UInt64, to now: UInt64) {
        counters.completed &+= 1
        distributions.latency.record(min(now &- min(start, now), Distributions.valueMax))
    }

    /// A client is back, and is to be answered; before `opened`, so that it is not taken for one that has been.
    func cameSilent() { add(silentCount) }

    /// It has lost its connection again.
    func isNoLongerSilent() { add(silentCount, -1) }

    /// A client that lost its connection at `start` has an answer again.
    func noteAnswered(since start: UInt64, at now: UInt64) {
        add(silentCount, -1)
        distributions.answered.record(min(now &- min(start, now), Distributions.valueMax))
    }

    /// How late the load tester was with something that had a time.
    @inline(__always)
    func noteLag(from intended: UInt64, to now: UInt64) {
        distributions.lag.record(min(now &- min(intended, now), Distributions.valueMax))
    }

    /// A message was not answered, or did not even leave: its latency so far counts, so that percentiles do not gain by
    /// what they do not contain. One of the warm-up is in no result, however late it is given up.
    func noteUnanswered(from start: UInt64, to now: UInt64) {
        let measuredAt = beganAt + warmup
        guard start >= measuredAt || now < measuredAt else { return }
        distributions.latency.record(min(now &- min(start, now), Distributions.valueMax))
    }

    /// The end has waited for long enough. `isAwaiting`: something is unanswered, and not only the closing handshake.
    func cut(_ connection: borrowing Connection<ClientCommand>, isAwaiting: Bool) {
        if isAwaiting { add(abandonedCount) }
        connection.abort()
    }

    /// A connection is over: what it has not answered is lost, each with its latency so far.
    func noteUnanswered(_ exchange: inout Exchange) {
        let now = MonotonicTime.now().nanoseconds
        let count = exchange.unansweredCount
        for _ in 0..<count { if let start = exchange.giveUpOldest() { noteUnanswered(from: start, to: now) } }
        counters.lost += count
    }

    // MARK: Results

    /// What was counted so far, and measured since the last call.
    func take() -> GroupMeasure {
        var measure = GroupMeasure()
        measure.counters = counters
        measure.attemptCountMax = attemptCountMax
        attemptCountMax = 0
        swap(&measure.distributions, &distributions)
        return measure
    }

    @inline(__always)
    private func add(_ counter: borrowing Atomic<Int>, _ difference: Int = 1) {
        // One writer: no read-modify-write is needed. Who sees a connection as open sees it as silent too.
        counter.store(counter.load(ordering: .relaxed) &+ difference, ordering: .releasing)
    }
}

/// What all clients of a group in this program share, whatever their scheduler.
final class GroupBoard: Sendable {
    /// That the group takes part in.
    let fanOut: FanOutBoard?
    /// The first sample of each kind of failure.
    private let samples = Mutex<[String: String]>([:])

    init(_ group: ClientGroup, _ fanOuts: [String: FanOutBoard]) {
        fanOut = group.behaviour.fanOut.flatMap { fanOuts[$0.name] }
    }

    /// The failure with what it was seen in first.
    func withSample(of failure: String, _ sample: String?) -> String {
        guard let sample else { return failure }
        let first = withoutPreemption {
            samples.withLock { samples in
                if let known = samples[failure] { return known }
                samples[failure] = sample
                return sample
            }
        }
        return "\(failure); the first was '\(first)'"
    }
}

extension Behaviour {
    /// Answers, or deliveries, are awaited.
    var measuresLatency: Bool {
        switch self {
        case .echo, .heartbeat, .subscribe: true
        case .paced(let plan): plan.awaitsAnswers
        case .churn(let plan): plan.messageCount > 0
        case .script(let plan): plan.hasExpectations
        case .idle, .publish: false
        }
    }

    /// Of the largest message that clients send.
    var byteCountMax: Int {
        switch self {
        case .echo(let plan): plan.size.byteCountMax
        case .paced(let plan): plan.size.byteCountMax
        case .churn(let plan): plan.size.byteCountMax
        case .heartbeat(let plan): plan.size.byteCountMax
        case .idle: 0
        case .publish(let plan), .subscribe(let plan): plan.byteCount
        case .script(let plan): plan.generatedByteCountMax
        }
    }
}
