// SPDX-License-Identifier: Apache-2.0

/// Publishers send, subscribers are to get what the publishers of their room sent: each message once, in order, intact.
///
/// Publisher or subscriber `n` belongs to room `n` modulo `roomCount`. The groups of one fan-out have plans of the same
/// `name`.
package struct FanOutPlan: Codable, Sendable, Equatable {
    /// When a publisher sends.
    package enum Pace: Codable, Sendable, Equatable {
        /// So many messages a second, over all publishers, each at a time of its own, whatever the server does.
        case rate(Double)
        /// A publisher's messages that have not reached every subscriber of its room. The room's clients must live in
        /// one worker: they are counted there.
        case inFlight(Int)
    }

    package static let byteCountMax = SizeDistribution.byteCountLimit
    package static let inFlightMax = 1_024

    package var name = "fanout"
    package var publisherCount: Int
    package var roomCount = 1
    /// Of a message, without what the template puts around it.
    package var byteCount = 64
    package var isText = false
    package var pace: Pace
    /// What a client sends once it is connected, with `{room}` for the room's number: for servers on which a room is
    /// joined by a message. Text.
    package var subscribeMessage: String?
    /// What is put around a message: `{payload}` stands for it, `{room}` for the room's number. Text.
    package var publishTemplate: String?
    /// From the beginning to the first message: servers may still be about to put the last subscriber in its room.
    package var settleSeconds = 0.1
    /// How long a message may be on its way: in a closed loop the next is then sent nevertheless; at the end what has
    /// not come counts as lost.
    package var awaitSeconds = 5.0
    /// Bytes of messages that a subscriber reads in a second; 0: next to none. Nil: all that comes.
    package var readByteRate: Int?

    package init(publisherCount: Int, pace: Pace) {
        self.publisherCount = publisherCount
        self.pace = pace
    }

    /// What is wrong, each with the option that mends it.
    func problems(workerCount: Int) -> [String] {
        var problems: [String] = []
        func check(_ isRight: Bool, _ problem: String) { if !isRight { problems.append(problem) } }
        check(
            (1...1_000_000).contains(publisherCount), "--publishers is \(publisherCount); use 1...1000000")
        check(
            (1...max(publisherCount, 1)).contains(roomCount),
            "--rooms is \(roomCount) with \(publisherCount) publishers; use at least 1, and a publisher for each room")
        check(
            (DeliveryStamp.byteCount...Self.byteCountMax).contains(byteCount),
            "--size is \(byteCount); use \(DeliveryStamp.byteCount)...\(Self.byteCountMax): a message says whose it is")
        check(
            (0.0...3_600).contains(awaitSeconds) && awaitSeconds > 0,
            "--await is \(awaitSeconds); use more than 0, at most 3600")
        check((0.0...3_600).contains(settleSeconds), "--settle is \(settleSeconds); use 0...3600")
        check((readByteRate ?? 0) >= 0, "--read-rate is \(readByteRate ?? 0); use 0 or more")
        if let publishTemplate {
            check(
                publishTemplate.split(separator: "{payload}", omittingEmptySubsequences: false).count == 2,
                "--publish-template '\(publishTemplate)' must have {payload} once: the place of the message")
        }
        switch pace {
        case .rate(let rate):
            check(rate > 0 && rate <= 10_000_000, "--rate is \(rate); use more than 0, at most 10000000")
        case .inFlight(let count):
            check((1...Self.inFlightMax).contains(count), "--in-flight is \(count); use 1...\(Self.inFlightMax)")
            check(
                roomCount % max(workerCount, 1) == 0,
                "--rooms is \(roomCount) with \(workerCount) workers: a closed loop needs each room's clients in one "
                    + "worker; use a multiple of \(workerCount), or --rate")
        }
        return problems
    }
}

