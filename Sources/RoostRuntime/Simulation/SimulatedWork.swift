// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// What the processes of a simulation do: anything that a process can, in any order.
enum SimulatedWork {
    enum Operation: CaseIterable {
        case receive, receiveWithTimeout, receiveMatching, receiveAny, send, sendToEnded, sendLater, cancelTimer
        case sleep, yield, work, spawn, link, unlink, monitor, demonitor, exitOther, exitSelf, trapExits
        case end, fail, trap, spin

        var weight: Int {
            switch self {
            case .receive, .receiveAny: 10
            case .receiveWithTimeout, .receiveMatching: 14
            case .send: 40
            case .sendToEnded, .sendLater, .spawn, .link, .monitor: 8
            case .cancelTimer, .unlink, .demonitor, .sleep, .yield: 6
            case .work: 10
            case .exitOther, .trapExits: 4
            case .exitSelf, .end, .fail, .trap, .spin: 1
            }
        }
    }

    struct Failed: Error {}

    /// The life of one process: operations that chance draws, until the run comes to rest; then it takes in whatever
    /// comes.
    static func run(
        _ actor: SimulatedActor, _ simulation: Simulation, _ process: borrowing ProcessContext<SimulatedParcel>
    ) throws {
        withoutPreemption { simulation.noteBegin(actor, process.pid) }
        while !simulation.isResting { try act(simulation.nextOperation(actor), actor, simulation, process) }
        while true {
            guard let event = try process.receiveAny() else { continue }
            hear(event, actor, simulation)
        }
    }

    private static func act(
        _ operation: Operation, _ actor: SimulatedActor, _ simulation: Simulation,
        _ process: borrowing ProcessContext<SimulatedParcel>
    ) throws {
        switch operation {
        case .receive, .receiveWithTimeout, .receiveMatching, .receiveAny:
            try receive(operation, actor, simulation, process)
        case .send, .sendToEnded, .sendLater, .cancelTimer: send(operation, actor, simulation, process)
        case .link, .unlink, .monitor, .demonitor: tie(operation, actor, simulation, process)
        case .sleep: try process.sleep(.microseconds(simulation.choices.pick([0, 10, 1_000, 5_000])))
        case .yield: try process.yield()
        case .work: simulation.handlers.work(simulation.choices.pick([1, 10, 100, 1_000]))
        case .spawn: spawn(actor, simulation, process)
        case .exitOther: exitOther(simulation, process)
        case .exitSelf: process.exit(process.pid, simulation.drawReason())
        case .trapExits: process.trapExits(simulation.choices.happens(perMille: 700))
        case .end: throw ProcessExit(reason: simulation.choices.happens(perMille: 500) ? .normal : .shutdown)
        case .fail: throw Failed()
        case .trap:
            actor.mayLoseFrames = true
            simulation.handlers.trap()
        case .spin:
            actor.mayLoseFrames = true
            actor.isSpinning = true
            simulation.handlers.spin()
        }
    }

    // MARK: Receiving

    private static func receive(
        _ operation: Operation, _ actor: SimulatedActor, _ simulation: Simulation,
        _ process: borrowing ProcessContext<SimulatedParcel>
    ) throws {
        let timeout = Duration.microseconds(simulation.choices.pick([0, 1, 900, 2_000, 30_000]))
        switch operation {
        case .receiveWithTimeout:
            if let parcel = try process.receive(timeout: timeout) { note(parcel, actor, simulation) }
        case .receiveMatching:
            let tag = simulation.choices.below(3)
            let parcel = try process.receive(timeout: timeout) { parcel in
                simulation.parcels[parcel.number].tag == tag ? parcel : nil
            }
            if let parcel { withoutPreemption { simulation.noteReceived(parcel, by: actor, tag: tag) } }
        case .receiveAny:
            if let event = try process.receiveAny(timeout: timeout) { hear(event, actor, simulation) }
        default:
            note(try process.receive(), actor, simulation)
        }
    }

