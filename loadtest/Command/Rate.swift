// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

struct Rate: PlanCommand {
    static let configuration = CommandConfiguration(
        abstract: "Open loop: messages leave at a fixed rate, whether or not the server keeps up.",
        discussion: """
            Latency is measured from when a message was due, not from when it left, so that a server that stalls \
            cannot hide what it would have been sent meanwhile. Take this test to learn what users see at a load \
            that you choose; take `echo` to learn how much the server can do. Each answer is checked. `lag` says how \
            late the load tester itself was.
            """)

    @OptionGroup var common: CommonArguments
    @Option(name: .shortAndLong, help: "Messages in each second, of all connections together.") var rate: Double
    @OptionGroup var messages: MessageArguments
    @OptionGroup var pace: PaceArguments
    @Option(name: .shortAndLong, help: "How long to measure: 90, 90s, 15m, 4h. (default: 10s)", transform: seconds)
    var duration = 10.0
    @Option(name: .shortAndLong, help: "How long to run before the measurement. (default: 1s)", transform: seconds)
    var warmup = 1.0

    func validate() throws {
        try checkRate(rate, "--rate")
        try checkSeconds(duration, "--duration")
    }

    func makePlan() -> LoadPlan {
        var plan = common.plan(.rate, pace.behaviour(rate, messages))
        plan.durationSeconds = duration
        plan.warmupSeconds = warmup
        return plan
    }
}
