// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

struct Idle: PlanCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Opens connections and holds them; reports connect times and, with --server-pid, memory per connection.")

    @OptionGroup var common: CommonArguments
    @Option(name: .shortAndLong, help: "Seconds to hold the connections; without it, until Ctrl-C.") var duration:
        Double?

    func validate() throws { if let duration { try checkSeconds(duration, "--duration") } }

    func makePlan() -> LoadPlan {
        var plan = common.plan(.idle, .idle)
        plan.durationSeconds = duration
        return plan
    }
}
