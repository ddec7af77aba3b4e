// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import RoostRuntime

/// Two processes that send one message back and forth.
struct PingPong: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pingpong", abstract: "Send messages back and forth between two processes.")

    @Option(help: "How many messages.") var messages = 2_000_000

    func run() throws {
        let rounds = max(messages / 2, 1)
        try onOneScheduler(receiving: Bool.self) { process in
            let owner = process.address
            let peer = process.spawn(receiving: Bool.self) { peer in
                while try peer.receive() { owner.send(true) }
            }
            let time = try nanosecondsEach(2 * rounds) {
                for _ in 0..<rounds {
                    peer.send(true)
                    _ = try process.receive()
                }
            }
            peer.send(false)
            report("pingpong", count: 2 * rounds, nanosecondsEach: time)
        }
    }
}

/// A message that goes round a ring of processes.
struct Ring: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Send a message round a ring of processes.")

    @Option(help: "How many processes form the ring.") var processes = 1_000
    @Option(help: "How many times the message goes round.") var rounds = 2_000

    func run() throws {
        let (processes, rounds) = (max(processes, 2), rounds)
        try onOneScheduler(receiving: Int.self) { owner in
            var next = owner.address
            for _ in 1..<processes {
                let target = next
                next = owner.spawn(receiving: Int.self) { member in
                    while true { target.send(try member.receive()) }
                }
            }
            let first = next
            let time = try nanosecondsEach(processes * rounds) {
                for round in 0..<rounds {
                    first.send(round)
                    _ = try owner.receive()
                }
            }
            report("ring", count: processes * rounds, nanosecondsEach: time)
        }
    }
}

/// A process that is started with a monitor, ends, and is heard to have ended.
struct Monitor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start processes with a monitor and wait for the end of each.")

    @Option(help: "How many processes.") var processes = 500_000

    func run() throws {
        let processes = processes
        try onOneScheduler(receiving: Never.self) { owner in
            let time = try nanosecondsEach(processes) {
                for _ in 0..<processes {
                    let (_, reference) = owner.spawnMonitor { _ in }
                    _ = try owner.receiveDown(of: reference)
                }
            }
            report("monitor", count: processes, nanosecondsEach: time)
        }
    }
}