extension LoadPlan {
    /// Publishers and subscribers. In the URLs `{room}` stands for the room's number.
    package static func fanOut(
        _ plan: FanOutPlan, publishing: Target, subscribing: Target, subscriberCount: Int
    ) throws(LoadTestError) -> LoadPlan {
        let problems = plan.problems(workerCount: 1)
        guard problems.isEmpty else { throw LoadTestError(problems.joined(separator: "\n")) }
        try checkRooms(plan, publishing, subscribing)
        guard subscriberCount >= plan.roomCount else {
            throw LoadTestError(
                "--subscribers is \(subscriberCount) for \(plan.roomCount) rooms; use at least one for each")
        }
        var result = LoadPlan(
            .fanout,
            groups: [
                ClientGroup("publishers", plan.publisherCount, publishing.inRooms(plan.roomCount), .publish(plan)),
                ClientGroup("subscribers", subscriberCount, subscribing.inRooms(plan.roomCount), .subscribe(plan)),
            ])
        result.endTimeoutSeconds = plan.awaitSeconds + 1
        return result
    }

    /// A fan-out of which some subscribers read slowly: whether that is to the harm of the others.
    package static func slow(
        _ plan: FanOutPlan, publishing: Target, subscribing: Target, subscriberCount: Int, slowShare: Double,
        readByteRate: Int
    ) throws(LoadTestError) -> LoadPlan {
        guard slowShare > 0, slowShare < 1 else {
            throw LoadTestError("--slow-share is \(slowShare); use more than 0, less than 1")
        }
        let slowCount = min(max(Int((Double(subscriberCount) * slowShare).rounded()), 1), subscriberCount)
        var result = try fanOut(
            plan, publishing: publishing, subscribing: subscribing, subscriberCount: subscriberCount - slowCount)
        result.scenario = .slow
        result.groups[1].name = "fast"
        var slowPlan = plan
        slowPlan.readByteRate = readByteRate
        var slow = ClientGroup("slow", slowCount, subscribing.inRooms(plan.roomCount), .subscribe(slowPlan))
        slow.expectsLosses = true
        result.groups.append(slow)
        return result
    }

    /// All connections are cut at one time, by the load tester or by the server; all clients come back.
    package static func storm(
        _ target: Target, clientCount: Int, backoff: Backoff, holdSeconds: Double, dropsConnections: Bool,
        heartbeat: HeartbeatPlan? = nil
    ) -> LoadPlan {
        var group = ClientGroup("clients", clientCount, target, heartbeat.map { .heartbeat($0) } ?? .idle)
        group.backoff = backoff
        group.expectsLosses = true
        var plan = LoadPlan(.storm, groups: [group])
        plan.warmupSeconds = holdSeconds
        plan.dropsConnections = dropsConnections
        return plan
    }

    private static func checkRooms(
        _ plan: FanOutPlan, _ publishing: Target, _ subscribing: Target
    ) throws(LoadTestError) {
        guard plan.roomCount > 1 else { return }
        let subscribes =
            subscribing.urls.contains { $0.contains("{room}") }
            || plan.subscribeMessage?.contains("{room}") == true
        let publishes =
            publishing.urls.contains { $0.contains("{room}") }
            || plan.publishTemplate?.contains("{room}") == true
        guard subscribes, publishes else {
            throw LoadTestError(
                "--rooms is \(plan.roomCount), but nothing says which room a \(subscribes ? "message" : "client") "
                    + "is for; write {room} into the URL, or into --subscribe-message and --publish-template")
        }
    }
}

extension Target {
    /// URLs such that client `n`, which takes them in turn, has its room's, and the one that it had before.
    func inRooms(_ roomCount: Int) -> Target {
        guard urls.contains(where: { $0.contains("{room}") }) else { return self }
        let roomCount = max(roomCount, 1)
        var (divisor, rest) = (urls.count, roomCount)
        while rest > 0 { (divisor, rest) = (rest, divisor % rest) }
        var target = self
        target.urls = (0..<urls.count / divisor * roomCount).map { urls[$0 % urls.count].replacingRoom($0 % roomCount) }
        return target
    }
}

extension String {
    func replacingRoom(_ room: Int) -> String {
        split(separator: "{room}", omittingEmptySubsequences: false).joined(separator: "\(room)")
    }
}
