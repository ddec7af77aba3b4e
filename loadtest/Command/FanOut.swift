// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

struct FanOut: PlanCommand {
    static let configuration = CommandConfiguration(
        commandName: "fanout",
        abstract: "Broadcast: publishers send, and each subscriber of a room is to get every message.",
        discussion: """
            Each message is stamped. Every subscriber checks that each message of each publisher of its room arrives \
            once, in order and unchanged: what is lost, doubled, out of order or damaged is counted. The latency is \
            that of deliveries: from the time at which the publisher sent, or with --rate was to send, to the \
            subscriber's handling.

              Roost, one room of 1,000:   loadtest fanout ws://127.0.0.1:9001/broadcast/a
              100 rooms of 20, 500 msg/s: loadtest fanout ws://127.0.0.1:9001/broadcast/{room} \
            --rooms 100 --subscribers 2000 --rate 500

            How many clients there are is said by --publishers and --subscribers; --connections has no effect.

            A server on which clients join with a message is told so with --subscribe-message and --publish-template.
            """)

    @OptionGroup var common: CommonArguments
    @OptionGroup var rooms: FanOutArguments
    @Option(name: .shortAndLong, help: "How long to measure: 90, 90s, 15m, 4h. (default: 10s)", transform: seconds)
    var duration = 10.0
    @Option(name: .shortAndLong, help: "How long to run before the measurement. (default: 1s)", transform: seconds)
    var warmup = 1.0

    func validate() throws { try checkSeconds(duration, "--duration") }

    func makePlan() throws -> LoadPlan {
        var plan = try LoadPlan.fanOut(
            rooms.plan, publishing: rooms.publishing(common.target), subscribing: common.target,
            subscriberCount: rooms.subscribers)
        common.apply(to: &plan)
        rooms.awaitLast(in: &plan)
        plan.durationSeconds = duration
        plan.warmupSeconds = warmup
        return plan
    }
}

/// What says who publishes what to whom.
struct FanOutArguments: ParsableArguments {
    @Option(help: "Clients that send; without it one for each room.") var publishers: Int?
    @Option(help: "Clients that are to receive, over all rooms.") var subscribers = 1_000
    @Option(
        help: "Rooms; clients are dealt out to them evenly. {room} in the URL stands for the room's number, from 0.")
    var rooms = 1
    @Option(name: .shortAndLong, help: "Bytes of a message, 48 or more.") var size = 64
    @Flag(help: "Send text instead of binary messages.") var text = false
    @Option(
        name: .shortAndLong,
        help: """
            Open loop: messages a second over all publishers, each at its time whether or not the server keeps up. \
            Without it a closed loop.
            """)
    var rate: Double?
    @Option(
        name: [.customShort("k"), .long],
        help: "Closed loop: messages of a publisher on their way; the next is sent when one has reached everyone.")
    var inFlight = 1
    @Option(help: "URL of the publishers, where it is another than the subscribers'; {room} as above.")
    var publishUrl: String?
    @Option(
        help: ArgumentHelp(
            "Text that each client sends when it has connected, to join its room; {room} stands for its number.",
            valueName: "text"))
    var subscribeMessage: String?
    @Option(
        help: ArgumentHelp(
            """
            Text to send for each message: {payload} stands for the message, {room} for the room's number. \
            For example '{"event":"new","topic":"room:{room}","payload":"{payload}"}'.
            """, valueName: "text"))
    var publishTemplate: String?
    @Option(
        help: """
            Time between the last connection and the first message, for the server to join clients to rooms. \
            (default: 100ms)
            """,
        transform: seconds)
    var settle = 0.1
    @Option(
        name: .customLong("await"),
        help: "Time after which a message that has not arrived is taken for lost. (default: 5s)", transform: seconds)
    var awaitSeconds = 5.0

    var plan: FanOutPlan {
        var plan = FanOutPlan(
            publisherCount: publishers ?? max(rooms, 1), pace: rate.map { .rate($0) } ?? .inFlight(inFlight))
        plan.roomCount = rooms
        plan.byteCount = size
        plan.isText = text
        plan.subscribeMessage = subscribeMessage
        plan.publishTemplate = publishTemplate
        plan.settleSeconds = settle
        plan.awaitSeconds = awaitSeconds
        return plan
    }

    /// What has not come is known to be lost only once it has been awaited.
    func awaitLast(in plan: inout LoadPlan) {
        plan.endTimeoutSeconds = max(plan.endTimeoutSeconds, awaitSeconds + 1)
    }

    func publishing(_ target: Target) -> Target {
        var target = target
        if let publishUrl { target.urls = [publishUrl] }
        return target
    }
}
