// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostRuntime

/// A timer wheel as plain as can be.
private struct ReferenceTimers {
    var timers: [UInt64: (nanoseconds: UInt64, tick: UInt64)] = [:]

    mutating func takeDue(at now: UInt64, start: UInt64) -> Set<UInt64> {
        let due = timers.filter { $0.value.tick <= (now - start) / 1_000_000 }.map(\.key)
        for id in due { timers[id] = nil }
        return Set(due)
    }
}

extension RuntimeTests {
    @Suite("The timer wheel", .timeLimit(.minutes(1)))
    struct TimerWheelTests {
        private static func drain(_ wheel: inout TimerWheel, at now: UInt64) -> [UInt64] {
            var fired: [UInt64] = []
            while let action = wheel.takeDue(at: MonotonicTime(nanoseconds: now)) {
                if case .wake(let id) = action { fired.append(id) }
            }
            return fired
        }

        @Test("Agrees with a plain list of timers, whatever is armed, cancelled and waited for", arguments: 0..<12)
        func agreesWithReference(_ round: Int) throws {
            var (random, seed) = SeededGenerator.fresh()
            let start = UInt64.random(in: 0...(1 << 50), using: &random)
            var wheel = TimerWheel(start: MonotonicTime(nanoseconds: start))
            var reference = ReferenceTimers()
            var references: [UInt64: TimerReference] = [:]
            var (now, elapsed, nextID) = (start, UInt64(0), UInt64(1))
            // The reach of each level, and beyond the last.
            let scales: [UInt64] = [1 << 6, 1 << 12, 1 << 18, 1 << 24, 1 << 30, 1 << 36, 1 << 41]
            for _ in 0..<4_000 {
                switch Int.random(in: 0..<10, using: &random) {
                case 0..<5:
                    let scale = scales[min(Int.random(in: 0..<scales.count, using: &random), round + 1)] * 1_000_000
                    let distance = UInt64.random(in: 0..<scale, using: &random)
                    let time = Bool.random(using: &random) ? now + distance : now - min(now, distance / 64)
                    references[nextID] = wheel.arm(at: MonotonicTime(nanoseconds: time), .wake(nextID))
                    let relative = time > start ? time - start : 0
                    reference.timers[nextID] = (time, max((relative + 999_999) / 1_000_000, elapsed + 1))
                    nextID += 1
                case 5..<7:
                    guard let id = references.keys.randomElement(using: &random) else { continue }
                    let cancelled = wheel.cancel(references[id]!)
                    #expect((cancelled != nil) == (reference.timers[id] != nil), "seed \(seed)")
                    #expect(wheel.cancel(references[id]!) == nil, "cancelled twice, seed \(seed)")
                    reference.timers[id] = nil
                    references[id] = nil
                default:
                    if let deadline = wheel.nextDeadline(), Bool.random(using: &random), deadline.nanoseconds > now {
                        now = deadline.nanoseconds
                    } else {
                        now += UInt64.random(
                            in: 0..<scales[Int.random(in: 0..<scales.count, using: &random)] * 1_000, using: &random)
                    }
                    elapsed = max(elapsed, (now - start) / 1_000_000)
                    let earliest = reference.timers.values.map(\.tick).min()
                    if let earliest, let deadline = wheel.nextDeadline() {
                        #expect(
                            (deadline.nanoseconds - start) / 1_000_000 <= earliest, "slept past a timer, seed \(seed)")
                    }
                    let due = reference.timers
                    let fired = Self.drain(&wheel, at: now)
                    #expect(fired.allSatisfy { due[$0].map { $0.nanoseconds <= now } ?? false }, "early, seed \(seed)")
                    #expect(Set(fired) == reference.takeDue(at: now, start: start), "seed \(seed)")
                    #expect(fired.count == Set(fired).count)
                    for id in fired { references[id] = nil }
                }
                #expect(wheel.count == reference.timers.count)
            }
        }

