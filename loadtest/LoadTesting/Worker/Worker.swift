// SPDX-License-Identifier: Apache-2.0

internal import Logging
internal import Roost
internal import RoostIO
internal import RoostRuntime
internal import Synchronization

/// Which part of a plan's clients a worker has: client `n` of each group belongs to worker `n` modulo `count`.
package struct WorkerPlace: Codable, Sendable, Equatable {
    package var index: Int
    package var count: Int
    /// What is added to this machine's monotonic clock to get the coordinator's.
    package var clockOffsetNanoseconds: Int64 = 0
    /// What the coordinator calls the agent whose clients these are; nil: they are on its own machine.
    package var agentName: String?

    package init(index: Int, count: Int) {
        self.index = index
        self.count = count
    }

    /// Of a run's workers, however many each of as many agents has.
    var isPossible: Bool { (1...1 << 32).contains(count) && (0..<count).contains(index) }

    /// How many of `count` clients are this worker's.
    package func share(of clientCount: Int) -> Int { (clientCount - index + count - 1) / count }
}

/// The clients of one program: opens their connections, tells them what to do, adds up what they counted.
final class Worker: Sendable {
    /// After so many failures, of all groups together, no further client is started, unless its group comes back.
    private static let failureCountMax = 1_000
    /// Clients begin at whole milliseconds after the run's start, in nanoseconds: where they have a time, at the first
    /// that is not before it.
    private static let arrivalTick: UInt64 = 1_000_000
    /// Descriptors that the program needs beside its connections.
    private static let descriptorReserve = 32

    let plan: LoadPlan
    let place: WorkerPlace
    let runtime: Runtime
    let errors = ErrorTally()
    /// By group and scheduler.
    let shares: [[ClientShare]]
    /// One for each time that groups give their connections to open.
    private let clients: [RoostClient]
    private let startedCount = Atomic<Int>(0)
    private let hasStartedAll = Atomic<Bool>(false)
    /// The run is over: no further client is started.
    private let isEnding = Atomic<Bool>(false)
    private let usages: Mutex<[ThreadUsage]>
    private let connectors: [[Connector]]

    /// Throws where the plan cannot be run here. Looks names up.
    init(_ plan: LoadPlan, _ place: WorkerPlace) async throws(LoadTestError) {
        self.plan = plan
        self.place = place
        try plan.validate()
        try Self.checkDescriptors(plan, place)
        do {
            var configuration = RuntimeConfiguration()
            configuration.schedulerCount = plan.schedulerCount
            // What clients of a scheduler share (`ClientShare`) bears no second thread, which a hand-over brings.
            configuration.stuckSchedule = .zero
            runtime = try Runtime(configuration)
        } catch {
            throw LoadTestError("\(error)")
        }
        var logger = Logger(label: "loadtest")
        logger.logLevel = .warning
        usages = Mutex(Array(repeating: ThreadUsage(), count: runtime.schedulerCount))
        let (runtime, errors) = (runtime, errors)
        var shares: [[ClientShare]] = []
        var connectors: [[Connector]] = []
        var clients: [Double: RoostClient] = [:]
        for timeout in Set(plan.groups.map(\.target.connectTimeoutSeconds)) {
            clients[timeout] = await RoostClient(runtime: runtime, logger: logger, connectTimeout: .seconds(timeout))
        }
        self.clients = Array(clients.values)
        do {
            let fanOuts = try FanOutBoard.all(of: plan, place)
            for (index, group) in plan.groups.enumerated() {
                let board = GroupBoard(group, fanOuts)
                let row = (0..<runtime.schedulerCount).map { scheduler in
                    ClientShare(
                        group, groupIndex: index, index: scheduler, errors: errors, board: board,
                        completesByOpening: plan.scenario == .ramp, warmupSeconds: plan.warmupSeconds)
                }
                let count = place.share(of: group.clientCount)
                for share in row { share.reserve(clientCount: (count + row.count - 1) / row.count) }
                shares.append(row)
                guard let client = clients[group.target.connectTimeoutSeconds] else {
                    preconditionFailure("a group without a client")
                }
                let endpoints = try EndpointFactory(client, group, row).make()
                let sources = try group.target.sourceAddresses.map { try ClientEndpoint.source($0) }
                connectors.append(row.map { Connector(endpoints, sources, $0, runtime) })
            }
        } catch {
            for client in clients.values { await client.close(timeout: .zero) }
            runtime.stop()
            throw (error as? LoadTestError) ?? LoadTestError("\(error)")
        }
        self.shares = shares
        self.connectors = connectors
        await onEachScheduler { [shares, connectors] scheduler in
            for (row, connectors) in zip(shares, connectors) { row[scheduler].connector = connectors[scheduler] }
            for share in shares.map({ $0[scheduler] }) {
                share.measures = share.script?.plan.measureGroups.map { shares[$0][scheduler] } ?? []
            }
        }
    }

