// SPDX-License-Identifier: Apache-2.0

internal import Histogram
internal import Roost
internal import RoostRuntime
internal import Synchronization

/// What the connections of one scheduler count together: no lock for a message.
///
/// | Field                      | Written by                | Read by                                  |
/// |----------------------------|---------------------------|------------------------------------------|
/// | the atomics                | its scheduler's thread    | anyone, at any time                      |
/// | the rest                   | its scheduler's thread    | others once the scheduler has stopped    |
final class SchedulerShare: @unchecked Sendable {  // as the table says
    let pattern: MessagePattern
    let plan: EchoPlan
    let errors: ErrorTally
    /// Where the open connections of an echo test are told to begin and to end.
    var addresses: [Address<EchoClient.Message>] = []
    var roundTrips = SchedulerShare.newHistogram()
    var connectTimes = SchedulerShare.newHistogram()
    /// Nanoseconds of the monotonic clock between which round trips are measured.
    var measuredFrom: UInt64 = .max
    var measuredUntil: UInt64 = .max
    /// The test is over: what ends now is meant to.
    var isEnding = false
    /// Makes the numbers of messages differ between connections.
    private var connectionCount: UInt64 = 0
    private var usageAtStart = ThreadUsage()
    private var usageAtEnd = ThreadUsage()
    let opened = Atomic<Int>(0)
    let ended = Atomic<Int>(0)
    let failed = Atomic<Int>(0)
    /// Round trips since the beginning, warm-up included.
    let completed = Atomic<Int>(0)

    /// An hour, in nanoseconds: longer ones count as this.
    static let valueMax: UInt64 = 3_600_000_000_000

    init(plan: EchoPlan, errors: ErrorTally) {
        self.plan = plan
        self.errors = errors
        pattern = MessagePattern(byteCount: plan.size.byteCountMax)
    }

    static func newHistogram() -> Histogram<UInt64> {
        Histogram(highestTrackableValue: valueMax, numberOfSignificantValueDigits: .three)
    }

    // MARK: Its scheduler's thread

    func nextConnection() -> UInt64 {
        connectionCount += 1
        return connectionCount
    }

    @inline(__always)
    func add(_ counter: borrowing Atomic<Int>) {
        // One writer: no read-modify-write is needed.
        counter.store(counter.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
    }

    @inline(__always)
    func recordRoundTrip(from sent: UInt64, to now: UInt64) {
        add(completed)
        if now >= measuredFrom, now < measuredUntil { roundTrips.record(min(now &- sent, Self.valueMax)) }
    }

    func recordOpening(since created: UInt64) {
        add(opened)
        connectTimes.record(min(MonotonicTime.now().nanoseconds &- created, Self.valueMax))
    }

    /// A connection is over. `isExpected`: neither side had anything left to do.
    func recordEnd(_ reason: CloseReason, wasOpen: Bool, isExpected: Bool) {
        if !wasOpen {
            add(failed)
            errors.add(reason.cause == .connectFailed ? reason.message : "\(reason)")
            return
        }
        add(ended)
        if !isExpected { errors.add("connection ended: \(reason)") }
    }

    func measurementBegan() { usageAtStart = .ofThisThread() }
    func measurementEnded() { usageAtEnd = .ofThisThread() }

    /// How busy the scheduler's thread was while it was measured.
    var usage: ThreadUsage { usageAtEnd - usageAtStart }
}
