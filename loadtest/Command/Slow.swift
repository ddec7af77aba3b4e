// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

struct Slow: PlanCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Slow consumers: some subscribers of a broadcast hardly read; do the others suffer, does memory grow?",
        discussion: """
            As fanout, with a part of the subscribers reading slowly. Reported apart for both kinds: delivery latency \
            and what was lost; then how many of the slow ones the server closed, and why, and with --server-pid how \
            much its memory grew. A server protects itself by closing slow clients or by dropping messages for them; \
            the fast ones are to lose nothing. How many clients there are is said by --publishers and --subscribers; \
            --connections has no effect.

              loadtest slow ws://127.0.0.1:9001/broadcast/a --subscribers 500 --rate 200 --server-pid 4711
            """)

    @OptionGroup var common: CommonArguments
    @OptionGroup var rooms: FanOutArguments
    @Option(help: "Share of the subscribers that read slowly.") var slowShare = 0.1
    @Option(help: "Bytes of messages that a slow subscriber reads in a second; 0: one message in half a minute.")
    var readRate = 0
    @Option(name: .shortAndLong, help: "How long to measure: 90, 90s, 15m, 4h. (default: 10s)", transform: seconds)
    var duration = 10.0
    @Option(name: .shortAndLong, help: "How long to run before the measurement. (default: 1s)", transform: seconds)
    var warmup = 1.0

    func validate() throws { try checkSeconds(duration, "--duration") }

    func makePlan() throws -> LoadPlan {
        var plan = try LoadPlan.slow(
            rooms.plan, publishing: rooms.publishing(common.target), subscribing: common.target,
            subscriberCount: rooms.subscribers, slowShare: slowShare, readByteRate: readRate)
        common.apply(to: &plan)
        rooms.awaitLast(in: &plan)
        plan.durationSeconds = duration
        plan.warmupSeconds = warmup
        return plan
    }

    func ownFigures(_ record: RunRecord) -> (text: String, isGood: Bool) {
        guard let figures = SlowFigures(record) else { return ("", isGood: true) }
        return (figures.text, isGood: figures.fast.lostCount == 0)
    }
}
