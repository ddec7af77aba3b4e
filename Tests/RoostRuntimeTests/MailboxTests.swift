// SPDX-License-Identifier: Apache-2.0

import Dispatch
import RoostRuntime
import RuntimeHandlers
import Testing

private struct Numbered: Sendable {
    let sender: Int
    let number: Int
    let payload: Payload
}

extension RuntimeTests {
    @Suite("Mailboxes", .timeLimit(.minutes(2)))
    struct MailboxTests {
        @Test(
            "Messages of each sender arrive in order and exactly once: processes of two schedulers and outside threads")
        func keepsOrderPerSender() async throws {
            let (insideCount, outsideCount, rounds) = (8, 4, 3_000)
            let destroyed = Counter()
            try await withRuntime { runtime in
                let total = (insideCount + outsideCount) * rounds
                let isInOrder = await withCheckedContinuation { continuation in
                    let receiver = runtime.spawn(receiving: Numbered.self) { context in
                        var next = Array(repeating: 0, count: insideCount + outsideCount)
                        var isInOrder = true
                        for _ in 0..<total {
                            let message = try context.receive()
                            isInOrder = isInOrder && next[message.sender] == message.number
                            next[message.sender] = message.number + 1
                        }
                        continuation.resume(returning: isInOrder && next.allSatisfy { $0 == rounds })
                    }
                    for sender in 0..<insideCount {
                        runtime.spawn { context in
                            for number in 0..<rounds {
                                receiver.send(
                                    Numbered(sender: sender, number: number, payload: Payload(number, destroyed)))
                                if number % 97 == sender { try context.yield() }
                            }
                        }
                    }
                    for sender in insideCount..<insideCount + outsideCount {
                        DispatchQueue(label: "outside").async {
                            for number in 0..<rounds {
                                receiver.send(
                                    Numbered(sender: sender, number: number, payload: Payload(number, destroyed)))
                            }
                        }
                    }
                }
                #expect(isInOrder)
                await destroyed.wait(for: total)
            }
        }

        enum End: String, CaseIterable, Sendable { case returns, `throws`, traps, isKilled, spinsAndIsKilled }

        @Test("Every message is destroyed exactly once when the receiver ends in the middle", arguments: End.allCases)
        func destroysWhatIsNotReceived(_ end: End) async throws {
            let destroyed = Counter()
            let (senders, rounds, lives) = (4, 500, 30)
            try await withRuntime { runtime in
                for life in 0..<lives {
                    let go = Counter()
                    let receiver = runtime.spawn(receiving: Payload.self) { context in
                        for _ in 0..<(life * 40 + 1) { _ = try context.receive() }
                        switch end {
                        case .returns: return
                        case .throws: throw Refused()
                        case .traps: TrapCause.index.trap()
                        case .isKilled: while true { _ = try context.receive() }
                        case .spinsAndIsKilled: LoopShape.whileTrue.spin()
                        }
                    }
                    let finished = Counter()
                    for sender in 0..<senders {
                        let send: @Sendable () -> Void = {
                            for number in 0..<rounds {
                                receiver.send(Payload(number, destroyed))
                                if number == rounds / 2 { runtime.exit(receiver.pid, .kill) }
                            }
                            finished.add()
                        }
                        if sender % 2 == 0 {
                            runtime.spawn { _ in send() }
                        } else {
                            DispatchQueue(label: "outside").async(execute: send)
                        }
                    }
                    _ = go
                    await finished.wait(for: senders)
                }
                // A payload that a trapped or abandoned frame holds is lost: none of these frames holds one.
                await destroyed.wait(for: lives * senders * rounds)
                await runtime.waitForProcessCount(0)
            }
            #expect(destroyed.value == lives * senders * rounds)
        }

        @Test("A send to a process that has ended destroys the message, also when its slot is used again")
        func refusesSendsToTheDead() async throws {
            let destroyed = Counter()
            try await withRuntime(schedulers: 1) { runtime in
                let delivered = try await runtime.value { context in
                    var delivered = 0
                    var old: [Address<Payload>] = []
                    for number in 0..<Build.rounds(500) {
                        let (address, reference) = context.spawnMonitor(receiving: Payload.self) { _ in }
                        _ = try context.receiveDown(of: reference)
                        old.append(address)
                        for dead in old where dead.send(Payload(number, destroyed)) { delivered += 1 }
                    }
                    #expect(Set(old).count == Build.rounds(500))
                    #expect(Set(old.map(\.pid.index)).count < 50, "slots are used again")
                    return delivered
                }
                #expect(delivered == 0)
                #expect(destroyed.value == Build.rounds(500) * (Build.rounds(500) + 1) / 2)
            }
        }

