// SPDX-License-Identifier: Apache-2.0

/// How many restarts a supervisor makes within a period before it gives up.
public struct RestartIntensity: Sendable, Hashable {
    /// Restarts allowed in any `period`; 0: the first crash ends the supervisor.
    public let restartCountMax: Int
    public let period: Duration

    /// OTP's default: 1 restart in 5 seconds.
    public static let standard = RestartIntensity(1, in: .seconds(5))

    public init(_ restartCountMax: Int, in period: Duration) {
        precondition(restartCountMax >= 0, "a restart intensity of \(restartCountMax); use 0 or more")
        precondition(period > .zero, "a restart period of \(period); use more than zero")
        self.restartCountMax = restartCountMax
        self.period = period
    }
}

/// The restarts of the last period. Pure: the caller passes the time.
struct RestartWindow {
    private let intensity: RestartIntensity
    /// Oldest first, from `first` on; at most one more than are allowed count.
    private var restarts: [MonotonicTime] = []
    private var first = 0

    init(_ intensity: RestartIntensity) { self.intensity = intensity }

    /// Counts a restart at `now`. False when it is one too many: more than allowed have come within the period that
    /// ends now. A few steps on average, whatever the intensity.
    mutating func allowsRestart(at now: MonotonicTime) -> Bool {
        while first < restarts.count, restarts[first] + intensity.period < now { first += 1 }
        if first > restarts.count / 2 {
            restarts.removeFirst(first)
            first = 0
        }
        restarts.append(now)
        return restarts.count - first <= intensity.restartCountMax
    }
}
