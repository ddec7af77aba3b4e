// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Dispatch
internal import Glibc
internal import RoostRuntime

/// Memory before, with, and after a great number of processes.
struct MemoryReturn: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "memory-return",
        abstract: "Let processes come and go, and see how much of their memory comes back.")

    @Option(help: "How many processes are parked at once.") var processes = 1_000_000
    @Option(help: "How many seconds the runtime has to give memory back by itself.") var seconds = 5

    func run() throws {
        var configuration = RuntimeConfiguration()
        configuration.schedulerCount = 1
        let runtime = try Runtime(configuration)
        try comeAndGo(runtime, 1_000)
        sleep(2)
        let before = residentByteCount()
        try comeAndGo(runtime, processes) { report("memory_parked", residentByteCount(), before) }
        report("memory_ended", residentByteCount(), before)
        for _ in 0..<max(seconds, 1) * 10 where residentByteCount() > before + before / 10 { usleep(100_000) }
        report("memory_idle", residentByteCount(), before)
        runtime.releaseMemory()
        report("memory_released", residentByteCount(), before)
    }

    /// A process that starts `count` others, each with memory of its own and a message behind it, and ends them.
    private func comeAndGo(_ runtime: Runtime, _ count: Int, _ whenParked: @escaping @Sendable () -> Void = {}) throws {
        let end = DispatchSemaphore(value: 0)
        let pid = runtime.spawn(receiving: Bool.self) { owner in
            let address = owner.address
            let children = (0..<count).map { number in
                owner.spawn(receiving: [Int].self) { child in
                    let own = try child.receive()
                    if own.count + number == count { address.send(true) }
                    _ = try child.receive()
                }
            }
            for child in children.dropLast() { child.send([1, 2, 3, 4]) }
            children.last?.send([1])
            _ = try owner.receive()
            whenParked()
            for child in children { child.send([]) }
        }
        runtime.whenEnded(pid.pid) { _, _ in end.signal() }
        end.wait()
        while runtime.processCount > 0 { usleep(1_000) }
    }

    private func report(_ kind: String, _ byteCount: Int, _ before: Int) {
        let ratio = (Double(byteCount) / Double(before) * 1_000).rounded() / 1_000
        print(
            """
            {"runtime":"roost","kind":"\(kind)","count":\(processes),"bytes":\(byteCount),"times_before":\(ratio)}
            """)
    }
}
