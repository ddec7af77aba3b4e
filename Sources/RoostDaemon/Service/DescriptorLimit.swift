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

    /// What is decided about max-connections.
    enum Verdict: Equatable {
        case fits
        /// The default is more than fits: so many for each listener.
        case lowered(to: Int)
        /// Says what to do.
        case refused(String)
    }

    /// `connectionCountMax` is at most what the configuration allows, 10,000,000.
    func judge(connectionCountMax: Int, isChosen: Bool) -> Verdict {
        let least = max(Self.minimum, reserve + 16 * listenerCount)
        if count < least {
            return .refused(
                "the limit on open files is \(count), which is too low to serve (\(least) or more is needed); "
                    + "raise it with `ulimit -n 65536` or, under systemd, LimitNOFILE=65536")
        }
        let needed = (connectionCountMax + Self.surplusPerListener) * listenerCount + reserve
        if needed <= count { return .fits }
        let room = room
        guard isChosen else { return .lowered(to: room) }
        let each = listenerCount == 1 ? "" : " for each of \(listenerCount) listeners"
        return .refused(
            "max-connections is \(connectionCountMax)\(each), but the limit on open files is \(count); "
                + "raise the limit with `ulimit -n \(needed)` (systemd: LimitNOFILE=\(needed)) "
                + "or set max-connections to \(room) or less")
    }

    /// Connections that fit, for each listener.
    private var room: Int {
        let available = (count - reserve) / listenerCount
        return max(1, available - min(Self.surplusPerListener, available / 4))
    }
}
