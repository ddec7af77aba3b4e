// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

struct Ramp: PlanCommand {
    static let configuration = CommandConfiguration(
        abstract: "Opens connections at a fixed rate; reports how fast they opened and at how many it broke.",
        discussion: """
            Handshakes are measured from when a connection was due to begin. The test ends when the last has opened \
            or failed. Where connections fail, the report says how many were open when the first did.
            """)

    @OptionGroup var common: CommonArguments
    @Option(name: .shortAndLong, help: "Connections begun in each second.") var rate = 1_000.0
    @Option(help: "How long to hold all connections afterwards: 90, 90s, 15m, 4h. (default: 0)", transform: seconds)
    var hold = 0.0

    func validate() throws {
        try checkRate(rate, "--rate")
        if hold != 0 { try checkSeconds(hold, "--hold") }
    }

    func makePlan() -> LoadPlan { .ramp(common.plan(.ramp, .idle), rate, hold: hold) }
}
