// SPDX-License-Identifier: Apache-2.0

/// How many connections the limit on open descriptors has room for (getrlimit(2), RLIMIT_NOFILE).
struct DescriptorLimit {
    /// Descriptors this process may hold.
    let count: Int
    /// What is held besides connections: standard streams, listeners, epoll and event descriptors of the schedulers.
    let reserve: Int
    let listenerCount: Int

    /// Below it there is no use in starting.
    static let minimum = 64
    /// Clients past max-connections that a listener holds at one time to answer them with 503.
    private static let surplusPerListener = 64

    init(count: Int, listenerCount: Int, schedulerCount: Int) {
        self.count = count
        self.listenerCount = listenerCount
        reserve = 24 + 4 * schedulerCount + listenerCount
    }

    /// What a listener wants.
    struct Demand: Equatable {
        let connectionCountMax: Int
        /// Somebody chose the number; the default may be lowered.
        let isChosen: Bool
    }

    /// What is decided about max-connections.
    enum Verdict: Equatable {
        case fits
        /// The default is more than fits: so many for each listener that has it.
        case lowered(to: Int)
        /// Says what to do.
        case refused(String)
    }

    /// `demands` are those of the `listenerCount` listeners, each at most what the configuration allows, 10,000,000.
    func judge(_ demands: [Demand]) -> Verdict {
        let least = max(Self.minimum, reserve + 16 * listenerCount)
        if count < least {
            return .refused(
                "the limit on open files is \(count), which is too low to serve (\(least) or more is needed); "
                    + "raise it with `ulimit -n 65536` or, under systemd, LimitNOFILE=65536")
        }
        func sum(_ demands: [Demand]) -> Int {
            demands.reduce(0) { $0 + $1.connectionCountMax + Self.surplusPerListener }
        }
        let needed = sum(demands) + reserve
        if needed <= count { return .fits }
        let chosen = demands.filter(\.isChosen)
        let defaultCount = demands.count - chosen.count
        let available = count - reserve - sum(chosen)
        if defaultCount > 0, available >= 16 * defaultCount {
            return .lowered(to: Self.room(in: available / defaultCount))
        }
        return .refused(refusal(demands, needed: needed))
    }

    private func refusal(_ demands: [Demand], needed: Int) -> String {
        let remedy =
            "raise the limit with `ulimit -n \(needed)` (systemd: LimitNOFILE=\(needed)) or set max-connections to "
        if let first = demands.first, demands.allSatisfy({ $0 == first }) {
            let each = demands.count == 1 ? "" : " for each of \(demands.count) listeners"
            let room = Self.room(in: (count - reserve) / demands.count)
            return "max-connections is \(first.connectionCountMax)\(each), but the limit on open files is \(count); "
                + remedy + "\(room) or less"
        }
        let numbers = demands.map { "\($0.connectionCountMax)" }.joined(separator: " + ")
        let room = Self.room(in: (count - reserve) / demands.count) * demands.count
        return "max-connections of the listeners are \(numbers), but the limit on open files is \(count); " + remedy
            + "numbers that come to \(room) or less together"
    }

    /// Connections that `available` descriptors of one listener are enough for.
    private static func room(in available: Int) -> Int {
        max(1, available - min(surplusPerListener, available / 4))
    }
}
