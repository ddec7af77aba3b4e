// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

struct Echo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Closed loop: each connection keeps messages in flight; measures and checks each round trip.")

    @OptionGroup var common: CommonArguments
    @Option(
        name: .shortAndLong,
        help:
            "Bytes of a message: 64, uniform:10:200, exponential:MEAN:MAX, lognormal:MEDIAN:SIGMA:MAX, choice:64=4,9=1."
    ) var size = "64"
    @Option(name: [.customShort("k"), .long], help: "Messages that each connection keeps in flight.") var inFlight = 1
    @Option(name: .shortAndLong, help: "Seconds to measure.") var duration = 10.0
    @Option(name: .shortAndLong, help: "Seconds before the measurement.") var warmup = 1.0
    @Flag(help: "Send text instead of binary messages.") var text = false

    func validate() throws {
        try checkSeconds(duration, "--duration")
        do throws(LoadTestError) {
            _ = try SizeDistribution(argument: size, name: "--size")
        } catch {
            throw ValidationError(error.description)
        }
    }

    mutating func run() async throws {
        let size = try SizeDistribution(argument: size, name: "--size")
        var plan = common.plan(.echo, .echo(EchoPlan(size: size, inFlight: inFlight, isText: text)))
        plan.durationSeconds = duration
        plan.warmupSeconds = max(warmup, 0)
        try await common.run(plan)
    }
}
