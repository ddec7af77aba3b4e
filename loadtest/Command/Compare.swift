// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

struct Compare: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures two servers in turns and says which is faster, and how sure that is.",
        usage: "loadtest compare URL-A URL-B [--scenario echo] [--rounds 5] [options of the scenario]",
        discussion: "Write the two URLs first. All options that are not listed here are the scenario's.")

    @Argument(help: "The first server's URL.") var first: String
    @Argument(help: "The second server's URL.") var second: String
    @Option(help: "What is done with each: echo, rate, fanout or churn.") var scenario = "echo"
    @Option(help: "How often each is measured.") var rounds = 5
    @Option(help: "The first server's process id: compares work per second of CPU time too.") var serverPid: Int32?
    @Option(help: "The second server's.") var serverPidB: Int32?
    @Flag(help: "Report as JSON, with all rounds.") var json = false
    @Flag(help: "No line for each round.") var quiet = false
    @Argument(parsing: .allUnrecognized, help: "Options of the scenario.") var options: [String] = []

    private static let defaultSeconds = 5.0

    func validate() throws {
        guard (1...1_000).contains(rounds) else { throw ValidationError("--rounds is \(rounds); use 1...1000") }
        guard (serverPid == nil) == (serverPidB == nil) else {
            throw ValidationError("work per CPU second needs both: give --server-pid and --server-pid-b")
        }
        let output = try command(first).common.output
        _ = try command(second)
        // Those of the scenario's options that a comparison has no use for.
        for (name, isGiven) in [
            ("--out", output.out != nil), ("--report", output.report != nil), ("--hlog", output.hlog != nil),
            ("--fail-if", !output.failIf.isEmpty),
        ] where isGiven {
            throw ValidationError("\(name) has no effect here: a comparison reports its ratios alone; use --json")
        }
    }

    /// The scenario's own command, for a URL.
    private func command(_ url: String) throws -> any PlanCommand {
        let names = ServerComparison.scenarios.map(\.rawValue)
        guard names.contains(scenario),
            let type = LoadTestCommand.planCommands.first(where: { $0._commandName == scenario })
        else {
            throw ValidationError("--scenario is '\(scenario)'; use one of \(names.joined(separator: ", "))")
        }
        do {
            return try type.parse([url] + options)
        } catch {
            throw ValidationError("--scenario \(scenario): \(type.message(for: error))")
        }
    }

    mutating func run() async throws {
        Interrupt.install()
        let commands = [try command(first), try command(second)]
        var plans = try commands.map { try $0.makePlan() }
        if !options.contains(where: { $0.hasPrefix("--duration") || $0.hasPrefix("-d") }) {
            for index in plans.indices { plans[index].durationSeconds = Self.defaultSeconds }
        }
        let pids = [serverPid, serverPidB]
        let (isQuiet, roundCount) = (quiet, rounds)
        let comparison = try await told {
            let fleet = try commands[0].common.fleet
            let meters = try pids.map { pid in
                try pid.map { pid throws(LoadTestError) in try ProcessMeter(pid: pid) }
            }
            var comparison = ServerComparison()
            try await comparison.run(roundCount: roundCount) { round, name, figures in
                guard !isQuiet else { return }
                tell(ServerComparison.line(round, name, figures))
            } measure: { isA in
                let index = isA ? 0 : 1
                let workers = try await Fleet.launch(plans[index], fleet)
                return await LoadRun(plans[index], workers, server: meters[index], observer: nil).run()
            }
            return comparison
        }
        try told { try OutputFile.writeToStandardOutput(json ? comparison.json : comparison.text) }
        if !comparison.errors.isEmpty || comparison.a.isEmpty { throw ExitCode(1) }
    }
}
