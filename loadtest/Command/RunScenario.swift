// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

/// A scenario file, and what is to be different this time.
struct ScenarioArguments: ParsableArguments {
    @Argument(help: "A scenario file; see docs/loadtest-scenarios.md.") var file: String
    @Option(name: .customLong("set"), help: "A value for one of the file's variables, name=value. May be given again.")
    var settings: [String] = []

    func validate() throws {
        for setting in settings where !setting.contains("=") || setting.hasPrefix("=") {
            throw ValidationError("--set is '\(setting)'; use name=value")
        }
    }

    func read() async throws -> ScenarioFile {
        let pairs = settings.map { setting in
            let equals = setting.firstIndex(of: "=") ?? setting.endIndex
            return (name: String(setting[..<equals]), value: String(setting[equals...].dropFirst()))
        }
        return try told { try ScenarioFile(path: file, settings: pairs) }
    }
}

struct RunScenario: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Runs a mixed scenario from a YAML file.",
        discussion: "--workers and --agents come before the file's own; conditions of --fail-if are added to them.")

    @OptionGroup var scenario: ScenarioArguments
    @Option(help: "The server's process id, where it is on this machine: reports its CPU time and memory.")
    var serverPid: Int32?
    @OptionGroup var fleetArguments: FleetArguments
    @OptionGroup(title: "Reports") var output: OutputArguments

    mutating func run() async throws {
        let file = try await scenario.read()
        let arguments = fleetArguments
        let fleet = try told {
            var fleet = try arguments.fleet
            if fleet.agents.isEmpty, fleet.workerCount == 1 {
                fleet.workerCount = file.options.workerCount ?? 1
                if !file.options.agents.isEmpty {
                    fleet.agents = file.options.agents
                    fleet.token = try RunToken.find(file: arguments.tokenFile, warn: warn)
                }
            }
            return fleet
        }
        try await output.run(file.plan, fleet, serverPid: serverPid, failIf: file.options.failIf) { _ in ("", true) }
    }
}

struct CheckScenario: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Checks a scenario file, and says in words what it would run.")

    @OptionGroup var scenario: ScenarioArguments

    mutating func run() async throws {
        let file = try await scenario.read()
        try told { for expression in file.options.failIf { try Threshold(expression).check(file.plan) } }
        print(file.words, terminator: "")
    }
}
