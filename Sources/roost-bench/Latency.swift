// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import RoostRuntime
internal import Synchronization

/// When a message was sent, as its echo brings it back.
private typealias SentAt = ContinuousClock.Instant

/// Round trips to echo processes beside processes that spin.
struct Latency: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure round trips to echo processes, without and with spinning processes beside them.")

    @Option(help: "How many processes echo.") var echoes = 100
    @Option(help: "How many processes spin.") var spinners = 1_000
    @Option(help: "How many messages each echo process gets.") var rounds = 100

    func run() throws {
        let (echoes, spinners, rounds) = (max(echoes, 1), spinners, max(rounds, 1))
        try onOneScheduler(receiving: SentAt.self) { owner in
            let addresses = startEchoes(echoes, owner)
            _ = try roundTrips(owner, addresses, rounds: 10)
            reportLatency("latency_quiet", try roundTrips(owner, addresses, rounds: rounds))
            for _ in 0..<spinners { owner.spawn { _ in spin() } }
            _ = try roundTrips(owner, addresses, rounds: 2)
            reportLatency("latency", try roundTrips(owner, addresses, rounds: rounds))
        }
    }
}

/// Round trips to echo processes beside processes that allocate and forget. Both times echoes are asked for at the
/// same pace.
struct Churn: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure round trips to echo processes, without and with processes that make garbage beside them.")

    @Option(help: "How many processes echo.") var echoes = 1_000
    @Option(help: "How many processes make garbage.") var churners = 10
    @Option(help: "Bytes of garbage a second, all together.") var bytesPerSecond = 1 << 30
    @Option(help: "How many messages each echo process gets, one every 5 ms.") var rounds = 200

    private static let blockByteCount = 16 << 10

    func run() throws {
        let (echoes, churners, rounds) = (max(echoes, 1), max(churners, 1), max(rounds, 1))
        let bytesEach = bytesPerSecond / churners
        try onOneScheduler(receiving: SentAt.self) { owner in
            let addresses = startEchoes(echoes, owner)
            _ = try roundTrips(owner, addresses, rounds: 10)
            let pace = Duration.milliseconds(5)
            reportLatency("churn_quiet", try roundTrips(owner, addresses, rounds: rounds, every: pace))
            let garbage = Garbage()
            for _ in 0..<churners { owner.spawn { try Self.churn($0, bytesEach, garbage) } }
            _ = try roundTrips(owner, addresses, rounds: 10, every: pace)
            let (start, before) = (ContinuousClock.now, garbage.byteCount.load(ordering: .relaxed))
            let samples = try roundTrips(owner, addresses, rounds: rounds, every: pace)
            let made = garbage.byteCount.load(ordering: .relaxed) - before
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            reportLatency("churn", samples, bytesPerSecond: Double(made) / seconds)
        }
    }

    /// What has been made so far, by all.
    private final class Garbage: Sendable { let byteCount = Atomic<Int>(0) }

    /// Each millisecond makes what is due, block by block.
    private static func churn(
        _ process: borrowing ProcessContext<Never>, _ bytesPerSecond: Int, _ garbage: Garbage
    ) throws {
        let start = ContinuousClock.now
        var made = 0
        while true {
            let due = Int((ContinuousClock.now - start) / .seconds(1) * Double(bytesPerSecond))
            while made < due {
                let block = [UInt8](repeating: UInt8(truncatingIfNeeded: made), count: blockByteCount)
                precondition(use(block) == UInt8(truncatingIfNeeded: made))
                made += blockByteCount
                garbage.byteCount.add(blockByteCount, ordering: .relaxed)
            }
            try process.sleep(.milliseconds(1))
        }
    }

    /// The last byte, out of the optimiser's sight: the block must really be made.
    @inline(never)
    private static func use(_ block: [UInt8]) -> UInt8 { block[block.count - 1] }
}

private func startEchoes(_ count: Int, _ owner: borrowing ProcessContext<SentAt>) -> [Address<SentAt>] {
    let back = owner.address
    return (0..<count).map { _ in
        owner.spawn(receiving: SentAt.self) { echo in
            while true { back.send(try echo.receive()) }
        }
    }
}

private func spin() {
    var count = 0
    while true { count &+= 1 }
}

/// Sends to each of `echoes` and waits for all answers, so many times; how long each was under way, in order of length.
private func roundTrips(
    _ owner: borrowing ProcessContext<SentAt>, _ echoes: [Address<SentAt>], rounds: Int, every pace: Duration? = nil
) throws -> [Duration] {
    var samples: [Duration] = []
    samples.reserveCapacity(rounds * echoes.count)
    var next = ContinuousClock.now
    for _ in 0..<rounds {
        if let pace {
            next += pace
            try owner.sleep(max(next - .now, .zero))
        }
        for echo in echoes { echo.send(.now) }
        for _ in echoes { samples.append(try .now - owner.receive()) }
    }
    return samples.sorted()
}

private func reportLatency(_ kind: String, _ sorted: [Duration], bytesPerSecond: Double? = nil) {
    func microseconds(_ permille: Int) -> Double {
        let place = max(sorted.count * permille / 1_000, 1) - 1
        return (sorted[place] / .nanoseconds(100)).rounded() / 10
    }
    let rate = bytesPerSecond.map { ",\"bytes_per_second\":\($0.rounded())" } ?? ""
    print(
        "{\"runtime\":\"roost\",\"kind\":\"\(kind)\",\"count\":\(sorted.count),\"p50_us\":\(microseconds(500)),"
            + "\"p99_us\":\(microseconds(990)),\"max_us\":\(microseconds(1_000))\(rate)}")
}
