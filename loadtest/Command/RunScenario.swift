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
        return try await told { try ScenarioFile(path: file, settings: pairs) }
    }
}

struct RunScenario: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Runs a mixed scenario from a YAML file.")

    @OptionGroup var scenario: ScenarioArguments
    @Option(help: "The server's process id, where it is on this machine: reports its CPU time and memory.")
    var serverPid: Int32?
    @Flag(help: "Report as JSON.") var json = false
    @Flag(help: "No progress line.") var quiet = false

    mutating func run() async throws {
        let file = try await scenario.read()
        for key in file.options.keys {
            warn(
                "\(scenario.file): \(key) is not in effect: a run of this program is one process, and judged by errors")
        }
        // The file has the rest: a run reports as one of the command line does.
        var arguments = [file.plan.groups[0].target.urls[0]]
        if let serverPid { arguments += ["--server-pid", "\(serverPid)"] }
        if json { arguments.append("--json") }
        if quiet { arguments.append("--quiet") }
        try await CommonArguments.parse(arguments).run(file.plan)
    }
}

extension ScenarioOptions {
    /// Those that say something other than what is done anyway.
    fileprivate var keys: [String] {
        (workerCount ?? 1 > 1 ? ["workers"] : []) + (agents.isEmpty ? [] : ["agents"])
            + (failIf.isEmpty ? [] : ["fail-if"])
    }
}

struct CheckScenario: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Checks a scenario file, and says in words what it would run.")

    @OptionGroup var scenario: ScenarioArguments

    mutating func run() async throws {
        print(try await scenario.read().words, terminator: "")
    }
}
