// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import RoostRuntime

/// Messages that flow one way.
struct Stream: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Send messages from one process to another, one way.")

    @Option(help: "How many messages.") var messages = 4_000_000

    func run() throws {
        let messages = max(messages, 1)
        try onOneScheduler(receiving: Bool.self) { owner in
            let done = owner.address
            let receiver = owner.spawn(receiving: Int.self) { receiver in
                for _ in 0..<messages { _ = try receiver.receive() }
                done.send(true)
            }
            let time = try nanosecondsEach(messages) {
                for number in 0..<messages { receiver.send(number) }
                _ = try owner.receive()
            }
            report("stream", count: messages, nanosecondsEach: time)
        }
    }
}

/// One process sends to many, each of which gets one message a round.
struct FanOut: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fanout", abstract: "Send messages from one process to each of many.")

    @Option(help: "How many receive.") var receivers = 5_000
    @Option(help: "How many messages each receives.") var rounds = 400

    func run() throws {
        let (receivers, rounds) = (max(receivers, 1), max(rounds, 1))
        try onOneScheduler(receiving: Bool.self) { owner in
            let done = owner.address
            let addresses = (0..<receivers).map { _ in
                owner.spawn(receiving: Int.self) { receiver in
                    for _ in 0..<rounds { _ = try receiver.receive() }
                    done.send(true)
                }
            }
            let time = try nanosecondsEach(receivers * rounds) {
                for round in 0..<rounds {
                    for address in addresses { address.send(round) }
                }
                for _ in addresses { _ = try owner.receive() }
            }
            report("fanout", count: receivers * rounds, nanosecondsEach: time)
        }
    }
}

/// Many ping-pongs at once, on several schedulers. Each leader starts its own partner.
struct Pairs: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send messages back and forth in many pairs of processes at once.")

    @Option(help: "How many pairs.") var pairs = 1_000
    @Option(help: "How many messages each process of a pair sends.") var rounds = 2_000
    @Option(help: "How many schedulers.") var schedulers = 2

    func run() throws {
        let (pairs, rounds, schedulers) = (max(pairs, 1), max(rounds, 1), schedulers)
        try onOneScheduler(receiving: Bool.self, schedulers: schedulers) { owner in
            let done = owner.address
            try owner.sleep(.milliseconds(50))  // all schedulers' threads have started by then
            let time = try nanosecondsEach(2 * pairs * rounds) {
                for _ in 0..<pairs {
                    owner.spawn(receiving: Bool.self) { try lead($0, rounds, done) }
                }
                for _ in 0..<pairs { _ = try owner.receive() }
            }
            report("pairs", count: 2 * pairs * rounds, nanosecondsEach: time)
        }
    }
}

private func lead(_ leader: borrowing ProcessContext<Bool>, _ rounds: Int, _ done: Address<Bool>) throws {
    let back = leader.address
    let partner = leader.spawn(receiving: Bool.self) { partner in
        while try partner.receive() { back.send(true) }
    }
    for _ in 0..<rounds {
        partner.send(true)
        _ = try leader.receive()
    }
    partner.send(false)
    done.send(true)
}
