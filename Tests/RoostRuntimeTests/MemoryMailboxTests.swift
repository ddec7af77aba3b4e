// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostRuntime

extension RuntimeTests {
    @Suite("Mailboxes that are full", .timeLimit(.minutes(1)))
    struct MemoryMailboxTests {
        /// Sends the numbers from 0 in one turn to a process that may keep ten, and returns those that it received.
        private func received(_ count: Int, _ policy: MailboxPolicy, _ events: Events) async throws -> [Int] {
            try await withRuntime(schedulers: 1, onEvent: { events.note($0) }) { runtime in
                let numbers = Locked<[Int]>([])
                let destroyed = Counter()
                let reason = await runtime.outcome { context in
                    let options = ProcessOptions(mailboxCountMax: 10, mailboxPolicy: policy)
                    let (sink, monitor) = context.spawnMonitor(receiving: Payload.self, options: options) { sink in
                        while true {
                            let payload = try sink.receive()
                            numbers.withLock { $0.append(payload.number) }
                            if payload.number == -1 { return }
                        }
                    }
                    for number in 0..<count { sink.send(Payload(number, destroyed)) }
                    try context.yield()
                    try context.yield()
                    sink.send(Payload(-1, destroyed))
                    if let down = try context.receiveDown(of: monitor) { throw ProcessExit(reason: down.reason) }
                }
                await destroyed.wait(for: count + 1)
                #expect(reason.isMailboxLimit == (policy == .end), "\(reason)")
                #expect(runtime.droppedMessageCount == (policy == .end ? 0 : count - 10))
                return numbers.withLock { $0 }
            }
        }

        @Test("drop-oldest keeps the newest in their order; each message is destroyed once, counted, reported once")
        func dropsOldest() async throws {
            let events = Events()
            #expect(try await received(25, .dropOldest, events) == Array(15..<25) + [-1])
            #expect(events.drops == 1)
        }

        @Test("drop-newest keeps the oldest")
        func dropsNewest() async throws {
            let events = Events()
            #expect(try await received(25, .dropNewest, events) == Array(0..<10) + [-1])
            #expect(events.drops == 1)
        }

        @Test("Without a policy the process is told to end")
        func ends() async throws {
            let events = Events()
            _ = try await received(11, .end, events)
            #expect(events.drops == 0)
        }

        @Test("A mailbox at its limit drops nothing", arguments: [MailboxPolicy.dropNewest, .dropOldest])
        func keepsWhatFits(_ policy: MailboxPolicy) async throws {
            #expect(try await received(10, policy, Events()) == Array(0..<10) + [-1])
        }

        @Test("Under drop-newest a sender is told while the mailbox is full, and served when there is room again")
        func tellsSenders() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let results = try await runtime.value { context in
                    let me = context.pid
                    let options = ProcessOptions(mailboxCountMax: 2, mailboxPolicy: .dropNewest)
                    let gate = context.spawn { try $0.sleep(.seconds(1_000)) }
                    let sink = context.spawn(receiving: Int.self, options: options) { sink in
                        // Looks into its mailbox, but takes nothing before the gate has ended.
                        let monitor = sink.monitor(gate)
                        _ = try sink.receiveDown(of: monitor)
                        for _ in 0..<3 { _ = try sink.receive() }
                        sink.exit(me, .normal)
                    }
                    try context.yield()
                    var results = [sink.send(1), sink.send(2)]
                    try context.yield()
                    try context.yield()
                    results.append(sink.send(3))
                    context.exit(gate, .kill)
                    var tries = 0
                    while !sink.send(4), tries < 1_000_000 {
                        tries += 1
                        try context.yield()
                    }
                    results.append(tries < 1_000_000)
                    return results
                }
                #expect(results == [true, true, false, true])
                #expect(runtime.droppedMessageCount >= 1)
            }
        }

        @Test("Down messages and signals are never dropped", arguments: [MailboxPolicy.dropNewest, .dropOldest])
        func keepsSignals(_ policy: MailboxPolicy) async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let heard = Counter()
                let options = ProcessOptions(mailboxCountMax: 1, mailboxPolicy: policy)
                let process = runtime.spawn(receiving: Int.self, options: options) { context in
                    var left = Set<Reference>()
                    for _ in 0..<20 { left.insert(context.spawnMonitor { _ in }.1) }
                    for _ in 0..<5 { try context.yield() }
                    while !left.isEmpty {
                        guard case .down(let down)? = try context.receiveAny() else { continue }
                        left.remove(down.reference)
                        heard.add()
                    }
                }
                for number in 0..<100 { process.send(number) }
                await heard.wait(for: 20)
            }
        }
    }
}

/// Events of a runtime, counted.
private final class Events: Sendable {
    private let dropCount = Counter()
    var drops: Int { dropCount.value }
    func note(_ event: RuntimeEvent) { if case .messagesDropped = event { dropCount.add() } }
}
