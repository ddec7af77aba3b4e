// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import LoadTesting
internal import RoostIO

@main
struct LoadTestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "loadtest", abstract: "Loads a WebSocket server and reports what it did.",
        subcommands: [Echo.self, Idle.self, RunScenario.self, CheckScenario.self, Conformance.self])
}

/// What every test asks for.
struct CommonArguments: ParsableArguments {
    @Argument(help: "ws://host[:port]/path, wss://… for TLS, or ws+unix:/path/of/socket:/path.") var url: String
    @Option(name: .shortAndLong, help: "Connections to open.") var connections = 100
    @Option(help: "Scheduler threads; 0: one for each core.") var schedulers = 0
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
    @Option(help: "Seconds a connection may take to open.") var connectTimeout = 10.0
    @Option(help: "Connection attempts under way at one time.") var connecting = 1_000
    @Option(help: "The server's process id, where it is on this machine: reports its CPU time and memory.")
    var serverPid: Int32?
    @Flag(help: "Report as JSON.") var json = false
    @Flag(help: "No progress line.") var quiet = false

    func validate() throws {
        if connecting < 1 { throw ValidationError("--connecting is \(connecting); use 1 or more") }
        if !(connectTimeout > 0 && connectTimeout <= 3_600) {
            throw ValidationError("--connect-timeout is \(connectTimeout); use more than 0, at most 3600")
        }
    }

    var target: Target {
        var target = Target([url])
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
        plan.schedulerCount = schedulers
        plan.connectingCountMax = connecting
        return plan
    }

    /// Runs a plan, reports, and ends the program: with 1 where there were errors.
    func run(_ plan: LoadPlan) async throws {
        Interrupt.install()
        let record = try await told {
            let meter = try serverPid.map { pid throws(LoadTestError) in try ProcessMeter(pid: pid) }
            let worker = try await LocalWorker(plan, WorkerPlace(index: 0, count: 1))
            return await LoadRun(plan, [worker], server: meter, observer: nil).run()
        }
        print(record.text, terminator: "")
        if !record.errors.isEmpty { throw ExitCode(1) }
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
        warn("\(error)")
        throw ExitCode(1)
    }
}

/// Says something beside the report.
func warn(_ message: String) {
    let line = Array("loadtest: \(message)\n".utf8)
    // Safe: the array's own bytes, with their count.
    unsafe line.withUnsafeBytes { unsafe _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
}