    private static func note(_ parcel: SimulatedParcel, _ actor: SimulatedActor, _ simulation: Simulation) {
        withoutPreemption { simulation.noteReceived(parcel, by: actor) }
    }

    private static func hear(_ event: Received<SimulatedParcel>, _ actor: SimulatedActor, _ simulation: Simulation) {
        withoutPreemption {
            switch event {
            case .message(let parcel): simulation.noteReceived(parcel, by: actor)
            case .down(let down): simulation.noteDown(down, by: actor)
            case .exit(let signal):
                let from = simulation.actor(of: signal.from)?.number ?? Simulation.nobody
                simulation.note(.hears, actor.number, from)
            }
        }
    }

    // MARK: Sending

    private static func send(
        _ operation: Operation, _ actor: SimulatedActor, _ simulation: Simulation,
        _ process: borrowing ProcessContext<SimulatedParcel>
    ) {
        guard operation != .cancelTimer else {
            if let timer = actor.timers.popLast() { process.cancel(timer) }
            return
        }
        guard let other = simulation.pickActor(alive: operation != .sendToEnded), let pid = other.pid else { return }
        let address = Address<SimulatedParcel>(pid: pid)
        guard operation == .sendLater else {
            for _ in 0..<simulation.choices.within(1...4) {
                withoutPreemption { simulation.send(from: actor.number, to: other, address) }
            }
            return
        }
        withoutPreemption {
            let parcel = simulation.makeParcel(from: actor.number, to: other, pid)
            let delay = Duration.microseconds(simulation.choices.pick([0, 500, 4_000, 90_000]))
            actor.timers.append(process.send(parcel, to: address, after: delay))
        }
    }

    private static func exitOther(_ simulation: Simulation, _ process: borrowing ProcessContext<SimulatedParcel>) {
        guard let pid = simulation.pickActor(alive: true)?.pid else { return }
        process.exit(pid, simulation.drawReason())
    }

    // MARK: Ties

    private static func spawn(
        _ actor: SimulatedActor, _ simulation: Simulation, _ process: borrowing ProcessContext<SimulatedParcel>
    ) {
        guard simulation.hasRoom else { return }
        withoutPreemption {
            let child = simulation.makeActor()
            let options = simulation.drawOptions()
            let body: @Sendable (borrowing ProcessContext<SimulatedParcel>) throws -> Void = { [simulation] in
                try run(simulation.actors[child], simulation, $0)
            }
            let pid: Pid
            switch simulation.choices.below(3) {
            case 0: pid = process.spawn(receiving: SimulatedParcel.self, options: options, body).pid
            case 1: pid = process.spawnLink(receiving: SimulatedParcel.self, options: options, body).pid
            default:
                let (address, reference) = process.spawnMonitor(receiving: SimulatedParcel.self, options: options, body)
                pid = address.pid
                simulation.noteMonitor(reference, by: actor, of: simulation.actors[child])
            }
            simulation.actors[child].pid = pid
        }
    }

    private static func tie(
        _ operation: Operation, _ actor: SimulatedActor, _ simulation: Simulation,
        _ process: borrowing ProcessContext<SimulatedParcel>
    ) {
        if operation == .demonitor {
            guard let reference = actor.monitorOrder.popLast() else { return }
            process.demonitor(reference)
            return withoutPreemption { actor.monitors[reference.number]?.isOver = true }
        }
        let isAlive = simulation.choices.happens(perMille: 850)
        guard let other = simulation.pickActor(alive: isAlive), let pid = other.pid, other !== actor else { return }
        switch operation {
        case .link: process.link(pid)
        case .unlink: process.unlink(pid)
        default:
            guard actor.monitorOrder.count < TieTable<Reference, Pid>.fewCountMax / 2 else { return }
            withoutPreemption { simulation.noteMonitor(process.monitor(pid), by: actor, of: other) }
        }
    }
}

