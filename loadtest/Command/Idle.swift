// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

struct Idle: PlanCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Opens connections and holds them; reports connect times and, with --server-pid, memory per connection.")

    @OptionGroup var common: CommonArguments
    @Option(
        name: .shortAndLong, help: "How long to hold the connections: 90, 90s, 15m, 4h; without it, until Ctrl-C.",
        transform: seconds)
    var duration: Double?

    func validate() throws { if let duration { try checkSeconds(duration, "--duration") } }

    func makePlan() -> LoadPlan {
        var plan = common.plan(.idle, .idle)
        plan.durationSeconds = duration
        return plan
    }
}
