// SPDX-License-Identifier: Apache-2.0

/// An open loop: messages are sent when they are due, whether or not earlier ones have been answered.
package struct PacedPlan: Codable, Sendable, Equatable {
    /// Messages in each second of all clients of the group together, over all workers.
    package var ratePerSecond: Double
    package var pacing: Pacing
    package var size: SizeDistribution
    package var isText: Bool
    /// The server echoes. Otherwise messages are only sent.
    package var awaitsAnswers = true
    /// Messages of one client that may be unanswered at one time. What is due beyond them waits, its latency running,
    /// and leaves when there is room.
    package var inFlightMax = 10_000
    /// The same seed gives each client the same schedule.
    package var seed: UInt64 = 1

    package init(ratePerSecond: Double, pacing: Pacing = .uniform, size: SizeDistribution, isText: Bool = false) {
        self.ratePerSecond = ratePerSecond
        self.pacing = pacing
        self.size = size
        self.isText = isText
    }
}

/// How a client's messages follow each other.
package enum Pacing: String, Codable, Sendable, CaseIterable {
    /// At equal distances.
    case uniform
    /// As calls of many independent users: distances are distributed exponentially.
    case poisson
}
