// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

struct Soak: PlanCommand {
    static let configuration = CommandConfiguration(
        abstract: "A gentle load for hours: shows what grows, slows down or breaks with time.",
        discussion: """
            As `rate`, at a rate that the server bears easily. Give --server-pid, so that the server's memory is \
            followed too. The timeline gets coarser as the run gets longer, and the load tester's own memory stays \
            bounded. Ctrl-C ends it early, with a report.
            """)

    @OptionGroup var common: CommonArguments
    @Option(name: .shortAndLong, help: "Messages in each second, of all connections together.") var rate = 100.0
    @OptionGroup var messages: MessageArguments
    @OptionGroup var pace: PaceArguments
    @Option(name: .shortAndLong, help: "How long to measure: 90s, 15m, 4h. (default: 1h)", transform: seconds)
    var duration = 3_600.0
    @Option(name: .shortAndLong, help: "How long to run before the measurement. (default: 10s)", transform: seconds)
    var warmup = 10.0

    func validate() throws {
        try checkRate(rate, "--rate")
        try checkSeconds(duration, "--duration")
    }

    func makePlan() -> LoadPlan {
        var plan = common.plan(.soak, pace.behaviour(rate, messages))
        plan.durationSeconds = duration
        plan.warmupSeconds = warmup
        return plan
    }
}
