// SPDX-License-Identifier: Apache-2.0

internal import Histogram

extension Scenario {
    /// What is counted as completed, in the plural; nil: nothing is.
    package var completedNoun: String? {
        switch self {
        case .echo, .rate, .churn, .soak, .mixed: "round trips"
        case .fanout, .slow: "deliveries"
        case .ramp: "handshakes"
        case .storm, .idle: nil
        }
    }

    /// Its clients come back, or come slowly: how many are there is the question.
    package var isAboutConnecting: Bool {
        switch self {
        case .ramp, .storm: true
        case .echo, .rate, .idle, .fanout, .churn, .slow, .soak, .mixed: false
        }
    }
}

extension LoadPlan {
    /// Messages are published, and deliveries counted.
    package var hasDeliveries: Bool { groups.contains { $0.behaviour.fanOut != nil } }

    /// As the scenario's; where groups complete different things, the word for all of them.
    package var completedNoun: String? {
        scenario == .mixed && hasDeliveries ? "completed" : scenario.completedNoun
    }
}

/// One of the distributions of a run, and what people call it.
package struct DistributionChoice: Sendable {
    package let title: String
    package let path: any KeyPath<Distributions, NanosecondHistogram> & Sendable

    package static let latency = DistributionChoice(title: "latency", path: \.latency)
    package static let connect = DistributionChoice(title: "connect time", path: \.connect)
    package static let recovery = DistributionChoice(title: "recovery time", path: \.recovery)

    /// The one that a scenario is about, of those that hold anything.
    package static func main(of scenario: Scenario, in measure: Distributions) -> DistributionChoice {
        let order: [DistributionChoice] =
            scenario == .storm ? [.recovery, .latency, .connect] : [.latency, .recovery, .connect]
        return order.first { measure[keyPath: $0.path].totalCount > 0 } ?? order[0]
    }
}

extension Sequence<GroupMeasure> {
    /// Of all groups together.
    package var together: GroupMeasure { reduce(into: GroupMeasure()) { $0.add($1) } }
}