    private static func checkDescriptors(_ plan: LoadPlan, _ place: WorkerPlace) throws(LoadTestError) {
        let limit = SystemCalls.raiseDescriptorLimit()
        let count = plan.groups.reduce(0) { $0 + place.share(of: $1.clientCount) }
        let needed = count + descriptorReserve
        guard needed <= limit else {
            let workers = (plan.clientCount + limit - descriptorReserve - 1) / (limit - descriptorReserve)
            throw LoadTestError(
                """
                \(count) connections are for this process, but it may hold \(limit) descriptors; raise the limit with \
                `ulimit -n \(needed)`, or spread them over processes with `--workers \(workers)`
                """)
        }
    }

    // MARK: Connecting

    /// Begins the connection of every client, not too many at a time, or at the pace that the plan gives. Returns when
    /// each is open or has failed, or the user interrupts.
    func connect() async {
        let start = MonotonicTime.now().nanoseconds
        await withTaskGroup(of: Void.self) { tasks in
            for index in plan.groups.indices {
                tasks.addTask { await self.connect(groupIndex: index, start) }
            }
        }
        hasStartedAll.store(true, ordering: .relaxed)
        while !isOver, settledCount < startedCount.load(ordering: .relaxed) {
            try? await Task.sleep(for: .milliseconds(1))
        }
    }

    private func connect(groupIndex: Int, _ start: UInt64) async {
        let group = plan.groups[groupIndex]
        let row = connectors[groupIndex]
        let shares = shares[groupIndex]
        let count = place.share(of: group.clientCount)
        let perSecond = group.arrivalsPerSecond
        var begun = 0
        while begun < count, !isOver {
            if group.backoff == nil, failedCount >= Self.failureCountMax { break }
            let now = MonotonicTime.now().nanoseconds
            let tick = (now - start) / Self.arrivalTick
            var room = max(plan.connectingCountMax - (startedCount.load(ordering: .relaxed) - settledCount), 0)
            if let perSecond {
                // What is late is not given up: its time to connect counts from when it was due.
                room = min(room, place.share(of: Int(Double(tick) * 1e-3 * perSecond) + 1) - begun)
            }
            for _ in 0..<max(min(room, count - begun), 0) {
                let scheduler = begun % row.count
                let number = begun * place.count + place.index
                let due = perSecond.map {
                    start + min(UInt64((Double(number) / $0 * 1e3).rounded(.up)), tick) * Self.arrivalTick
                }
                let connector = row[scheduler]
                let share = shares[scheduler]
                startedCount.add(1, ordering: .relaxed)
                runtime.all[scheduler].run {
                    var seat = share.newSeat(number)
                    seat.intendedAt = due ?? now
                    if let due { share.noteLag(from: due, to: MonotonicTime.now().nanoseconds) }
                    connector.connect(seat)
                }
                begun += 1
            }
            let next = start + ((MonotonicTime.now().nanoseconds - start) / Self.arrivalTick + 1) * Self.arrivalTick
            try? await Task.sleep(for: MonotonicTime(nanoseconds: next) - MonotonicTime.now())
        }
    }

