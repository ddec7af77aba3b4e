// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

// What must hold between steps, when all is at rest, and at the end. Numbers as in ARCHITECTURE.md.

extension Simulation {
    /// The whole process table is looked at once in so many steps.
    private static let wholeTablePeriod = 64

    // MARK: Between steps

    func checkStep() {
        noteEnds()
        var queued: [UInt] = []
        for (index, scheduler) in runtime.schedulers.enumerated() {
            let ready = readyProcesses(of: scheduler)
            expect(ready.count == scheduler.state.runQueue.count, "M1", "scheduler \(index) miscounts its run queue")
            for process in ready {
                expect(process.home == scheduler, "S2", "scheduler \(index) has another's process in its run queue")
                queued.append(unsafe UInt(bitPattern: process.pointer))
            }
            for process in inboundProcesses(of: scheduler) {
                checkStack(of: process, for: index)
                queued.append(unsafe UInt(bitPattern: process.pointer))
            }
            let isUncalled = scheduler.state.inbound.load(ordering: .relaxed) == SchedulerState.asleep
            let hasCommands = scheduler.state.hasCommands.load(ordering: .relaxed)
            expect(!(isAsleep[index] && isUncalled && hasCommands), "S1", "scheduler \(index) sleeps and has commands")
            guard failure == nil else { return }
        }
        for actor in actors where !actor.hasEnded {
            guard let process = actor.pid.flatMap(ProcessTable.find) else { continue }
            checkProcess(process, queued, "actor \(actor.number)")
        }
        if stepNumber % Self.wholeTablePeriod == 0 { checkTable(queued) }
    }

    /// M1: exactly once where it should run, nowhere where it waits.
    private func checkProcess(_ process: ProcessRef, _ queued: [UInt], _ name: String) {
        let address = unsafe UInt(bitPattern: process.pointer)
        let count = queued.count { $0 == address }
        let waits = process.block.inbox.load(ordering: .relaxed) == Mailbox.waiting
        expect(
            count == (waits ? 0 : 1), "M1",
            "\(name) \(waits ? "waits" : "does not wait") and is in \(count) run queues")
        if waits {
            expect(
                process.block.wakeFlags.load(ordering: .relaxed) == 0, "M3", "\(name) waits and has a wake flag set")
            expect(!process.block.flags.contains(.isExiting), "R2", "\(name) was told to exit and waits")
        }
        let index = process.home.state.index
        checkStack(of: process, for: index)
    }

    /// R1: frames are on the stack of the scheduler that goes on with them.
    private func checkStack(of process: ProcessRef, for index: Int) {
        guard process.block.flags.contains(.hasStack), let address = unsafe process.block.stackPointer else { return }
        let stack = runtime.schedulers[index].state.lanes[process.block.lane].stack
        let isThere = (stack.low..<stack.high).contains(UInt(bitPattern: address))
        expect(isThere || roost_stack_per_process(), "R1", "scheduler \(index) has a process with another's frames")
    }

    /// Before a scheduler's step: none of what it may run runs already, in the middle of a step of another.
    func checkQueues(of index: Int) -> Bool {
        let scheduler = runtime.schedulers[index]
        for process in readyProcesses(of: scheduler) + inboundProcesses(of: scheduler) {
            checkStack(of: process, for: index)
            expect(process.block.status != .running, "M1", "scheduler \(index) is about to run what runs already")
            expect(process.block.status != .free, "M1", "scheduler \(index) is about to run what has ended")
        }
        return failure == nil
    }

    /// Every process of the table, not only those that the simulation started.
    private func checkTable(_ queued: [UInt]) {
        let live = liveProcesses()
        expect(
            live.count == runtime.processCount, "S3",
            "\(live.count) processes exist and \(runtime.processCount) are counted")
        for process in live { checkProcess(process, queued, "process \(process.pid.index)") }
        for address in queued where !live.contains(ProcessRef(queued: address)) {
            violate("M1", "a slot without a process is in a run queue")
        }
    }

    func liveProcesses() -> [ProcessRef] {
        var live: [ProcessRef] = []
        for index in 0..<ProcessTable.slotCount {
            let process = ProcessTable.slot(UInt32(index))
            guard process.block.status != .free, runtime.schedulers.contains(process.home) else { continue }
            live.append(process)
        }
        return live
    }

    // MARK: At rest

