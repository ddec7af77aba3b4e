// SPDX-License-Identifier: Apache-2.0

import RuntimeHandlers
import Testing

@testable import RoostRuntime

/// How a callee ends.
private enum Ending: CaseIterable, Sendable {
    case `return`, fail, trap, kill, abandon

    func fits(_ reason: ExitReason) -> Bool {
        switch self {
        case .return: reason.isPlainNormal
        case .fail: reason.refusal == Refused(number: 4)
        case .trap: reason.trap != nil
        case .kill, .abandon: reason.isKilled
        }
    }

    func end(_ process: borrowing ProcessContext<Script>) throws {
        switch self {
        case .return: throw ProcessExit(reason: .normal)
        case .fail: throw Refused(number: 4)
        case .trap: trapNested(2, .index)
        case .kill:
            process.exit(process.pid, .kill)
            _ = try process.receive()
        case .abandon:
            process.exit(process.pid, .kill)
            LoopShape.whileTrue.spin()
        }
    }
}

/// What a callee of these tests is told.
private enum Script: Sendable {
    case answer(ReplyAddress<Payload>, Payload)
    /// Keep the request.
    case keep(ReplyAddress<Payload>)
    /// Answer what was kept, first the oldest, each with a payload of the next number.
    case answerKept(Counter)
    case end(Ending)
    /// Take the request, then end.
    case endAsked(ReplyAddress<Payload>, Ending)
    case pendingCount(ReplyAddress<Int>)
    case wake(Address<Bool>)
}

private func obey(_ process: borrowing ProcessContext<Script>) throws {
    var kept: [ReplyAddress<Payload>] = []
    while true {
        switch try process.receive() {
        case .answer(let reply, let payload): reply.send(payload)
        case .keep(let reply): kept.append(reply)
        case .answerKept(let destroyed):
            for (number, reply) in kept.enumerated() { reply.send(Payload(number, destroyed)) }
            kept = []
        case .end(let ending): try ending.end(process)
        case .endAsked(_, let ending): try ending.end(process)
        case .pendingCount(let reply): reply.send(Inspection.pendingCallCount() - 1)  // not this one
        case .wake(let address): address.send(true)
        }
    }
}

private func callError(_ body: () throws -> Void) throws -> CallError {
    do { try body() } catch let error as CallError { return error }
    throw Refused(number: -1)
}

private func figures(
    _ process: borrowing ProcessContext<Never>, _ callee: Address<ReplyAddress<[Int]>>
) throws -> [Int] {
    let pending = try process.call(callee) { $0 }[0]
    return [Inspection.heldByteCount(), Inspection.monitorCount(), Inspection.queueCount(), pending]
}

/// A name for tests.
private struct Named: Destination, CustomStringConvertible {
    let holder: Locked<Address<Script>?>
    var description: String { "clerk" }
    var address: Address<Script>? { holder.withLock { $0 } }
    func resolve() throws(NameError) -> Address<Script> {
        guard let address else { throw .notRegistered(name: "clerk") }
        return address
    }
}

extension RuntimeTests {
    @Suite("Calls", .timeLimit(.minutes(2)))
    struct CallTests {
        @Test("K1: a callee that has ended, or ends before or after it takes the request, is an error at once")
        func noticesEnds() async throws {
            for ending in Ending.allCases {
                try await withRuntime(schedulers: 1) { runtime in
                    let errors: [CallError] = try await runtime.value { process in
                        let queued = process.spawn(receiving: Script.self) { try obey($0) }
                        queued.send(.end(ending))
                        let destroyed = Counter()
                        let first = try callError {
                            _ = try process.call(queued, timeout: nil) { .answer($0, Payload(1, destroyed)) }
                        }
                        let taken = process.spawn(receiving: Script.self) { try obey($0) }
                        let second = try callError {
                            _ = try process.call(taken, timeout: nil) { .endAsked($0, ending) }
                        }
                        let third = try callError { _ = try process.call(taken, timeout: nil) { .keep($0) } }
                        guard Inspection.replyIsTaken() else { throw Refused() }
                        return [first, second, third]
                    }
                    for error in errors.prefix(2) {
                        #expect(error.endReason.map(ending.fits) == true, "\(ending): \(error)")
                    }
                    #expect(errors[2].isNoProcess, "\(ending): \(errors[2])")
                    await runtime.waitForProcessCount(0)
                }
            }
        }

