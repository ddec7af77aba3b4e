// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

struct AgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent", abstract: "Runs clients for load testers on other machines (--agents), until Ctrl-C.",
        discussion: "One run at a time. What is sent is not encrypted: use it in a network that you trust.")

    @Option(help: "Where load testers connect: HOST:PORT or [IPV6]:PORT.") var listen = "127.0.0.1:7400"
    @Option(help: "File with the secret that load testers must have; without it ROOST_LOADTEST_TOKEN.")
    var tokenFile: String?
    @OptionGroup var local: LocalWorkerArguments

    mutating func run() async throws {
        Interrupt.install()
        let (listen, tokenFile, local) = (listen, tokenFile, local)
        try await told {
            let agent = try Agent(listen: listen, RunToken.find(file: tokenFile, warn: warn), local.fleet) { tell($0) }
            tell("agent listens on \(agent.address)")
            await agent.run()
        }
    }
}

/// A worker process: started by the load tester itself.
struct WorkerProcessCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Runs clients for the load tester that started it.", shouldDisplay: false)

    @Option var cores: String?

    mutating func run() async throws {
        let cores = cores
        try await told { try await WorkerService.runProcess(cores: cores.map { try CoreSet.parse($0) } ?? []) }
    }
}

/// How the clients are spread over this machine.
struct LocalWorkerArguments: ParsableArguments {
    @Option(help: "Processes that the clients are spread over; each may hold as many as `ulimit -n` says.")
    var workers =
        1
    @Option(help: "Cores that the workers are pinned to, as 1, 1-3 or 0,2; without it any.") var cores: String?

    func validate() throws {
        guard (1...FleetOptions.workerCountMax).contains(workers) else {
            throw ValidationError("--workers is \(workers); use 1...\(FleetOptions.workerCountMax)")
        }
        if let cores {
            do { _ = try CoreSet.parse(cores) } catch { throw ValidationError("\(error)") }
        }
    }

    var fleet: FleetOptions {
        get throws {
            var fleet = FleetOptions()
            fleet.workerCount = workers
            fleet.cores = try cores.map { try CoreSet.parse($0) } ?? []
            return fleet
        }
    }
}

/// Where the clients are: on this machine or on others.
struct FleetArguments: ParsableArguments {
    @OptionGroup var local: LocalWorkerArguments
    @Option(
        help: """
            HOST:PORT of each `loadtest agent` that runs the clients instead of this machine, with commas. Files, as \
            that of --ca, are read there.
            """)
    var agents: String?
    @Option(help: "File with the agents' secret; without it ROOST_LOADTEST_TOKEN.") var tokenFile: String?

    func validate() throws {
        if agents != nil, local.workers != 1 || local.cores != nil {
            throw ValidationError("--workers and --cores are for this machine; give them to `loadtest agent`")
        }
    }

    /// Reads the token's file.
    var fleet: FleetOptions {
        get throws {
            var fleet = try local.fleet
            guard let agents else { return fleet }
            fleet.agents = agents.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            fleet.token = try RunToken.find(file: tokenFile, warn: warn)
            return fleet
        }
    }
}