        @Test("Hazard 6: a message that races with exit and reuse of the slot reaches nobody else", arguments: [1, 2])
        func dropsWhatIsForAnother(_ schedulers: Int) async throws {
            let destroyed = Counter()
            let sent = Counter()
            let wrong = Counter()
            try await withRuntime(schedulers: schedulers) { runtime in
                let running = Counter()
                let target = Locked<Address<Numbered>?>(nil)
                for sender in 0..<3 {
                    // A thread each: the global queue has two here, which the test itself needs.
                    DispatchQueue(label: "sender \(sender)").async {
                        while running.value == 0 {
                            // Bounded: three threads that only send would bury one that destroys as well.
                            guard sent.value - destroyed.value < 1_000, let address = target.withLock({ $0 }) else {
                                continue
                            }
                            sent.add()
                            address.send(
                                Numbered(
                                    sender: sender, number: Int(address.pid.generation), payload: Payload(0, destroyed))
                            )
                        }
                        sent.add(1_000_000_000)
                    }
                }
                for _ in 0..<Build.rounds(500) {
                    _ = await runtime.reason(receiving: Numbered.self) { context in
                        let generation = Int(context.pid.generation)
                        target.withLock { [address = context.address] in $0 = address }
                        for _ in 0..<3 {
                            if let message = try context.receive(timeout: .zero), message.number != generation {
                                wrong.add()
                            }
                        }
                    } sending: {
                        []
                    }
                }
                running.add()
                await sent.wait(atLeast: 3_000_000_000)
                await destroyed.wait(for: sent.value - 3_000_000_000)
                await runtime.waitForProcessCount(0)
            }
            #expect(wrong.value == 0)
            #expect(destroyed.value == sent.value - 3_000_000_000)
        }

        @Test("A node that is in a reused mailbox by mistake is destroyed, and a monitor among such nodes is answered")
        func answersUndeliverableNodes() async throws {
            let destroyed = Counter()
            try await withRuntime(schedulers: 1) { runtime in
                let reason = try await runtime.value { context in
                    // Stands for a sender that looked the process up just before it ended.
                    let receiver = context.spawn(receiving: Payload.self) { context in
                        let payload = try context.receive()
                        #expect(payload.number == 7)
                    }
                    let stale = Pid(index: receiver.pid.index, generation: receiver.pid.generation &- 1)
                    let reference = Reference.next()
                    Inspection.addMonitor(reference, of: stale)
                    Undelivered.push(Payload(1, destroyed), kind: .message, for: stale)
                    Undelivered.push(
                        Signal.monitor(reference: reference, observer: .process(context.pid)), kind: .signal, for: stale
                    )
                    receiver.send(Payload(7, destroyed))
                    return try context.receiveDown(of: reference, timeout: .seconds(30))?.reason
                }
                #expect(reason?.isNoProcess == true)
                await destroyed.wait(for: 2)
            }
        }

        @Test("A selective receive leaves the other messages where they were")
        func receivesSelectively() async throws {
            var (random, seed) = SeededGenerator.fresh()
            for _ in 0..<50 {
                let numbers = (0..<40).map { _ in Int.random(in: 0..<10, using: &random) }
                let wanted = (0..<20).map { _ in Int.random(in: 0..<10, using: &random) }
                let results = try await withRuntime(schedulers: 1) { runtime in
                    try await runtime.value { [wanted] context in
                        let done = Locked<[Int]?>(nil)
                        let (receiver, reference) = context.spawnMonitor(receiving: Int.self) { context in
                            var taken: [Int] = []
                            for want in wanted {
                                if let number = try context.receive(timeout: .zero, matching: { $0 == want ? $0 : nil })
                                {
                                    taken.append(number)
                                } else {
                                    taken.append(-1)
                                }
                            }
                            while let number = try context.receive(timeout: .zero) { taken.append(number) }
                            done.withLock { [taken] in $0 = taken }
                        }
                        for number in numbers { receiver.send(number) }
                        _ = try context.receiveDown(of: reference)
                        return done.withLock { $0 }
                    }
                }
                var (left, expected) = (numbers, [Int]())
                for want in wanted {
                    if let index = left.firstIndex(of: want) {
                        expected.append(left.remove(at: index))
                    } else {
                        expected.append(-1)
                    }
                }
                #expect(results == expected + left, "seed \(seed)")
            }
        }