    private var isOver: Bool { Interrupt.isRequested || isEnding.load(ordering: .relaxed) }

    // MARK: State, from any thread

    /// Clients whose first connection has opened or failed.
    private var settledCount: Int { sum { $0.settledCount.load(ordering: .relaxed) } }
    private var failedCount: Int { sum { $0.failedCount.load(ordering: .relaxed) } }

    var status: WorkerStatus {
        let connectionCount = clients.reduce(0) { $0 + $1.connectionCount }
        // Where so many failed that the others are not started, there are no more.
        return WorkerStatus(
            clientCount: hasStartedAll.load(ordering: .relaxed)
                ? startedCount.load(ordering: .relaxed)
                : plan.groups.reduce(0) { $0 + place.share(of: $1.clientCount) },
            settledCount: settledCount,
            openCount: sum { $0.openedCount.load(ordering: .acquiring) - $0.endedCount.load(ordering: .relaxed) },
            failedCount: failedCount, connectionCount: connectionCount,
            lostCount: sum { $0.lostClientCount.load(ordering: .relaxed) },
            abandonedCount: sum { $0.abandonedCount.load(ordering: .relaxed) },
            silentCount: sum { $0.silentCount.load(ordering: .relaxed) },
            isDeserted: hasStartedAll.load(ordering: .relaxed) && connectionCount == 0
                && plan.groups.allSatisfy { $0.backoff == nil })
    }

    private func sum(_ value: (ClientShare) -> Int) -> Int {
        shares.reduce(0) { $0 + $1.reduce(0) { $0 + value($1) } }
    }

    // MARK: What clients are told

    func tell(_ command: ClientCommand) async {
        if command == .end { isEnding.store(true, ordering: .relaxed) }
        let shares = shares
        await onEachScheduler { scheduler in
            for row in shares { row[scheduler].tell(command) }
        }
    }

    /// Runs `body` for each scheduler on its thread and returns when all have run.
    func onEachScheduler(_ body: @escaping @Sendable (Int) -> Void) async {
        for (index, scheduler) in runtime.all.enumerated() {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                scheduler.run {
                    body(index)
                    continuation.resume()
                }
            }
        }
    }

    // MARK: Results

    /// What was counted so far, and measured since the last snapshot.
    func snapshot() async -> WorkerSnapshot {
        let collected = Mutex<[[GroupMeasure]]>([])
        let shares = shares
        let usage = Mutex<[ThreadUsage]>([])
        await onEachScheduler { scheduler in
            let measures = shares.map { $0[scheduler].take() }
            let now = ThreadUsage.ofThisThread()
            withoutPreemption {
                collected.withLock { $0.append(measures) }
                usage.withLock { $0.append(now) }
            }
        }
        var snapshot = WorkerSnapshot(groupCount: plan.groups.count)
        for measures in collected.withLock({ $0 }) {
            for (index, measure) in measures.enumerated() { snapshot.groups[index].add(measure) }
        }
        let now = usage.withLock { $0 }
        usages.withLock { last in
            snapshot.usage = zip(now, last).map { now, last in
                let since = now - last
                return SchedulerUsage(cpuShare: since.cpuShare, waitShare: since.waitShare)
            }
            last = now
        }
        snapshot.errors = errors.errors
        snapshot.ownByteCount = ProcessMeter.ofThisProgram.anonymousByteCount
        return snapshot
    }

    /// Closes what is open, and ends the schedulers.
    func stop(timeout: Duration) async {
        isEnding.store(true, ordering: .relaxed)
        await withTaskGroup(of: Void.self) { tasks in
            for client in clients { tasks.addTask { await client.close(timeout: timeout) } }
        }
        runtime.stop()
    }
}
