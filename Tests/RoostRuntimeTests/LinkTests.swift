// SPDX-License-Identifier: Apache-2.0

import RoostRuntime
import RuntimeHandlers
import Testing

/// How a process ends, and how its watchers see it.
enum WatchedEnd: String, CaseIterable, Sendable {
    case returns, `throws`, traps, isKilled, overflows

    func happen() throws {
        switch self {
        case .returns: return
        case .throws: throw Refused(number: 5)
        case .traps: TrapCause.index.trap()
        case .isKilled: LoopShape.whileTrue.spin()
        case .overflows: _ = recurseForEver(0)
        }
    }

    func matches(_ reason: ExitReason) -> Bool {
        switch self {
        case .returns: reason.isPlainNormal
        case .throws: reason.refusal == Refused(number: 5)
        case .traps: reason.trap?.kind == .check
        case .isKilled: reason.isKilled
        case .overflows: reason.trap?.kind == .stackOverflow
        }
    }
}

extension RuntimeTests {
    @Suite("Links, monitors and exit signals", .timeLimit(.minutes(1)))
    struct LinkTests {
        @Test("A monitor tells once why its process ended", arguments: WatchedEnd.allCases)
        func monitors(_ ending: WatchedEnd) async throws {
            try await withRuntime { runtime in
                let results = try await runtime.value { context in
                    let (pid, reference) = context.spawnMonitor { _ in try ending.happen() }
                    let other = context.monitor(pid)
                    if ending == .isKilled { context.exit(pid, .kill) }
                    let reasons = try [reference, other].map { try context.receiveDown(of: $0)!.reason }
                    let more = try context.receiveAny(timeout: .milliseconds(1))
                    return (reasons, more == nil)
                }
                #expect(ending.matches(results.0[0]), "\(results.0[0])")
                #expect(ending.matches(results.0[1]) || results.0[1].isNoProcess)
                #expect(results.1)
            }
        }

        @Test("A monitor of a process that has ended says that there is no such process")
        func monitorsTheDead() async throws {
            try await withRuntime { runtime in
                let reason = try await runtime.value { context in
                    let (pid, reference) = context.spawnMonitor { _ in }
                    _ = try context.receiveDown(of: reference)
                    return try context.receiveDown(of: context.monitor(pid))!.reason
                }
                #expect(reason.isNoProcess)
            }
        }

        @Test("Hazard 6: a monitor that races with the end of its process and the reuse of its slot is always answered")
        func answersRacingMonitors() async throws {
            try await withRuntime { runtime in
                let done = Counter()
                // Short-lived processes on both schedulers, watched from the other one.
                for _ in 0..<2 {
                    runtime.spawn(receiving: Pid.self) { context in
                        for _ in 0..<Build.rounds(8_000) {
                            let pid = context.runtime.spawnElsewhere()
                            let reference = context.monitor(pid)
                            guard try context.receiveDown(of: reference, timeout: .seconds(50)) != nil else {
                                throw Refused()
                            }
                        }
                        done.add()
                    }
                }
                await runtime.waitForProcessCount(0)
                #expect(done.value == 2)
            }
        }

        @Test(
            "A process linked to one that fails ends for the same reason; after a normal end it lives on",
            arguments: WatchedEnd.allCases)
        func links(_ ending: WatchedEnd) async throws {
            try await withRuntime { runtime in
                let reason = await runtime.outcome { context in
                    let pid = context.spawnLink { _ in try ending.happen() }
                    if ending == .isKilled { context.exit(pid, .kill) }
                    try context.sleep(ending == .returns ? .milliseconds(5) : .seconds(60))
                }
                #expect(ending.matches(reason), "\(reason)")
            }
        }

        @Test("A process that traps exits gets a message instead", arguments: WatchedEnd.allCases)
        func trapsExits(_ ending: WatchedEnd) async throws {
            try await withRuntime { runtime in
                let reason = try await runtime.value { context in
                    context.trapExits()
                    let pid = context.spawnLink { _ in try ending.happen() }
                    if ending == .isKilled { context.exit(pid, .kill) }
                    guard case .exit(let signal)? = try context.receiveAny() else { throw Refused() }
                    #expect(signal.from == pid)
                    return signal.reason
                }
                #expect(ending.matches(reason), "\(reason)")
            }
        }

