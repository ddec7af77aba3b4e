// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// What a simulation knows of one of its processes.
final class SimulatedActor {
    let number: Int
    var pid: Pid?
    /// Of the parcels that were sent to it and have not been received, in the order sent; one list for each sender.
    var outstanding: [Int: [Int]] = [:]
    /// The monitors that it holds, by the number of their reference.
    var monitors: [UInt64: MonitorRecord] = [:]
    var monitorOrder: [Reference] = []
    var timers: [TimerToken] = []
    var hasBegun = false
    var hasEnded = false
    /// Its frames may be dropped, with what they own: it trapped on purpose, or loops for ever.
    var mayLoseFrames = false
    var isSpinning = false

    init(number: Int) { self.number = number }
}

struct MonitorRecord {
    let target: Int
    var firedCount = 0
    var isOver = false
}

/// What became of a parcel.
struct ParcelRecord {
    let sender: Int
    let receiver: Int
    let tag: Int
    var receivedCount = 0
    var destroyedCount = 0
    /// What the send said: nil before it returned, and for one that a timer sends.
    var isAccepted: Bool?
}

/// What the processes of a simulation send each other. Says when it is destroyed.
// its stored properties never change; the simulation is of the thread that runs
final class SimulatedParcel: @unchecked Sendable {
    enum End { case plain, works, traps }

    let number: Int
    let target: Pid
    let simulation: Simulation
    private let end: End

    init(_ number: Int, _ target: Pid, _ end: End, _ simulation: Simulation) {
        self.number = number
        self.target = target
        self.end = end
        self.simulation = simulation
    }

    deinit {
        simulation.noteDestroyed(number)
        switch end {
        case .plain: break
        case .works: simulation.handlers.work(20)
        case .traps: simulation.trapInDestructor()
        }
    }
}

extension Simulation {
    static let nobody = -1

    // MARK: Ledger of parcels

    func makeParcel(from sender: Int, to receiver: SimulatedActor, _ pid: Pid) -> SimulatedParcel {
        let number = parcels.count
        parcels.append(
            ParcelRecord(sender: sender, receiver: receiver.number, tag: choices.below(3)))
        let drawn = choices.below(100)
        let end: SimulatedParcel.End = drawn == 0 ? .traps : drawn < 6 ? .works : .plain
        return SimulatedParcel(number, pid, end, self)
    }

    /// Sends a parcel in order: the ledger knows it before anybody can receive it.
    func send(from sender: Int, to receiver: SimulatedActor, _ address: Address<SimulatedParcel>) {
        let parcel = makeParcel(from: sender, to: receiver, address.pid)
        let number = parcel.number
        receiver.outstanding[sender, default: []].append(number)
        note(.sends, number, receiver.number)
        let isAccepted = address.send(parcel)
        parcels[number].isAccepted = isAccepted
        guard !isAccepted else { return }
        note(.refused, number)
        expect(parcels[number].receivedCount == 0, "M2", "parcel \(number) was refused and received")
        receiver.outstanding[sender]?.removeAll { $0 == number }
    }

    func noteReceived(_ parcel: SimulatedParcel, by actor: SimulatedActor, tag: Int? = nil) {
        let number = parcel.number
        note(.receives, number, actor.number)
        counts.received += 1
        parcels[number].receivedCount += 1
        let record = parcels[number]
        expect(record.receivedCount == 1, "M2", "parcel \(number) was received \(record.receivedCount) times")
        expect(record.destroyedCount == 0, "M2", "parcel \(number) was received after it was destroyed")
        expect(
            record.receiver == actor.number && parcel.target == actor.pid, "M2",
            "parcel \(number) for actor \(record.receiver) was received by actor \(actor.number)")
        guard let sent = actor.outstanding[record.sender], sent.contains(number) else { return }
        let first = sent.first { tag == nil || parcels[$0].tag == tag }
        expect(
            first == number, "M4",
            "actor \(actor.number) received parcel \(number) of sender \(record.sender) before \(first ?? -1)")
        actor.outstanding[record.sender]?.removeAll { $0 == number }
    }

    func noteDestroyed(_ number: Int) {
        guard parcels.indices.contains(number) else { return }  // lost by a trap, and freed after the run
        note(.destroys, number)
        parcels[number].destroyedCount += 1
        expect(
            parcels[number].destroyedCount == 1, "M2",
            "parcel \(number) was destroyed \(parcels[number].destroyedCount) times")
    }

    /// Traps where a trap is contained: in handler code of a process.
    func trapInDestructor() {
        let thread = unsafe roost_thread_current()
        guard unsafe thread.pointee.in_process == 1 && thread.pointee.preemption_disabled == 0 else { return }
        actor(of: SchedulerRef.currentProcess?.pid)?.mayLoseFrames = true
        handlers.trap()
    }

    func actor(of pid: Pid?) -> SimulatedActor? { pid.flatMap { pid in actors.last { $0.pid == pid } } }

    // MARK: Ledger of monitors

    func noteMonitor(_ reference: Reference, by observer: SimulatedActor, of target: SimulatedActor) {
        observer.monitors[reference.number] = MonitorRecord(target: target.number)
        observer.monitorOrder.append(reference)
    }

    func noteDown(_ down: Down, by observer: SimulatedActor) {
        counts.downs += 1
        guard let record = observer.monitors[down.reference.number] else {
            return violate("M5", "actor \(observer.number) heard of the end of something it does not monitor")
        }
        note(.fires, observer.number, record.target)
        observer.monitors[down.reference.number]?.firedCount += 1
        expect(record.firedCount == 0, "M5", "a monitor of actor \(observer.number) fired twice")
        expect(!record.isOver, "M5", "a monitor of actor \(observer.number) fired after it was ended")
        let target = actors[record.target]
        expect(
            target.pid == down.pid && isGone(target), "M5",
            "actor \(observer.number) heard of the end of actor \(target.number), which lives")
    }

    /// Whether the actor's process has ended, or is about to and takes nothing any more.
    func isGone(_ actor: SimulatedActor) -> Bool {
        guard let pid = actor.pid, let process = ProcessTable.find(pid) else { return true }
        return Mailbox.isClosed(process)
    }

    func noteEnds() {
        for actor in actors where !actor.hasEnded {
            guard let pid = actor.pid, ProcessTable.find(pid) == nil else { continue }
            actor.hasEnded = true
            actor.timers = []
            note(.ends, actor.number)
        }
    }
}
