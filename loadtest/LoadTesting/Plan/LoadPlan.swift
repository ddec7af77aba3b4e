// SPDX-License-Identifier: Apache-2.0

/// Everything that a run does: what the command line or a scenario file comes to, what workers are sent, what a report
/// begins with. Times are in seconds.
package struct LoadPlan: Codable, Sendable, Equatable {
    package var scenario: Scenario
    package var groups: [ClientGroup]
    package var warmupSeconds = 1.0
    /// How long is measured; nil: until Ctrl-C.
    package var durationSeconds: Double?
    /// How long the last answers are waited for.
    package var endTimeoutSeconds = 5.0
    /// Of the timeline: each interval has a histogram of its own.
    package var intervalSeconds = 1.0
    /// The measurement begins when every client has connected, and not with the first.
    package var connectsFirst = true
    /// Of a ramp: how long its connections are held once all of them are open or have failed.
    package var holdSeconds = 0.0
    /// Of a storm: the load tester cuts the connections; else the server's end is awaited.
    package var dropsConnections = true
    /// Scheduler threads of each worker; 0: the cores are shared out among the workers of a machine.
    package var schedulerCount = 0
    /// Connection attempts of a worker that are under way at one time: a server's backlog holds few more.
    package var connectingCountMax = 1_000

    package init(_ scenario: Scenario, groups: [ClientGroup]) {
        self.scenario = scenario
        self.groups = groups
    }

    package var clientCount: Int { groups.reduce(0) { $0 + $1.clientCount } }
}

/// What a run is called.
package enum Scenario: String, Codable, Sendable, CaseIterable {
    case echo, rate, idle, ramp, fanout, churn, storm, slow, soak, mixed
}

/// Clients that do the same.
package struct ClientGroup: Codable, Sendable, Equatable {
    package var name: String
    package var clientCount: Int
    package var target: Target
    package var behaviour: Behaviour
    /// Connections begun in each second, over all workers; nil: as many as may be under way.
    package var arrivalsPerSecond: Double?
    /// How a client whose connection ended, or failed, comes back; nil: it stays away.
    package var backoff: Backoff?
    /// Connections that end, or fail, are what the run is about: reported, and no fault.
    package var expectsLosses = false

    package init(_ name: String, _ clientCount: Int, _ target: Target, _ behaviour: Behaviour) {
        self.name = name
        self.clientCount = clientCount
        self.target = target
        self.behaviour = behaviour
    }
}

/// Where connections go, and how.
package struct Target: Codable, Sendable, Equatable {
    /// Clients take them in turn.
    package var urls: [String]
    /// Local addresses to connect from, in turn; empty: the kernel's choice.
    package var sourceAddresses: [String] = []
    /// `Name: value` lines for the upgrade request.
    package var headers: [String] = []
    package var subprotocols: [String] = []
    /// PEM file of the authorities that a `wss://` server's certificate may be from; nil: the system's.
    package var caFile: String?
    /// Takes any certificate.
    package var isInsecure = false
    /// Offers compression (permessage-deflate).
    package var isCompressed = false
    /// From a connection's beginning to the server's answer.
    package var connectTimeoutSeconds = 10.0

    package init(_ urls: [String]) { self.urls = urls }
}

/// What the clients of a group do once they are connected.
package enum Behaviour: Codable, Sendable, Equatable {
    case echo(EchoPlan)
    case paced(PacedPlan)
    case churn(ChurnPlan)
    case heartbeat(HeartbeatPlan)
    case idle
    case publish(FanOutPlan)
    case subscribe(FanOutPlan)
    case script(ScriptPlan)
}

/// A closed loop: the next message is sent when an answer has come.
package struct EchoPlan: Codable, Sendable, Equatable {
    package var size: SizeDistribution
    package var inFlight: Int
    package var isText: Bool

    /// Messages of one client that may be on their way at one time.
    package static let inFlightMax = 65_536

    package init(size: SizeDistribution, inFlight: Int, isText: Bool) {
        self.size = size
        self.inFlight = inFlight
        self.isText = isText
    }
}

/// How many bytes messages have.
package enum SizeDistribution: Codable, Sendable, Equatable {
    case fixed(Int)
    case uniform(Int, Int)
    /// Of this mean, cut off at `max`.
    case exponential(mean: Double, max: Int)
    /// exp(N(mu, sigma²)) with exp(mu) = `median`, cut off at `max`.
    case lognormal(median: Double, sigma: Double, max: Int)
    /// Sizes and their weights.
    case choice([WeightedSize])

    package struct WeightedSize: Codable, Sendable, Equatable {
        package var byteCount: Int
        package var weight: Double

        package init(_ byteCount: Int, weight: Double) {
            self.byteCount = byteCount
            self.weight = weight
        }
    }

    package var byteCountMax: Int {
        switch self {
        case .fixed(let byteCount): byteCount
        case .uniform(_, let most): most
        case .exponential(_, let most), .lognormal(_, _, let most): most
        case .choice(let sizes): sizes.map(\.byteCount).max() ?? 0
        }
    }
}