// MARK: - What processes and the outside share

extension Simulation {
    enum OutsideAction: CaseIterable { case spawn, send, exit, watch, command }

    /// What comes from threads that are no schedulers; nil: chance decides.
    func actFromOutside(_ action: OutsideAction?) {
        let action = action ?? choices.pick(OutsideAction.allCases)
        threads.inside(SimulatedThreads.outside) {
            switch action {
            case .spawn: spawnFromOutside()
            case .send:
                guard let actor = pickActor(alive: choices.happens(perMille: 800)), let pid = actor.pid else { return }
                send(from: Self.nobody, to: actor, Address(pid: pid))
            case .exit:
                guard let pid = pickActor(alive: true)?.pid else { return }
                runtime.exit(pid, drawReason())
            case .watch:
                guard let actor = pickActor(alive: choices.happens(perMille: 800)), let pid = actor.pid else { return }
                watch(pid)
            case .command:
                commandsPosted += 1
                choices.pick(runtime.schedulers).post(.run { [self] in commandsRun += 1 })
            }
        }
    }

    private func spawnFromOutside() {
        guard hasRoom else { return }
        let number = makeActor()
        let address = runtime.spawn(receiving: SimulatedParcel.self, options: drawOptions()) { [self] in
            try SimulatedWork.run(actors[number], self, $0)
        }
        actors[number].pid = address.pid
    }

    private func watch(_ pid: Pid) {
        let number = watches.count
        watches.append(0)
        runtime.whenEnded(pid) { [self] _, _ in
            guard watches.indices.contains(number) else { return }
            watches[number] += 1
            expect(watches[number] == 1, "M5", "watch \(number) fired twice")
        }
    }

    func makeActor() -> Int {
        let number = actors.count
        actors.append(SimulatedActor(number: number))
        note(.spawns, number)
        return number
    }

    func noteBegin(_ actor: SimulatedActor, _ pid: Pid) {
        expect(!actor.hasBegun, "M1", "actor \(actor.number) began twice")
        expect(actor.pid == nil || actor.pid == pid, "M1", "actor \(actor.number) began as another process")
        actor.pid = pid
        actor.hasBegun = true
        note(.begins, actor.number)
    }

    func nextOperation(_ actor: SimulatedActor) -> SimulatedWork.Operation {
        let index = choices.weighted(profile.operationWeights) ?? 0
        note(.operation, actor.number, index)
        return SimulatedWork.Operation.allCases[index]
    }

    /// Whether there is room for another process: with few, links and monitors stay few as well, and in their order.
    var hasRoom: Bool { !isResting && actors.count { !$0.hasEnded } < profile.populationMax }

    func drawOptions() -> ProcessOptions {
        var options = ProcessOptions()
        if choices.happens(perMille: 100) { options.mailboxCountMax = choices.within(1...8) }
        if choices.happens(perMille: 200) { options.priority = choices.pick(ProcessPriority.allCases) }
        options.isPinned = choices.happens(perMille: 150)
        return options
    }

    func drawReason() -> ExitReason {
        choices.pick([.normal, .shutdown, .kill, .error(SimulatedWork.Failed())])
    }

    /// Any actor whose pid is known, among the living ones or those that have ended.
    func pickActor(alive: Bool) -> SimulatedActor? {
        let candidates = actors.filter { $0.pid != nil && $0.hasEnded != alive }
        return candidates.isEmpty ? nil : choices.pick(candidates)
    }

    /// Something for all to receive, so that none goes on waiting for what will not come; those that loop for ever are
    /// killed.
    func nudgeAll() {
        threads.inside(SimulatedThreads.outside) {
            for actor in actors where !actor.hasEnded {
                guard let pid = actor.pid else { continue }
                if actor.isSpinning { runtime.exit(pid, .kill) }
                send(from: Self.nobody, to: actor, Address(pid: pid))
            }
        }
    }
}