        @Test(
            "A timer in the far future neither fires nor keeps the wheel busy",
            arguments: [1, 2, 63, 64, 65, 1_000, 1 << 30, 1 << 36 + 1])
        func keepsFarTimers(_ startTicks: UInt64) {
            var wheel = TimerWheel(start: MonotonicTime(nanoseconds: 0))
            let now = startTicks * 1_000_000
            #expect(Self.drain(&wheel, at: now).isEmpty)
            _ = wheel.arm(at: .distantFuture, .wake(1))
            _ = wheel.arm(at: MonotonicTime(nanoseconds: now + (1 << 36 - 1) * 1_000_000), .wake(2))
            for step in 0..<64 as Range<UInt64> { #expect(Self.drain(&wheel, at: now + step * 10_000_000_000).isEmpty) }
            #expect(Self.drain(&wheel, at: now + (1 << 36) * 1_000_000) == [2])
            #expect(wheel.count == 1)
        }

        @Test("A timer armed for a tick fires at that time, not before, and no tick lies nearer to what it was made of")
        func ticks() {
            var (random, seed) = SeededGenerator.fresh()
            let start = UInt64.random(in: 0...(1 << 50), using: &random)
            var wheel = TimerWheel(start: MonotonicTime(nanoseconds: start))
            var now = start
            for number in 1...2_000 as ClosedRange<UInt64> {
                let wanted = now + UInt64.random(in: 1...10_000_000, using: &random)
                let tick = wheel.tick(atOrAfter: MonotonicTime(nanoseconds: wanted))
                #expect(tick.nanoseconds >= wanted && tick.nanoseconds - wanted < 1_000_000, "seed \(seed)")
                #expect(wheel.tick(atOrAfter: tick) == tick)
                _ = wheel.arm(at: tick, .wake(number))
                #expect(Self.drain(&wheel, at: tick.nanoseconds - 1).isEmpty, "seed \(seed)")
                #expect(Self.drain(&wheel, at: tick.nanoseconds) == [number], "seed \(seed)")
                now = tick.nanoseconds
            }
            #expect(
                wheel.tick(atOrAfter: MonotonicTime(nanoseconds: 0)).nanoseconds == start, "before the wheel's start")
        }

        @Test("takeAny empties the wheel")
        func empties() {
            var wheel = TimerWheel(start: MonotonicTime(nanoseconds: 0))
            for number in 1...500 as ClosedRange<UInt64> {
                _ = wheel.arm(at: MonotonicTime(nanoseconds: number * number * 777_777), .wake(number))
            }
            var count = 0
            while wheel.takeAny() != nil { count += 1 }
            #expect(count == 500)
            #expect(wheel.nextDeadline() == nil)
        }
    }
}

extension RuntimeTests {
    @Suite("Time in processes", .timeLimit(.minutes(1)))
    struct TimeTests {
        @Test("Processes that sleep wake up, never early, a thousand at once")
        func sleepsLongEnough() async throws {
            try await withRuntime { runtime in
                let early = Counter()
                for number in 0..<1_000 {
                    runtime.spawn { context in
                        let duration = Duration.microseconds(number * 37)
                        let start = ContinuousClock.now
                        try context.sleep(duration)
                        if ContinuousClock.now - start < duration { early.add() }
                    }
                }
                await runtime.waitForProcessCount(0)
                #expect(early.value == 0)
            }
        }

        @Test("A sleep beyond all time does not hang its scheduler, and ends when told to")
        func sleepsForEver() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let sleepers = (0..<10).map { number in
                    runtime.spawn { context in try context.sleep(.seconds(1_000_000_000 * (number + 1))) }
                }
                try await runtime.value { context in for _ in 0..<20 { try context.sleep(.milliseconds(1)) } }
                for sleeper in sleepers { runtime.exit(sleeper, .shutdown) }
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("A message sent after a delay arrives; a cancelled one is destroyed; one to a dead process too")
        func sendsLater() async throws {
            let destroyed = Counter()
            try await withRuntime(schedulers: 1) { runtime in
                let numbers = try await runtime.value { context in
                    let numbers = Locked<[Int]>([])
                    let (receiver, reference) = context.spawnMonitor(receiving: Payload.self) { context in
                        for _ in 0..<2 {
                            let number = try context.receive().number
                            numbers.withLock { $0.append(number) }
                        }
                    }
                    _ = context.send(Payload(2, destroyed), to: receiver, after: .milliseconds(5))
                    let cancelled = context.send(Payload(3, destroyed), to: receiver, after: .milliseconds(2))
                    _ = context.send(Payload(1, destroyed), to: receiver, after: .milliseconds(1))
                    context.cancel(cancelled)
                    context.cancel(cancelled)
                    _ = context.send(Payload(4, destroyed), to: receiver, after: .milliseconds(20))
                    _ = try context.receiveDown(of: reference)
                    return numbers.withLock { $0 }
                }
                #expect(numbers == [1, 2])
                await destroyed.wait(for: 4)
                await runtime.waitForProcessCount(0)
            }
        }
    }
}
