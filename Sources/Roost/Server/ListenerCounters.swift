// SPDX-License-Identifier: Apache-2.0

internal import RoostRuntime
internal import Synchronization

/// What happened on a listener. Any thread; each counter by itself is exact.
final class ListenerCounters: Sendable {
    let accepted = Atomic<Int>(0)
    let opened = Atomic<Int>(0)
    /// Sockets held, handshakes included.
    let current = Atomic<Int>(0)
    let crashes = Atomic<Int>(0)
    let acceptFailures = Atomic<Int>(0)
    let surplus = Atomic<Int>(0)
    let droppedMessages = Atomic<Int>(0)
    let slowConsumerEpisodes = Atomic<Int>(0)

    private struct State {
        var closed: [CloseReason.Cause: Int] = [:]
        var exhaustionLogged: UInt64?
        var crashLogSecond: UInt64 = 0
        var crashLogCount = 0
        var crashLogSuppressed = 0
    }
    private let state = Mutex(State())
    private static let crashLinesPerSecond = 10

    func close(_ cause: CloseReason.Cause) {
        withoutPreemption { state.withLock { $0.closed[cause, default: 0] += 1 } }
    }

    /// How many connections have ended for each cause.
    var closed: [CloseReason.Cause: Int] {
        withoutPreemption { state.withLock { $0.closed } }
    }

    /// A warning about exhaustion is worth a line every ten seconds.
    func mayLogExhaustion(at now: MonotonicTime) -> Bool {
        withoutPreemption {
            state.withLock { state in
                let period = now.nanoseconds / 10_000_000_000
                defer { state.exhaustionLogged = period }
                return state.exhaustionLogged != period
            }
        }
    }

    /// Whether a crash may be logged now: then, how many were not since the last line.
    func mayLogCrash(at now: MonotonicTime) -> Int? {
        withoutPreemption {
            state.withLock { state in
                let second = now.nanoseconds / 1_000_000_000
                if second != state.crashLogSecond {
                    state.crashLogSecond = second
                    state.crashLogCount = 0
                }
                guard state.crashLogCount < Self.crashLinesPerSecond else {
                    state.crashLogSuppressed += 1
                    return nil
                }
                state.crashLogCount += 1
                defer { state.crashLogSuppressed = 0 }
                return state.crashLogSuppressed
            }
        }
    }
}
