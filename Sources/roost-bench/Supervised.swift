// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Dispatch
internal import Glibc
internal import RoostRuntime
internal import Synchronization

/// Time to start children under supervisors, one for each scheduler, and to end them all; the memory that a child takes
/// with what its supervisor knows of it. With `--observe`, how long each scheduler was busy without coming back to a
/// process that only yields: what other processes have to wait at most.
struct Supervised: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start and end children of a partitioned dynamic supervisor.")

    @Option(help: "How many children in all.") var children = 1_000_000
    @Option(help: "How many schedulers, each with its partition; 0: one for each core.") var schedulers = 0

    @Flag(help: "Measure the longest wait as well; slows the rest down.") var observe = false

    func validate() throws {
        guard children > 0, (0...64).contains(schedulers) else {
            throw ValidationError("use --children 1 or more and --schedulers 0 to 64")
        }
    }

    func run() throws {
        var configuration = RuntimeConfiguration()
        configuration.schedulerCount = schedulers
        let runtime = try Runtime(configuration)
        let partitions = PartitionSupervisor(in: runtime)
        try wait { try await partitions.start() }
        let before = residentByteCount()
        let share = max(1, children / partitions.partitionCount)
        let count = share * partitions.partitionCount
        let pause = LongestPause()
        let observers =
            observe ? (0..<runtime.schedulerCount).map { runtime.spawn(options: .on($0), pause.observe) } : []
        let time = try nanosecondsEach(count) { try start(share, of: partitions, in: runtime) }
        let bytes = Double(residentByteCount() - before) / Double(count)
        report("supervised_start", count: count, nanosecondsEach: time, bytesEach: bytes)
        try wait {
            let active = try await partitions.countChildren().active
            guard active == count else { throw BenchError(description: "\(active) of \(count) children run") }
        }
        let startPause = pause.take()
        let end = nanosecondsEach(count) { try? wait { await partitions.stop() } }
        report("supervised_end", count: count, nanosecondsEach: end)
        guard observe else { return }
        report("supervised_start_wait", count: 1, nanosecondsEach: startPause)
        report("supervised_end_wait", count: 1, nanosecondsEach: pause.take())
        for observer in observers { runtime.exit(observer, .kill) }
    }

    /// On each scheduler a process that starts its share under the partition there.
    private func start(_ share: Int, of partitions: PartitionSupervisor, in runtime: Runtime) throws {
        let ended = DispatchSemaphore(value: 0)
        let failure = Mutex<ExitReason?>(nil)
        for number in 0..<partitions.partitionCount {
            let starter = runtime.spawn(options: .on(number)) { process in
                let child = ChildSpecification("parked", receiving: Bool.self, restart: .temporary) { child in
                    _ = try child.receive()
                }
                let partition = partitions.partition(number)
                for _ in 0..<share { try partition.startChild(child, from: process) }
            }
            runtime.whenEnded(starter) { _, reason in
                if !reason.isNormal { failure.withLock { $0 = reason } }
                ended.signal()
            }
        }
        for _ in 0..<partitions.partitionCount { ended.wait() }
        if let reason = failure.withLock({ $0 }) { throw BenchError(description: "a starter \(reason)") }
    }

    private func wait(_ body: @escaping @Sendable () async throws -> Void) throws {
        let end = DispatchSemaphore(value: 0)
        let failure = Mutex<(any Error)?>(nil)
        Task {
            do { try await body() } catch { failure.withLock { $0 = error } }
            end.signal()
        }
        end.wait()
        if let error = failure.withLock({ $0 }) { throw error }
    }
}

extension ProcessOptions {
    fileprivate static func on(_ schedulerIndex: Int) -> ProcessOptions {
        var options = ProcessOptions()
        options.schedulerIndex = schedulerIndex
        options.isPinned = true
        return options
    }
}

/// The longest time, in nanoseconds of its thread's processor time, that a process waited for its next turn: what else
/// the machine does meanwhile does not count.
private final class LongestPause: Sendable {
    private let nanoseconds = Atomic<Int>(0)

    func observe(_ process: borrowing ProcessContext<Never>) throws {
        var last = LongestPause.threadTime()
        while true {
            try process.yield()
            let now = LongestPause.threadTime()
            if now - last > nanoseconds.load(ordering: .relaxed) { nanoseconds.store(now - last, ordering: .relaxed) }
            last = now
        }
    }

    func take() -> Double { Double(nanoseconds.exchange(0, ordering: .relaxed)) }

    private static func threadTime() -> Int {
        var time = timespec()
        unsafe _ = clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
}