        @Test("A receive inside the closure of another receive traps, contained")
        func refusesNestedReceives() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let reason = await runtime.outcome { context in
                    let (echo, _) = context.spawnMonitor(receiving: Int.self) { context in
                        _ = try context.receive { _ in try? context.receive(timeout: .zero) }
                    }
                    echo.send(1)
                    if case .down(let down)? = try context.receiveAny() {
                        #expect(down.reason.trap?.message?.contains("inside the closure of another receive") == true)
                    }
                }
                #expect(reason.isPlainNormal)
            }
        }

        @Test("A receive with a timeout returns nil when nothing comes, and the message when one does")
        func receivesWithTimeout() async throws {
            try await withRuntime { runtime in
                let results = try await runtime.value { context in
                    let echo = context.spawn(receiving: Address<Int>.self) { context in
                        for number in 0..<3 { try context.receive().send(number) }
                    }
                    var results: [Int?] = []
                    let (_, reference) = context.spawnMonitor(receiving: Int.self) { context in
                        try #expect(context.receive(timeout: .milliseconds(1)) == nil)
                        echo.send(context.address)
                        try #expect(context.receive(timeout: .seconds(60)) == 0)
                        try #expect(context.receive(timeout: .milliseconds(1), matching: { $0 == 5 ? $0 : nil }) == nil)
                        echo.send(context.address)
                        try #expect(context.receive(timeout: .seconds(60), matching: { $0 == 1 ? $0 : nil }) == 1)
                        echo.send(context.address)
                        try #expect(context.receive(timeout: .seconds(2_000_000_000)) == 2)
                    }
                    let down = try context.receiveDown(of: reference)
                    results.append(down?.reason.isPlainNormal == true ? 1 : 0)
                    return results
                }
                #expect(results == [1])
            }
        }

        @Test("M1, M3: no wake-up is lost in a million messages between processes that park after each")
        func losesNoWakeUp() async throws {
            let rounds = Build.rounds(125_000)
            try await withRuntime { runtime in
                let done = Counter()
                for pair in 0..<4 {
                    let echo = runtime.spawn(receiving: (Int, Address<Int>).self) { context in
                        for _ in 0..<rounds {
                            let (number, from) = try context.receive()
                            from.send(number)
                        }
                    }
                    // Started from outside, one after the other: the two ends of a pair are on different schedulers.
                    runtime.spawn(receiving: Int.self) { context in
                        for number in 0..<rounds {
                            echo.send((number, context.address))
                            if number % 1_000 == pair { try context.yield() }
                            guard try context.receive() == number else { throw Refused() }
                        }
                        done.add()
                    }
                }
                await done.wait(for: 4)
            }
        }

        @Test("S1: a scheduler that sleeps is woken by every send from outside")
        func wakesSleepingSchedulers() async throws {
            try await withRuntime { runtime in
                let received = Counter()
                let receivers = (0..<2).map { _ in
                    runtime.spawn(receiving: Int.self) { context in
                        while true {
                            _ = try context.receive()
                            received.add()
                        }
                    }
                }
                for round in 1...2_000 {
                    receivers[round % 2].send(round)
                    await received.wait(for: round)
                }
            }
        }

        @Test("A mailbox over its limit ends its process; an unbounded one is reported once")
        func limitsMailboxes() async throws {
            let reports = Counter()
            try await withRuntime(schedulers: 1) {
                $0.mailboxWarningCount = 1_000
            } onEvent: { event in
                if case .longMailbox = event { reports.add() }
            } _: { runtime in
                let reasons = try await runtime.value { context in
                    let (bounded, first) = context.spawnMonitor(
                        receiving: Int.self, options: ProcessOptions(mailboxCountMax: 500)
                    ) { context in
                        try context.sleep(.seconds(60))
                    }
                    for number in 0..<5_000 { bounded.send(number) }
                    let (unbounded, second) = context.spawnMonitor(receiving: Int.self) { context in
                        while try context.receive() != 4_999 {}
                    }
                    for number in 0..<5_000 { unbounded.send(number) }
                    let (hoarder, third) = context.spawnMonitor(
                        receiving: Int.self, options: ProcessOptions(heapByteCountMax: 100_000)
                    ) { context in try context.sleep(.seconds(60)) }
                    for number in 0..<5_000 { hoarder.send(number) }
                    return try [first, second, third].map { try context.receiveDown(of: $0)!.reason }
                }
                #expect(reasons[0].isMailboxLimit)
                #expect(reasons[1].isPlainNormal)
                #expect(reasons[2].isHeapLimit)
                #expect(reports.value >= 2)
            }
        }
    }
}
