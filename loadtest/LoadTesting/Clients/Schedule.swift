// SPDX-License-Identifier: Apache-2.0

/// When the messages of one client are due. Pure: the same plan, client, origin and seed give the same times.
package struct Schedule {
    /// The fraction of the golden ratio: its multiples, modulo 1, divide a circle evenly, however many there are.
    private static let goldenFraction = 0.618_033_988_749_894_9

    private let pacing: Pacing
    /// Nanoseconds.
    private let origin: UInt64
    private let period: Double
    private var random: SplitMix
    /// Nanoseconds from the origin to the next message.
    private var distance: Double
    /// Uniform pacing: of the first message, in periods.
    private let phase: Double
    private var step: Double
    /// Messages before the next.
    package private(set) var count = 0
    /// When the next message is due, in nanoseconds.
    package private(set) var next: UInt64

    /// Of client `client` of `clientCount`; from `now` on, which is not before `origin`. `origin` is what the phases of
    /// all clients count from; `attempt` tells the connections of one client apart.
    package init(_ plan: PacedPlan, client: Int, of clientCount: Int, attempt: Int = 0, origin: UInt64, now: UInt64) {
        pacing = plan.pacing
        self.origin = origin
        period = 1e9 * Double(clientCount) / plan.ratePerSecond
        var seeds = SplitMix(state: plan.seed)
        let shift = Double.random(in: 0..<1, using: &seeds)
        var state = SplitMix(state: seeds.next() ^ UInt64(truncatingIfNeeded: client))
        random = SplitMix(state: state.next() &+ UInt64(truncatingIfNeeded: attempt))
        phase = Self.phase(ofClient: client, shift)
        let passed = Double(now - min(origin, now))
        switch pacing {
        case .uniform:
            step = max((passed / period - phase).rounded(.up), 0)
            distance = (phase + step) * period
        case .poisson:
            step = 0
            distance = passed + random.exponential() * period
        }
        next = origin &+ UInt64(distance)
    }

    /// 0..<1, evenly spread over clients.
    static func phase(ofClient client: Int, _ shift: Double = 0) -> Double {
        let turns = Double(client) * goldenFraction + shift
        return turns - turns.rounded(.down)
    }

    /// On to the message after.
    @inline(__always)
    package mutating func advance() {
        count &+= 1
        switch pacing {
        case .uniform:
            step += 1
            distance = (phase + step) * period
        case .poisson:
            distance += random.exponential() * period
        }
        next = origin &+ UInt64(distance)
    }
}
