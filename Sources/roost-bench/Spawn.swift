// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import RoostRuntime

/// Time to start a process and run it to its first `receive`, and the memory that it takes while it waits there.
struct Spawn: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Start processes that park in `receive`.")

    @Option(parsing: .upToNextOption, help: "How many at once; each number in a program of its own.")
    var processes = [100_000, 1_000_000]

    func validate() throws {
        guard !processes.isEmpty, processes.allSatisfy({ $0 > 0 }) else {
            throw ValidationError("use --processes 1 or more")
        }
    }

    func run() throws {
        if processes.count == 1 { return try Spawn.measure(processes[0]) }
        for count in processes { try Spawn.runAlone(count) }
    }

    enum Request: Sendable { case report(to: Address<Bool>), stop }

    private static func measure(_ count: Int) throws {
        try onOneScheduler(receiving: Bool.self) { owner in
            let before = residentByteCount()
            // One run queue, first in, first out: when the last one answers, all the others wait.
            let time = try nanosecondsEach(count) {
                for _ in 1..<count { owner.spawn(receiving: Request.self, park) }
                owner.spawn(receiving: Request.self, park).send(.report(to: owner.address))
                _ = try owner.receive()
            }
            let bytes = Double(residentByteCount() - before) / Double(count)
            report("parked", count: count, nanosecondsEach: time, bytesEach: bytes)
        }
    }

    private static func park(_ process: borrowing ProcessContext<Request>) throws {
        while case .report(let owner) = try process.receive() { owner.send(true) }
    }

    /// Memory that an earlier measurement left behind would count for less than it is.
    private static func runAlone(_ count: Int) throws {
        let words = ["roost-bench", "spawn", "--processes", "\(count)"]
        var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
        defer { while let word = unsafe arguments.popLast() { unsafe free(word) } }
        var child = pid_t()
        var status: CInt = 0
        guard unsafe posix_spawn(&child, "/proc/self/exe", nil, nil, &arguments, environ) == 0,
            unsafe waitpid(child, &status, 0) == child, status == 0
        else { throw BenchError(description: "measuring \(count) processes failed") }
    }
}
