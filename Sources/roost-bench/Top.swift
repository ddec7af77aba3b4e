// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import RoostRuntime

/// Finding the processes that have most of something among many that are parked.
struct Top: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Find the largest processes among many that are parked, and park processes without a stack.")

    @Option(help: "How many processes.") var processes = 1_000_000
    @Option(help: "How many are to be found.") var count = 10
    @Option(help: "How often each is measured; the median counts.") var rounds = 11

    func run() throws {
        let (processes, count, rounds) = (max(processes, 1), count, max(rounds, 1))
        try onOneScheduler(receiving: Bool.self) { owner in
            for _ in 1..<processes { owner.spawn(receiving: Bool.self) { process in _ = try process.receive() } }
            let last = owner.address
            owner.spawn { _ in last.send(true) }
            _ = try owner.receive()
            let runtime = owner.runtime
            for figure in ProcessFigure.allCases {
                var times: [Double] = []
                for _ in 0..<rounds {
                    times.append(nanosecondsEach(1) { _ = runtime.topProcesses(by: figure, count) })
                }
                times.sort()
                report("top_\(figure.rawValue)", count: processes, nanosecondsEach: times[rounds / 2])
            }
        }
    }
}

/// What a hibernated process costs.
struct Hibernate: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Start processes that hibernate.")

    @Option(help: "How many processes.") var processes = 1_000_000

    func run() throws {
        let processes = max(processes, 1)
        try onOneScheduler(receiving: Bool.self) { owner in
            let before = residentByteCount()
            let answer = owner.address
            let time = try nanosecondsEach(processes) {
                for _ in 0..<processes {
                    owner.spawn(receiving: Bool.self) { process in
                        try process.hibernate { woken in _ = try woken.receive() }
                    }
                }
                owner.spawn { _ in answer.send(true) }
                _ = try owner.receive()
            }
            let bytes = Double(residentByteCount() - before) / Double(processes)
            report("hibernated", count: processes, nanosecondsEach: time, bytesEach: bytes)
        }
    }
}
