// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import LoadTesting
internal import RoostIO

@main
struct LoadTestCommand: AsyncParsableCommand {
    static let version = "0.1.0"
    static let configuration = CommandConfiguration(
        commandName: "loadtest", abstract: "Loads a WebSocket server and reports what it did.", version: version,
        subcommands: planCommands.map { $0 as any ParsableCommand.Type } + [
            RunScenario.self, CheckScenario.self, Compare.self, Report.self, AgentCommand.self,
            WorkerProcessCommand.self, Conformance.self,
        ])

    /// Those that make a plan and run it; `compare` runs them in turns.
    static let planCommands: [any PlanCommand.Type] = [
        Echo.self, Rate.self, Idle.self, Ramp.self, FanOut.self, Churn.self, Storm.self, Slow.self, Soak.self,
    ]
}

/// A subcommand that is one run.
protocol PlanCommand: AsyncParsableCommand {
    var common: CommonArguments { get }
    func makePlan() throws -> LoadPlan
    /// What the scenario reports beside what all do.
    func ownFigures(_ record: RunRecord) -> (text: String, isGood: Bool)
}

/// A report of a scenario's own, and whether it is good.
typealias OwnFigures = (RunRecord) -> (text: String, isGood: Bool)

extension PlanCommand {
    mutating func run() async throws {
        let plan = try told { try makePlan() }
        let command = self
        try await common.run(plan) { command.ownFigures($0) }
    }

    func ownFigures(_ record: RunRecord) -> (text: String, isGood: Bool) { ("", true) }
}

/// What every test asks for.
struct CommonArguments: ParsableArguments {
    @Argument(
        help: "ws://host[:port]/path, wss://… for TLS, or ws+unix:/path/of/socket:/path. Clients take several in turn.")
    var url: [String]
    @Option(name: .shortAndLong, help: "Connections to open.") var connections = 100
    @Option(help: "Scheduler threads of each worker; 0: the cores are shared out.") var schedulers = 0
    @Option(
        parsing: .upToNextOption,
        help: "Local addresses to connect from, in turn; each is good for about 28,000 connections.")
    var sourceAddress: [String] = []
    @Option(help: "A header of the upgrade request, 'Name: value'. May be given several times.") var header: [String] =
        []
    @Option(help: "A subprotocol to offer. May be given several times.") var subprotocol: [String] = []
    @Option(
        help: "PEM file of the authorities that a wss:// server's certificate may be from; without it the system's.")
    var ca: String?
    @Flag(help: "Take any certificate of a wss:// server.") var insecure = false
    @Flag(help: "Offer compression (permessage-deflate).") var compress = false
    @Option(help: "Seconds a connection may take to open; also 500ms, 1m. (default: 10)", transform: seconds)
    var connectTimeout =
        10.0
    @Option(help: "How long the last answers are waited for; also 500ms, 1m. (default: 5)", transform: seconds)
    var endTimeout = 5.0
    @Option(help: "Length of a step of the timeline: 1, 100ms. (default: 1)", transform: seconds) var interval = 1.0
    @Option(help: "Connection attempts under way at one time.") var connecting = 1_000
    @Option(help: "The server's process id, where it is on this machine: reports its CPU time and memory.")
    var serverPid: Int32?
    @OptionGroup var fleetArguments: FleetArguments
    @OptionGroup(title: "Reports") var output: OutputArguments

    func validate() throws {
        if connections < 1 { throw ValidationError("--connections is \(connections); use 1 or more") }
        if connecting < 1 { throw ValidationError("--connecting is \(connecting); use 1 or more") }
        if !(connectTimeout > 0 && connectTimeout <= 3_600) {
            throw ValidationError("--connect-timeout is \(connectTimeout); use more than 0, at most 3600")
        }
    }

    var target: Target {
        var target = Target(url)
        target.sourceAddresses = sourceAddress
        target.headers = header
        target.subprotocols = subprotocol
        target.caFile = ca
        target.isInsecure = insecure
        target.isCompressed = compress
        target.connectTimeoutSeconds = connectTimeout
        return target
    }

    /// A plan of one group.
    func plan(_ scenario: Scenario, _ behaviour: Behaviour) -> LoadPlan {
        var plan = LoadPlan(scenario, groups: [ClientGroup("clients", connections, target, behaviour)])
        apply(to: &plan)
        return plan
    }

    /// Where the clients are.
    var fleet: FleetOptions { get throws { try fleetArguments.fleet } }

    /// What every plan has.
    func apply(to plan: inout LoadPlan) {
        plan.schedulerCount = schedulers
        plan.connectingCountMax = connecting
        plan.endTimeoutSeconds = endTimeout
        plan.intervalSeconds = interval
    }

    /// Runs a plan, reports, and ends the program: with 1 where there were errors, or the scenario's own report, which
    /// `figures` gives, is not good; with 0 else, also where Ctrl-C has ended the run early. A second Ctrl-C ends it at
    /// once and unreported.
    func run(_ plan: LoadPlan, figures: OwnFigures = { _ in ("", isGood: true) }) async throws {
        let fleet = try told { try self.fleet }
        try await output.run(plan, fleet, serverPid: serverPid, figures: figures)
    }
}

func checkSeconds(_ seconds: Double, _ name: String) throws {
    guard seconds > 0, seconds <= 31_536_000 else {
        throw ValidationError("\(name) is \(seconds); use more than 0, at most a year")
    }
}

/// Runs a test; where it cannot begin, says why and ends the program with 1.
func told<Result>(_ body: () async throws -> Result) async throws -> Result {
    do {
        return try await body()
    } catch {
        tell("\(error)")
        throw ExitCode(1)
    }
}

func told<Result>(_ body: () throws -> Result) throws -> Result {
    do {
        return try body()
    } catch {
        tell("\(error)")
        throw ExitCode(1)
    }
}

func warn(_ text: String) { tell("warning: \(text)") }

/// A line on standard error.
func tell(_ text: String) {
    let line = Array("loadtest: \(text)\n".utf8)
    // Safe: the array's own bytes, with their count.
    unsafe line.withUnsafeBytes { unsafe _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
}
