// SPDX-License-Identifier: Apache-2.0

internal import RoostRuntime
internal import Synchronization

/// What the clients of one fan-out in this program share, whatever their scheduler.
final class FanOutBoard: Sendable {
    let plan: FanOutPlan
    let place: WorkerPlace
    /// By publisher, over all workers; only those of this one write theirs.
    let lanes: [PublisherLane]
    /// Subscribers that are there, by room.
    private let rooms: [Room]

    private final class Room: Sendable {
        let subscriberCount = Atomic<Int>(0)
    }

    init(_ plan: FanOutPlan, _ place: WorkerPlace) throws(LoadTestError) {
        let problems = plan.problems(workerCount: place.count)
        guard problems.isEmpty else { throw LoadTestError(problems.joined(separator: "\n")) }
        self.plan = plan
        self.place = place
        let slotCount =
            switch plan.pace {
            case .rate: 0
            case .inFlight(let count): count
            }
        lanes = (0..<plan.publisherCount).map { _ in PublisherLane(slotCount: slotCount) }
        rooms = (0..<plan.roomCount).map { _ in Room() }
    }

    /// One for each fan-out of a plan, by name.
    static func all(of plan: LoadPlan, _ place: WorkerPlace) throws(LoadTestError) -> [String: FanOutBoard] {
        var boards: [String: FanOutBoard] = [:]
        for group in plan.groups {
            guard let fanOut = group.behaviour.fanOut, boards[fanOut.name] == nil else { continue }
            boards[fanOut.name] = try FanOutBoard(fanOut, place)
        }
        return boards
    }

    /// Publishers of a room.
    func publisherCount(in room: Int) -> Int {
        (plan.publisherCount - room + plan.roomCount - 1) / plan.roomCount
    }

    func subscriberCount(in room: Int) -> Int { rooms[room].subscriberCount.load(ordering: .relaxed) }

    func subscriberCame(in room: Int) { rooms[room].subscriberCount.add(1, ordering: .relaxed) }
    func subscriberLeft(in room: Int) { rooms[room].subscriberCount.subtract(1, ordering: .relaxed) }

    /// Whether the publisher's own program is this one.
    func isHere(_ publisher: Int) -> Bool { publisher % place.count == place.index }
}

/// How far a publisher is.
///
/// | Field            | Written by                                              |
/// |------------------|---------------------------------------------------------|
/// | `sentCount`      | the publisher                                           |
/// | `isDone`         | the publisher, when it sends no more                    |
/// | `slots`          | the publisher begins one; subscribers count it down     |
/// | `address`        | the publisher                                           |
final class PublisherLane: Sendable {
    let sentCount = Atomic<UInt64>(0)
    let isDone = Atomic<Bool>(false)
    private let slots: [Slot]
    private let address = Mutex<Address<ClientCommand>?>(nil)

    /// The low 32 bits of a message's sequence, and how many subscribers it has still to reach.
    private final class Slot: Sendable {
        let word = Atomic<UInt64>(0)
    }

    init(slotCount: Int) { slots = (0..<slotCount).map { _ in Slot() } }

    /// Whom to tell that a message has reached all.
    func setAddress(_ newAddress: Address<ClientCommand>?) {
        withoutPreemption { address.withLock { $0 = newAddress } }
    }

    /// A message is about to be sent to `count` subscribers.
    func begin(_ sequence: UInt64, count: Int) {
        slot(sequence).word.store(sequence << 32 | UInt64(count), ordering: .releasing)
    }

    /// Whether the message has reached all, or was given up.
    func isComplete(_ sequence: UInt64) -> Bool {
        let word = slot(sequence).word.load(ordering: .acquiring)
        return word >> 32 != sequence & 0xFFFF_FFFF || word & 0xFFFF_FFFF == 0
    }

    /// The message has reached one more subscriber, or will never reach it.
    @inline(__always)
    func reached(_ sequence: UInt64) {
        guard !slots.isEmpty else { return }
        countDown(sequence)
    }

    private func countDown(_ sequence: UInt64) {
        let slot = slot(sequence)
        var seen = slot.word.load(ordering: .acquiring)
        while seen >> 32 == sequence & 0xFFFF_FFFF, seen & 0xFFFF_FFFF > 0 {
            let (isDone, now) = slot.word.compareExchange(
                expected: seen, desired: seen - 1, ordering: .acquiringAndReleasing)
            guard !isDone else {
                if (seen - 1) & 0xFFFF_FFFF == 0 { tellComplete() }
                return
            }
            seen = now
        }
    }

    private func tellComplete() {
        let publisher = withoutPreemption { address.withLock { $0 } }
        publisher?.send(.next)
    }

    /// Counts down, for a subscriber that has gone, what it was still to get.
    func left(_ stream: DeliveryStream) {
        let sent = sentCount.load(ordering: .acquiring)
        for back in 0..<UInt64(slots.count) where back < sent {
            let sequence = sent - 1 - back
            if !stream.hasCome(sequence) { countDown(sequence) }
        }
    }

    private func slot(_ sequence: UInt64) -> Slot { slots[Int(sequence % UInt64(slots.count))] }
}

extension Behaviour {
    /// The fan-out that a client takes part in.
    var fanOut: FanOutPlan? {
        switch self {
        case .publish(let plan), .subscribe(let plan): plan
        case .echo, .paced, .churn, .heartbeat, .idle, .script: nil
        }
    }
}
