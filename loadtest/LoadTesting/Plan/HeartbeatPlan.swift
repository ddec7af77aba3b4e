// SPDX-License-Identifier: Apache-2.0

/// Clients that say something now and then, which the server echoes: as soon as they are connected, as a stock client
/// joins again, and after that at equal distances.
package struct HeartbeatPlan: Codable, Sendable, Equatable {
    /// From one message of a client to its next, where that is answered by then; else the next follows the answer.
    package var periodSeconds: Double
    package var size: SizeDistribution
    package var isText: Bool

    package init(periodSeconds: Double, size: SizeDistribution, isText: Bool = false) {
        self.periodSeconds = periodSeconds
        self.size = size
        self.isText = isText
    }
}
