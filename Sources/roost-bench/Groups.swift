// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Dispatch
internal import RoostRuntime
internal import Synchronization

/// Names and process groups: what it costs to register, to look up, to join and leave when a million processes do so in
/// one group, and to reach them all.
struct Groups: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Register names; join, leave and dispatch to one group.")

    @Option(help: "How many processes join one group.") var processes = 1_000_000
    @Option(help: "How many names are registered and looked up.") var names = 200_000
    @Option(parsing: .upToNextOption, help: "Schedulers; each number is a run of its own.") var schedulers = [1, 2]

    func validate() throws {
        guard processes > 0, names > 0, schedulers.allSatisfy({ $0 > 0 }) else {
            throw ValidationError("use 1 or more of everything")
        }
    }

    func run() throws {
        let (processes, names) = (processes, names)
        for count in schedulers {
            try onOneScheduler(receiving: GroupBench.Answer.self, schedulers: count) { owner in
                let bench = GroupBench(suffix: "\(count)_schedulers", owner: owner.address)
                try bench.measureNames(owner, names, feeders: count)
                try bench.measureGroup(owner, processes, feeders: count)
            }
        }
    }
}

/// One run. The work is done by as many feeders as there are schedulers, one on each, and their members.
private struct GroupBench: Sendable {
    enum Answer: Sendable { case feeder(Address<Phase>), done }
    enum Phase: Int, Sendable { case spawn, wake, register, unregister, join, leave, joinAgain, end, stop }
    typealias Members = ProcessGroups<String, Phase>

    /// What is left to do in a phase; who does the last of it says so.
    final class Countdown: Sendable {
        private let left = Atomic<Int>(0)
        func start(_ count: Int) { left.store(count, ordering: .sequentiallyConsistent) }
        func isLast() -> Bool { left.subtract(1, ordering: .relaxed).newValue == 0 }
    }

    let suffix: String
    let owner: Address<Answer>
    private let countdown = Countdown()

    init(suffix: String, owner: Address<Answer>) {
        self.suffix = suffix
        self.owner = owner
    }

    private func report(_ kind: String, _ count: Int, _ time: Double, bytes: Double? = nil) {
        roost_bench.report("\(kind)_\(suffix)", count: count, nanosecondsEach: time, bytesEach: bytes)
    }

    // MARK: Names

    func measureNames(_ process: borrowing ProcessContext<Answer>, _ count: Int, feeders: Int) throws {
        let names = Registry<String>()
        let share = count / feeders
        let keys = (0..<feeders).map { feeder in (0..<share).map { "process \(feeder) \($0)" } }
        let steps: [(String, @Sendable (String, borrowing ProcessContext<Phase>) throws -> Void)] = [
            ("register_of_one_process", { try names.register($0, $1) }),
            ("lookup", { name, _ in _ = try names.address(of: name, receiving: Phase.self) }),
            ("unregister_of_one_process", { name, _ in names.unregister(name) }),
        ]
        let workers = try start(process, feeders) { feeder, worker in
            for step in steps {
                _ = try worker.receive()
                for key in keys[feeder] { try step.1(key, worker) }
                if countdown.isLast() { owner.send(.done) }
            }
        }
        for step in steps {
            countdown.start(feeders)
            let time = try nanosecondsEach(share * feeders) {
                for worker in workers { worker.send(.spawn) }
                _ = try process.receive()
            }
            report(step.0, share * feeders, time)
        }
    }

    // MARK: One group

    func measureGroup(_ process: borrowing ProcessContext<Answer>, _ count: Int, feeders: Int) throws {
        let (rooms, names) = (Members(), Registry<Int>())
        let share = count / feeders
        let workers = try start(process, feeders) { feeder, worker in
            var members: [Address<Phase>] = []
            members.reserveCapacity(share)
            while true {
                let phase = try worker.receive()
                if phase == .stop { return }
                if phase == .spawn {
                    for number in feeder * share..<(feeder + 1) * share {
                        members.append(worker.spawn(receiving: Phase.self) { try live(number, $0, rooms, names) })
                    }
                } else {
                    for member in members { member.send(phase) }
                }
            }
        }
        // `wake` does nothing but what the others do beside: a message sent, received, counted.
        for (phase, kind) in [
            (Phase.spawn, "spawn"), (.wake, "wake"), (.register, "wake_and_register"),
            (.unregister, "wake_and_unregister"), (.join, "wake_and_join"), (.leave, "wake_and_leave"),
            (.joinAgain, "wake_and_join_again"),
        ] {
            countdown.start(share * feeders)
            let before = residentByteCount()
            let time = try nanosecondsEach(share * feeders) {
                for worker in workers { worker.send(phase) }
                _ = try process.receive()
            }
            let bytes = Double(residentByteCount() - before) / Double(share * feeders)
            report(kind, share * feeders, time, bytes: phase == .join || phase == .register ? bytes : nil)
        }
        try measureDispatch(process, rooms, share * feeders)
        for worker in workers { worker.send(.stop) }
    }

    private func measureDispatch(
        _ process: borrowing ProcessContext<Answer>, _ rooms: Members, _ count: Int
    ) throws {
        countdown.start(count)
        report("dispatch", count, nanosecondsEach(count) { rooms.dispatch(.wake, to: "lobby") })
        _ = try process.receive()
        let time = try nanosecondsEach(count) {
            rooms.dispatch(.end, to: "lobby")
            while rooms.memberCount(of: "lobby") > 0 { try process.yield() }
        }
        report("dispatch_and_exit", count, time)
    }

    private func live(
        _ number: Int, _ process: borrowing ProcessContext<Phase>, _ rooms: Members, _ names: Registry<Int>
    ) throws {
        if countdown.isLast() { owner.send(.done) }
        while true {
            switch try process.receive() {
            case .register: try names.register(number, process)
            case .unregister: names.unregister(number)
            case .join, .joinAgain: rooms.join("lobby", process)
            case .leave: rooms.leave("lobby", process)
            case .end: return
            case .spawn, .wake, .stop: break
            }
            if countdown.isLast() { owner.send(.done) }
        }
    }

    /// Starts a process on each scheduler: what a thread outside starts is dealt out in turn.
    private func start(
        _ process: borrowing ProcessContext<Answer>, _ count: Int,
        _ body: @escaping @Sendable (Int, borrowing ProcessContext<Phase>) throws -> Void
    ) throws -> [Address<Phase>] {
        let (runtime, owner) = (process.runtime, owner)
        DispatchQueue.global().async {
            for index in 0..<count {
                owner.send(.feeder(runtime.spawn(receiving: Phase.self) { try body(index, $0) }))
            }
        }
        var workers: [Address<Phase>] = []
        while workers.count < count {
            if case .feeder(let worker) = try process.receive() { workers.append(worker) }
        }
        return workers
    }
}
