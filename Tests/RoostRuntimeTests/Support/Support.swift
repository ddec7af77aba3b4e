// SPDX-License-Identifier: Apache-2.0

import CRoost
import Synchronization
import Testing

@testable import RoostRuntime

/// Runs `body` with a runtime of its own and stops it afterwards.
func withRuntime<Result>(
    schedulers: Int = 2, _ configure: (inout RuntimeConfiguration) -> Void = { _ in },
    onEvent: (@Sendable (RuntimeEvent) -> Void)? = nil, _ body: (Runtime) async throws -> Result
) async throws -> Result {
    var configuration = RuntimeConfiguration()
    configuration.schedulerCount = schedulers
    configure(&configuration)
    let runtime = try Runtime(configuration, onEvent: onEvent)
    do {
        let result = try await body(runtime)
        runtime.stop()
        return result
    } catch {
        runtime.stop()
        throw error
    }
}

extension Runtime {
    /// Runs `body` as a process and returns why it ended.
    func outcome(
        options: ProcessOptions = ProcessOptions(),
        _ body: @escaping @Sendable (borrowing ProcessContext<Never>) throws -> Void
    ) async -> ExitReason {
        // ThreadSanitizer does not see a continuation that is resumed before it is awaited.
        let handover = Counter()
        let reason = await withCheckedContinuation { continuation in
            spawn { context in
                let (_, reference) = context.spawnMonitor(options: options, body)
                guard let down = try context.receiveDown(of: reference) else { return }
                roost_handed_over(handover.address)
                continuation.resume(returning: down.reason)
            }
        }
        roost_taken_over(handover.address)
        return reason
    }

    /// Runs `body` as a process and returns what it returns; the process must not fail.
    func value<Value: Sendable>(_ body: @escaping @Sendable (borrowing ProcessContext<Never>) throws -> Value)
        async throws -> Value
    {
        let box = Locked<Value?>(nil)
        let reason = await outcome { context in
            let value = try body(context)
            box.withLock { $0 = value }
        }
        guard reason.isNormal, let value = box.withLock({ $0 }) else { throw UnexpectedExit(reason: reason) }
        return value
    }

    /// Suspends until `count` processes exist.
    func waitForProcessCount(_ count: Int) async {
        while processCount != count { await Task.yield() }
    }
}

struct UnexpectedExit: Error { let reason: ExitReason }
struct Refused: Error, Equatable { var number = 0 }

/// A value behind a lock, shared between processes and the test.
final class Locked<Value: Sendable>: Sendable {
    private let value: Mutex<Value>
    init(_ value: Value) { self.value = Mutex(value) }
    func withLock<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
        withoutPreemption { value.withLock { body(&$0) } }
    }
}

final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    func add(_ number: Int = 1) { count.add(number, ordering: .sequentiallyConsistent) }
    var value: Int { count.load(ordering: .sequentiallyConsistent) }
    var address: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

    /// Suspends until the count is `expected`.
    func wait(for expected: Int) async { while value != expected { await Task.yield() } }
    /// Suspends until the count is at least `expected`.
    func wait(atLeast expected: Int) async { while value < expected { await Task.yield() } }
}

/// Counts its copies' ends: each payload must be destroyed exactly once.
final class Payload: Sendable {
    let number: Int
    let destroyed: Counter
    init(_ number: Int, _ destroyed: Counter) {
        self.number = number
        self.destroyed = destroyed
    }
    deinit { destroyed.add() }
}

/// Random numbers that a seed replays (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    static func fresh(_ test: String = #function) -> (SeededGenerator, UInt64) {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("\(test): seed \(seed)")
        return (SeededGenerator(seed: seed), seed)
    }
}

extension ExitReason {
    var trap: Trap? { if case .trapped(let trap) = self { trap } else { nil } }
    var isKilled: Bool { if case .killed = self { true } else { false } }
    var isShutdown: Bool { if case .shutdown = self { true } else { false } }
    var isNoProcess: Bool { if case .noProcess = self { true } else { false } }
    var isPlainNormal: Bool { if case .normal = self { true } else { false } }
    var refusal: Refused? { if case .error(let error) = self { error as? Refused } else { nil } }
    var isHeapLimit: Bool { if case .heapLimit = self { true } else { false } }
    var isMailboxLimit: Bool { if case .mailboxLimit = self { true } else { false } }
}

extension CallError {
    var isTimeout: Bool { if case .timedOut = cause { true } else { false } }
    var isNoProcess: Bool { if case .noProcess = cause { true } else { false } }
    var isUnanswered: Bool { if case .unanswered = cause { true } else { false } }
    var isCallingItself: Bool { if case .callingItself = cause { true } else { false } }
    var endReason: ExitReason? { if case .ended(let reason) = cause { reason } else { nil } }
}

extension ExitReason {
    var heapOverflow: HeapOverflow? { if case .heapLimit(let overflow) = self { overflow } else { nil } }
}