        @Test("Errors name the callee, the type of the request, and what to do")
        func describesErrors() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let (callee, errors): (Pid, [String]) = try await runtime.value { process in
                    let callee = process.spawn(receiving: Script.self) { callee in
                        SchedulerRef.currentProcess?.extras.label = "clerk"
                        try obey(callee)
                    }
                    let nobody = Named(holder: Locked(nil))
                    let errors = [
                        try callError { _ = try process.call(callee, timeout: .zero) { .keep($0) } },
                        try callError { _ = try process.call(callee, timeout: nil) { .endAsked($0, .fail) } },
                        try callError { _ = try process.call(callee) { .keep($0) } },
                        try callError { _ = try process.call(nobody) { .keep($0) } },
                    ]
                    return (callee.pid, errors.map(\.description))
                }
                #expect(
                    errors == [
                        """
                        call of Script to \(callee): no answer within 0.0 seconds; give the call more time, or the \
                        callee less to do
                        """,
                        """
                        call of Script to \(callee) 'clerk': it ended before it answered (threw Refused(number: 4)); \
                        call what was started in its place
                        """,
                        """
                        call of Script to \(callee): there is no such process; start it first, or look its address up \
                        again
                        """,
                        """
                        call of Script to 'clerk': there is no such process; start it first, or look its address up \
                        again
                        """,
                    ])
            }
        }

        @Test("A process that calls itself is told so")
        func refusesToCallItself() async throws {
            try await withRuntime { runtime in
                let isCallingItself = try await runtime.value { process in
                    let (callee, reference) = process.spawnMonitor(receiving: ReplyAddress<Int>.self) { process in
                        let text = try callError { _ = try process.call(process.address) { $0 } }
                        let late = try callError { _ = try process.startCall(process.address) { $0 } }
                        guard text.isCallingItself, late.isCallingItself else { throw Refused() }
                    }
                    _ = callee
                    return try process.receiveDown(of: reference)!.reason.isPlainNormal
                }
                #expect(isCallingItself)
            }
        }

        @Test("K2: a late reply is destroyed as it arrives, and the next call gets its own", arguments: [0, 1])
        func dropsLateReplies(milliseconds: Int) async throws {
            let destroyed = Counter()
            try await withRuntime { runtime in
                let reason = await runtime.outcome { process in
                    let callee = process.spawnLink(receiving: Script.self) { try obey($0) }
                    let late = try callError {
                        _ = try process.call(callee, timeout: .milliseconds(milliseconds)) { .keep($0) }
                    }
                    callee.send(.answerKept(destroyed))
                    let second = try process.call(callee) { .answer($0, Payload(7, destroyed)) }.number
                    let pending = try process.call(callee) { .pendingCount($0) }
                    guard late.isTimeout, second == 7, pending == 0, try process.receiveAny(timeout: .zero) == nil,
                        Inspection.replyIsTaken()
                    else { throw Refused() }
                }
                #expect(reason.isPlainNormal, "\(reason)")
                await destroyed.wait(for: 2)
            }
        }

        @Test("A call without a timeout waits as long as it takes; one with a long one is not early")
        func waits() async throws {
            try await withRuntime { runtime in
                let (infinite, long): (Int, Duration) = try await runtime.value { process in
                    let sleeper = process.spawnLink(receiving: ReplyAddress<Int>.self) { sleeper in
                        let reply = try sleeper.receive()
                        try sleeper.sleep(.milliseconds(20))
                        reply.send(7)
                        try sleeper.sleep(.seconds(60))
                    }
                    let answer = try process.call(sleeper, timeout: nil) { $0 }
                    let start = ContinuousClock.now
                    _ = try callError { _ = try process.call(sleeper, timeout: .seconds(1)) { $0 } }
                    return (answer, ContinuousClock.now - start)
                }
                #expect(infinite == 7)
                #expect(long >= .seconds(1))
            }
        }

        @Test("A caller told to exit while it waits throws ProcessExit; the callee owes it nothing any more")
        func throwsExits() async throws {
            let destroyed = Counter()
            try await withRuntime { runtime in
                let (reason, pending): (ExitReason, Int) = try await runtime.value { process in
                    let callee = process.spawnLink(receiving: Script.self) { try obey($0) }
                    let (caller, reference) = process.spawnMonitor { caller in
                        do {
                            _ = try caller.call(callee, timeout: nil) { .keep($0) }
                        } catch let exit as ProcessExit {
                            guard exit.reason.isShutdown else { throw Refused() }
                            throw exit
                        }
                    }
                    while try process.call(callee, { .pendingCount($0) }) == 0 { try process.yield() }
                    process.exit(caller, .shutdown)
                    let reason = try process.receiveDown(of: reference)!.reason
                    let pending = try process.call(callee) { .pendingCount($0) }
                    callee.send(.answerKept(destroyed))
                    return (reason, pending)
                }
                #expect(reason.isShutdown, "\(reason)")
                #expect(pending == 0)
                await destroyed.wait(for: 1)
            }
        }

        @Test("A reply to a caller that trapped or ended meanwhile is destroyed once")
        func destroysUndeliveredReplies() async throws {
            let destroyed = Counter()
            try await withRuntime(schedulers: 1) { runtime in
                let isDown = try await runtime.value { process in
                    let callee = process.spawnLink(receiving: Script.self) { try obey($0) }
                    let (caller, reference) = process.spawnMonitor { caller in
                        _ = try caller.call(callee, timeout: nil) { .answer($0, Payload(1, destroyed)) }
                    }
                    // The request is answered while the caller, in the same run queue, is already told to exit.
                    try process.yield()
                    process.exit(caller, .kill)
                    return try process.receiveDown(of: reference) != nil
                }
                #expect(isDown)
                await destroyed.wait(for: 1)
            }
        }

        @Test("Messages from before and during calls stay in order, and calls do not search them")
        func keepsOrder() async throws {
            try await withRuntime { runtime in
                let reason = await runtime.outcome { process in
                    let (_, reference) = process.spawnMonitor(receiving: Int.self) { process in
                        let echo = process.spawnLink(receiving: (ReplyAddress<Int>, Address<Int>, Int).self) { echo in
                            while true {
                                let (reply, address, number) = try echo.receive()
                                address.send(number)
                                reply.send(number)
                            }
                        }
                        let address = process.address
                        for number in 0..<1_000 { address.send(number) }
                        for number in 1_000..<2_000 {
                            guard try process.call(echo, { ($0, address, number) }) == number else { throw Refused() }
                        }
                        for number in 0..<2_000 where try process.receive() != number { throw Refused(number: number) }
                    }
                    let reason = try process.receiveDown(of: reference)!.reason
                    guard reason.isPlainNormal else { throw ProcessExit(reason: reason) }
                }
                #expect(reason.isPlainNormal, "\(reason)")
            }
        }

        @Test("A callee calls others while it serves; two that call each other are ended by a timeout, not for ever")
        func nests() async throws {
            try await withRuntime { runtime in
                let (sum, isTimeout): (Int, Bool) = try await runtime.value { process in
                    var next = process.spawnLink(receiving: ReplyAddress<Int>.self) { last in
                        while true { try last.receive().send(1) }
                    }
                    for _ in 0..<20 {
                        let target = next
                        next = process.spawnLink(receiving: ReplyAddress<Int>.self) { middle in
                            while true {
                                let reply = try middle.receive()
                                reply.send(try middle.call(target) { $0 } + 1)
                            }
                        }
                    }
                    let sum = try process.call(next) { $0 }
                    let back = process.spawnMonitor(receiving: ReplyAddress<Bool>.self) { first in
                        let address = first.address
                        let second = first.spawnLink(receiving: ReplyAddress<Bool>.self) { second in
                            let reply = try second.receive()
                            let error = try callError { _ = try second.call(address, timeout: .milliseconds(1)) { $0 } }
                            reply.send(error.isTimeout)
                        }
                        guard try first.call(second, { $0 }) else { throw Refused() }
                        try first.receive().send(true)  // late: destroyed on arrival
                    }
                    return (sum, try process.receiveDown(of: back.reference)!.reason.isPlainNormal)
                }
                #expect(sum == 21)
                #expect(isTimeout)
            }
        }

        @Test("Any process may answer, once; what it answers again is destroyed, and the callee owes nothing then")
        func answersFromElsewhere() async throws {
            let destroyed = Counter()
            try await withRuntime { runtime in
                let (number, pending): (Int, Int) = try await runtime.value { process in
                    let callee = process.spawnLink(receiving: Script.self) { callee in
                        guard case .keep(let reply) = try callee.receive() else { throw Refused() }
                        callee.spawn { _ in
                            reply.send(Payload(1, destroyed))
                            reply.send(Payload(2, destroyed))
                        }
                        try obey(callee)
                    }
                    let number = try process.call(callee, timeout: nil) { .keep($0) }.number
                    return (number, try process.call(callee) { .pendingCount($0) })
                }
                #expect(number == 1)
                #expect(pending == 0)
                await destroyed.wait(for: 2)
            }
        }

        @Test("A promise is answered once; one that is destroyed unanswered tells its caller at once")
        func promises() async throws {
            let second = Counter()
            try await withRuntime { runtime in
                let (number, error): (Int, CallError) = try await runtime.value { process in
                    let callee = process.spawnLink(receiving: ReplyAddress<Int>.self) { callee in
                        let promise = try callee.receive().promise()
                        guard promise.send(5) else { throw Refused() }
                        if !promise.send(6) { second.add() }
                        do { _ = try callee.receive().promise() }
                        try callee.sleep(.seconds(60))
                    }
                    let number = try process.call(callee, timeout: nil) { $0 }
                    return (number, try callError { _ = try process.call(callee, timeout: nil) { $0 } })
                }
                #expect(number == 5)
                #expect(error.isUnanswered)
                #expect(second.value == 1)
            }
        }

        @Test("A name is resolved at each call")
        func callsNames() async throws {
            let destroyed = Counter()
            try await withRuntime { runtime in
                let (before, number): (CallError, Int) = try await runtime.value { process in
                    let name = Named(holder: Locked(nil))
                    let before = try callError { _ = try process.call(name) { .keep($0) } }
                    let callee = process.spawnLink(receiving: Script.self) { try obey($0) }
                    name.holder.withLock { $0 = callee }
                    return (before, try process.call(name) { .answer($0, Payload(3, destroyed)) }.number)
                }
                #expect(before.isNoProcess && before.calleeName == "clerk")
                #expect(number == 3)
            }
        }

        @Test("100,000 calls leave no message, no monitor, no debt and no memory behind")
        func leavesNothing() async throws {
            try await withRuntime { runtime in
                let left: [Int] = try await runtime.value { process in
                    let callee = process.spawnLink(receiving: ReplyAddress<[Int]>.self) { callee in
                        while true {
                            let reply = try callee.receive()
                            reply.send([Inspection.pendingCallCount(), Inspection.allocatedByteCount()])
                        }
                    }
                    _ = try figures(process, callee)
                    let before = try figures(process, callee)
                    let allocated = Inspection.allocatedByteCount()
                    for _ in 0..<Build.rounds(100_000) { _ = try process.call(callee) { $0 } }
                    let growth = Inspection.allocatedByteCount() - allocated
                    guard try figures(process, callee) == before else { throw Refused() }
                    return [growth]
                }
                #expect(left[0] <= 1_024)
            }
        }

        @Test("A callee that answers nobody forgets callers that gave up, and those that ended")
        func forgetsOldCalls() async throws {
            let limit = 2 * PendingRequests.sweepCountMin
            try await withRuntime(schedulers: 1) { runtime in
                let pending: Int = try await runtime.value { process in
                    let callee = process.spawnLink(receiving: Script.self) { try obey($0) }
                    // The callee takes each request only after its caller has given up.
                    for _ in 0..<4 * limit {
                        _ = try callError { _ = try process.call(callee, timeout: .zero) { .keep($0) } }
                    }
                    return try process.call(callee) { .pendingCount($0) }
                }
                #expect(pending < limit)
            }
        }

        @Test("Callers and callees of two schedulers: each call has one outcome, each payload one end")
        func survivesStress() async throws {
            let (generator, seed) = SeededGenerator.fresh()
            let made = Counter()
            let destroyed = Counter()
            let outcomes = Counter()
            let callerCount = 12
            let rounds = Build.rounds(2_000)
            try await withRuntime { runtime in
                var generator = generator
                for _ in 0..<callerCount {
                    let callerSeed = generator.next()
                    runtime.spawn { process in
                        var random = SeededGenerator(seed: callerSeed)
                        var callee: Address<Script>?
                        for _ in 0..<rounds {
                            let target = callee ?? process.runtime.spawn(receiving: Script.self) { try obey($0) }
                            callee = target
                            made.add()
                            let timeout: Duration? =
                                switch random.next() % 4 {
                                case 0: .zero
                                case 1: .microseconds(50)
                                default: nil
                                }
                            if random.next() % 16 == 0 { target.send(.end(.kill)) }
                            do {
                                let payload = Payload(1, destroyed)
                                _ = try process.call(target, timeout: timeout) { .answer($0, payload) }
                            } catch let error as CallError where error.isTimeout {
                            } catch is CallError {
                                callee = nil
                            }
                            outcomes.add()
                        }
                        callee?.send(.end(.return))
                    }
                }
                await outcomes.wait(for: callerCount * rounds)
                await runtime.waitForProcessCount(0)
                #expect(destroyed.value == made.value, "seed \(seed)")
            }
        }
    }
}