        @Test("A link to a process that has ended fails with noProcess; an unlinked process is not taken along")
        func linksTheDead() async throws {
            try await withRuntime { runtime in
                let dead = await withCheckedContinuation { continuation in
                    runtime.spawn { context in
                        let (pid, reference) = context.spawnMonitor { _ in }
                        _ = try context.receiveDown(of: reference)
                        continuation.resume(returning: pid)
                    }
                }
                let reason = await runtime.outcome { context in
                    context.link(dead)
                    try context.sleep(.seconds(60))
                }
                #expect(reason.isNoProcess)
                let other = await runtime.outcome { context in
                    let pid = context.spawnLink { context in
                        try context.sleep(.milliseconds(2))
                        throw Refused()
                    }
                    context.unlink(pid)
                    _ = try context.receiveDown(of: context.monitor(pid))
                    try context.sleep(.milliseconds(1))
                }
                #expect(other.isPlainNormal)
            }
        }

        enum Place: String, CaseIterable, Sendable {
            case parked, sleeping, spinning, neverStarted, yielding, selective
        }

        @Test("An exit signal ends a process wherever it is", arguments: Place.allCases, [false, true])
        func exitsEverywhere(_ place: Place, _ isKill: Bool) async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let unwound = Counter()
                let reason = try await runtime.value { context in
                    let started = Counter()
                    let (address, reference) = context.spawnMonitor(receiving: Int.self) { context in
                        defer { unwound.add() }
                        started.add()
                        switch place {
                        case .parked: _ = try context.receive()
                        case .sleeping: try context.sleep(.seconds(600))
                        case .spinning: LoopShape.whileTrue.spin()
                        case .neverStarted: break
                        case .yielding: while true { try context.yield() }
                        case .selective: _ = try context.receive { $0 == 1 ? 1 : nil }
                        }
                    }
                    if place != .neverStarted { while started.value == 0 { try context.yield() } }
                    context.exit(address.pid, isKill ? .kill : .shutdown)
                    return try context.receiveDown(of: reference)!.reason
                }
                #expect(isKill ? reason.isKilled : reason.isShutdown, "\(reason)")
                #expect(
                    unwound.value == (place == .spinning || place == .neverStarted ? 0 : 1),
                    "hazard 2: it unwinds where it can")
                #expect(runtime.abandonedCount == (place == .spinning ? 1 : 0))
            }
        }

        @Test("A process that sends itself an exit signal and receives ends once, for that reason")
        func exitsItself() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                for _ in 0..<200 {
                    let reason = await runtime.outcome { context in
                        context.exit(context.pid, .shutdown)
                        try context.sleep(.seconds(60))
                    }
                    #expect(reason.isShutdown)
                    let other = await runtime.reason(receiving: Int.self) { context in
                        context.exit(context.pid, .kill)
                        _ = try context.receive()
                    } sending: {
                        []
                    }
                    #expect(other.isKilled)
                }
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("Exit signals that arrive while a process runs end it once, at its next waiting call")
        func exitsWhileRunning() async throws {
            try await withRuntime { runtime in
                for round in 0..<500 {
                    let started = Counter()
                    let victim = runtime.spawn(receiving: Int.self) { context in
                        started.add()
                        while true {
                            work(round * 7)
                            _ = try context.receive(timeout: .zero)
                        }
                    }
                    await started.wait(for: 1)
                    let ended = Counter()
                    runtime.whenEnded(victim.pid) { _, reason in if reason.isShutdown { ended.add() } }
                    runtime.exit(victim.pid, .shutdown)
                    await ended.wait(for: 1)
                }
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("Hazard 2: code that catches ProcessExit and goes on meets it again at every waiting call")
        func meetsItsExitAgain() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let refusals = Counter()
                let reason = try await runtime.value { context in
                    let (address, reference) = context.spawnMonitor(receiving: Int.self) { context in
                        for _ in 0..<5 { do { _ = try context.receive() } catch { refusals.add() } }
                        do { try context.sleep(.seconds(9)) } catch { refusals.add() }
                        do { _ = try context.receive(timeout: .seconds(9)) } catch { refusals.add() }
                        do { try context.yield() } catch { refusals.add() }
                        throw Refused()
                    }
                    try context.yield()
                    context.exit(address.pid, .shutdown)
                    return try context.receiveDown(of: reference)!.reason
                }
                #expect(refusals.value == 8)
                #expect(reason.isShutdown, "told to end, it ends for that reason: \(reason)")
            }
        }

        @Test("kill cannot be trapped; shutdown can; normal does nothing to others")
        func followsTheRulesOfExit() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let reasons = try await runtime.value { context in
                    let messages = Counter()
                    let (address, reference) = context.spawnMonitor(receiving: Int.self) { context in
                        context.trapExits()
                        while true { if case .exit = try context.receiveAny() { messages.add() } }
                    }
                    try context.yield()
                    context.exit(address.pid, .shutdown)
                    context.exit(address.pid, .normal)
                    while messages.value < 2 { try context.yield() }
                    context.exit(address.pid, .kill)
                    let first = try context.receiveDown(of: reference)!.reason
                    let (plain, second) = context.spawnMonitor { context in try context.sleep(.milliseconds(3)) }
                    context.exit(plain, .normal)
                    return [first, try context.receiveDown(of: second)!.reason]
                }
                #expect(reasons[0].isKilled)
                #expect(reasons[1].isPlainNormal)
            }
        }

        @Test(
            "demonitor takes an arrived Down out of the mailbox, also beside undeliverable nodes"
        )
        func demonitors() async throws {
            let destroyed = Counter()
            try await withRuntime(schedulers: 1) { runtime in
                let isEmpty = try await runtime.value { context in
                    let (pid, reference) = context.spawnMonitor { _ in }
                    for _ in 0..<10 { try context.yield() }
                    Undelivered.push(
                        Payload(1, destroyed), kind: .message,
                        for: Pid(index: context.pid.index, generation: context.pid.generation &- 1))
                    context.demonitor(reference)
                    context.demonitor(reference)
                    work(100_000)  // preempted as before
                    _ = pid
                    return try context.receiveAny(timeout: .milliseconds(1)) == nil
                }
                #expect(isEmpty)
                #expect(destroyed.value == 1)
                #expect(runtime.statistics[0].preemptions > 20)
            }
        }

        @Test("Monitors that have fired are forgotten, however their Down was received")
        func forgetsFiredMonitors() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let counts = try await runtime.value { context in
                    for _ in 0..<100 {
                        _ = context.spawnMonitor { _ in }
                        _ = try context.receiveAny()
                        let (_, reference) = context.spawnMonitor { _ in }
                        _ = try context.receiveDown(of: reference)
                    }
                    return Inspection.monitorCount()
                }
                #expect(counts == 0)
            }
        }

        @Test("A ring of links falls as a whole, for the reason of the first")
        func ringsFall() async throws {
            try await withRuntime { runtime in
                let reasons = try await runtime.value { context in
                    var references: [Reference] = []
                    var last: Pid?
                    var first: Address<Int>?
                    for _ in 0..<200 {
                        let (address, reference) = context.spawnMonitor(receiving: Int.self) { [last] context in
                            if let last { context.link(last) }
                            if try context.receive() == 1 { throw Refused(number: 9) }
                        }
                        references.append(reference)
                        if first == nil { first = address }
                        last = address.pid
                    }
                    for _ in 0..<50 { try context.yield() }
                    first!.send(1)
                    return try references.map { try context.receiveDown(of: $0)!.reason.refusal?.number }
                }
                #expect(reasons.allSatisfy { $0 == 9 })
            }
        }
    }
}

extension Runtime {
    /// A process that ends at once, on any of the schedulers.
    func spawnElsewhere() -> Pid {
        withoutPreemption { startAnywhere() }
    }
}
