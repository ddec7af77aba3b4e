// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

struct Echo: PlanCommand {
    static let configuration = CommandConfiguration(
        abstract: "Closed loop: each connection keeps messages in flight; measures and checks each round trip.")

    @OptionGroup var common: CommonArguments
    @OptionGroup var messages: MessageArguments
    @Option(name: [.customShort("k"), .long], help: "Messages that each connection keeps in flight.") var inFlight = 1
    @Option(name: .shortAndLong, help: "How long to measure: 90, 90s, 15m, 4h. (default: 10s)", transform: seconds)
    var duration = 10.0
    @Option(name: .shortAndLong, help: "How long to run before the measurement. (default: 1s)", transform: seconds)
    var warmup = 1.0

    func validate() throws {
        try checkSeconds(duration, "--duration")
        try check(inFlight, in: 1...EchoPlan.inFlightMax, "--in-flight")
    }

    func makePlan() -> LoadPlan {
        var plan = common.plan(.echo, .echo(EchoPlan(size: messages.size, inFlight: inFlight, isText: messages.text)))
        plan.durationSeconds = duration
        plan.warmupSeconds = warmup
        return plan
    }
}
