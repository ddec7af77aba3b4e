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
    /// Clients past a limit of the listener, or of their address.
    let surplus = Atomic<Int>(0)
    let tlsHandshakes = Atomic<Int>(0)
    let tlsResumptions = Atomic<Int>(0)
    let requests = Atomic<Int>(0)
    let messagesCompressed = Atomic<Int>(0)
    let messagesInflated = Atomic<Int>(0)
    let throttled = Atomic<Int>(0)
    private let surplusAnswers = Atomic<Int>(0)
    /// Clients over their address's limits that are answered with 429 at one time; more are closed at once.
    private static let surplusAnswersMax = 64
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

    /// Whether one more client may be refused with an answer, which takes as long as it likes to send its request.
    func mayAnswerSurplus() -> Bool {
        surplus.add(1, ordering: .relaxed)
        guard surplusAnswers.add(1, ordering: .relaxed).newValue <= Self.surplusAnswersMax else {
            surplusAnswered()
            return false
        }
        return true
    }

    func surplusAnswered() { surplusAnswers.subtract(1, ordering: .relaxed) }

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