    /// Nothing is left to do anywhere, nobody waits for what has come, and the ledgers agree.
    func checkRest() {
        guard failure == nil else { return }
        for (index, scheduler) in runtime.schedulers.enumerated() {
            expect(scheduler.state.runQueue.isEmpty, "S1", "scheduler \(index) sleeps and has something to run")
            expect(
                scheduler.state.inbound.load(ordering: .relaxed) == SchedulerState.asleep, "S1",
                "scheduler \(index) sleeps and was given something")
            expect(scheduler.state.timers.count == 0, "S5", "scheduler \(index) has timers that nobody waits for")
        }
        expect(commandsRun == commandsPosted, "S1", "\(commandsRun) of \(commandsPosted) commands were run")
        checkTable([])
        for process in liveProcesses() { checkLinks(of: process) }
        for actor in actors { checkLedgers(of: actor) }
    }

    /// L2: links are of both.
    private func checkLinks(of process: ProcessRef) {
        process.block.extras?.links.forEach { pid, _ in
            guard let other = ProcessTable.find(pid) else {
                return violate("L2", "\(name(of: process.pid)) is linked with \(name(of: pid)), which has ended")
            }
            let isMutual = other.block.extras?.links.contains(process.pid) == true
            expect(
                isMutual, "L2",
                "\(name(of: process.pid)) is linked with \(name(of: pid)), which is not linked with it")
        }
    }

    private func name(of pid: Pid) -> String { actor(of: pid).map { "actor \($0.number)" } ?? "process \(pid.index)" }

    private func checkLedgers(of actor: SimulatedActor) {
        guard !actor.hasEnded, let process = actor.pid.flatMap(ProcessTable.find) else { return }
        expect(
            process.block.queueCount == 0, "M3",
            "actor \(actor.number) waits with \(process.block.queueCount) messages in its mailbox")
        for (sender, numbers) in actor.outstanding where !numbers.isEmpty {
            violate("M2", "parcels \(numbers) of sender \(sender) never came to actor \(actor.number), which lives")
        }
        for (_, record) in actor.monitors where !record.isOver {
            let expected = actors[record.target].hasEnded ? 1 : 0
            expect(
                record.firedCount == expected, "M5",
                """
                the monitor of actor \(actor.number) on actor \(record.target) fired \(record.firedCount) times, \
                not \(expected)
                """)
        }
    }

    // MARK: At the end

    /// Blocks and slots that are free neither in a scheduler, nor outside them, nor in the pools that all share.
    var inUse: (blocks: Int, slots: Int) {
        var blocks = SharedBlockPool.shared.lentCount - External.freeBlockCount
        var slots = ProcessTable.lentCount - External.freeSlotCount
        for scheduler in runtime.schedulers {
            blocks -= scheduler.state.blocks.freeCount
            slots -= scheduler.state.slots.count
        }
        return (blocks, slots)
    }

    /// Everybody has gone and everything has come back.
    func checkEnd(inUseBefore before: (blocks: Int, slots: Int)) {
        guard failure == nil else { return }
        noteEnds()
        let now = inUse
        expect(runtime.processCount == 0, "S3", "\(runtime.processCount) processes would not end")
        expect(now.slots == before.slots, "S4", "\(now.slots - before.slots) process slots were not given back")
        expect(now.blocks == before.blocks, "S4", "\(now.blocks - before.blocks) blocks were not given back")
        for actor in actors {
            guard let index = actor.pid?.index else { continue }
            let process = ProcessTable.slot(index)
            guard process.block.status == .free else { continue }
            expect(
                process.block.heldByteCount == 0, "R6",
                "actor \(actor.number) ended with \(process.block.heldByteCount) bytes on its account")
        }
        for (number, count) in watches.enumerated() {
            expect(count == 1, "M5", "watch \(number) fired \(count) times")
        }
        for (number, record) in parcels.enumerated() where record.destroyedCount == 0 {
            let isLost = mayBeLost(record)
            expect(isLost, "M2", "parcel \(number) for actor \(record.receiver) was never destroyed")
        }
    }

    /// Frames that a trap or an abandonment dropped take what they hold along.
    private func mayBeLost(_ record: ParcelRecord) -> Bool {
        let isHeldByReceiver = record.receivedCount == 1 && actors[record.receiver].mayLoseFrames
        let isHeldBySender = record.isAccepted == nil && record.sender >= 0 && actors[record.sender].mayLoseFrames
        return isHeldByReceiver || isHeldBySender
    }
}
