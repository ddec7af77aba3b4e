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
    /// Scheduler threads of each worker; 0: one for each core.
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
    case idle
    case script(ScriptPlan)
}

/// A closed loop: the next message is sent when an answer has come.
package struct EchoPlan: Codable, Sendable, Equatable {
    package var size: SizeDistribution
    package var inFlight: Int
    package var isText: Bool

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

/// When a client whose connection is over tries again.
package enum Backoff: Codable, Sendable, Equatable {
    case constant(Double)
    /// Phoenix's `Socket`: 10, 50, 100, 150, 200, 250, 500, 1,000, 2,000, then always 5,000 ms.
    case phoenix
    /// Socket.IO: 1 s, doubled up to 5 s, each times 0.5 to 1.5 at random.
    case socketio
    /// Centrifugo's clients: at random up to 0.5 s doubled for each attempt, at most 20 s ("full jitter").
    case centrifuge

    /// Before attempt `number`, from 0: the first after the connection was lost. `random` is in 0..<1.
    package func delaySeconds(_ number: Int, random: Double) -> Double {
        switch self {
        case .constant(let seconds): return seconds
        case .phoenix:
            let steps = [0.010, 0.050, 0.100, 0.150, 0.200, 0.250, 0.500, 1, 2]
            return number < steps.count ? steps[number] : 5
        case .socketio: return min(1 * power(number), 5) * (0.5 + random)
        case .centrifuge: return min(0.5 * power(number), 20) * random
        }
    }

    private func power(_ number: Int) -> Double { Double(UInt64(1) << UInt64(min(number, 30))) }
}
