// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import LoadTesting
internal import RoostIO

@main
struct LoadTestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "loadtest", abstract: "Loads a WebSocket server and reports what it did.",
        subcommands: [Echo.self, Idle.self, Conformance.self])
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

    var target: TargetOptions {
        var target = TargetOptions(url: url, connectionCount: connections)
        target.schedulerCount = schedulers
        target.sourceAddresses = sourceAddress
        target.headers = header
        target.subprotocols = subprotocol
        target.tls.caFile = ca
        target.tls.verifiesCertificate = !insecure
        target.isCompressed = compress
        target.connectTimeout = .seconds(connectTimeout)
        target.connectingCountMax = connecting
        target.serverPid = serverPid
        return target
    }

    var progress: Progress { Progress(isEnabled: !quiet) }

    /// Prints a report and ends the program: with 1 where there were errors.
    func finish(text: String, json: String, hasErrors: Bool) throws {
        print(self.json ? json : text, terminator: self.json ? "\n" : "")
        if hasErrors { throw ExitCode(1) }
    }
}

struct Echo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Closed loop: each connection keeps messages in flight; measures and checks each round trip.")

    @OptionGroup var common: CommonArguments
    @Option(name: .shortAndLong, help: "Bytes of a message.") var size = 64
    @Option(name: [.customShort("k"), .long], help: "Messages that each connection keeps in flight.") var inFlight = 1
    @Option(name: .shortAndLong, help: "Seconds to measure.") var duration = 10.0
    @Option(name: .shortAndLong, help: "Seconds before the measurement.") var warmup = 1.0
    @Flag(help: "Send text instead of binary messages.") var text = false

    func validate() throws { try checkSeconds(duration, "--duration") }

    mutating func run() async throws {
        Interrupt.install()
        var test = EchoTest(common.target, EchoPlan(size: .fixed(size), inFlight: inFlight, isText: text))
        test.duration = .seconds(duration)
        test.warmup = .seconds(max(warmup, 0))
        let report = try await told { try await test.run(common.progress) }
        try common.finish(text: report.text, json: report.json, hasErrors: !report.errors.isEmpty)
    }
}

struct Idle: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Opens connections and holds them; reports connect times and, with --server-pid, memory per connection.")

    @OptionGroup var common: CommonArguments
    @Option(name: .shortAndLong, help: "Seconds to hold the connections; without it, until Ctrl-C.") var duration:
        Double?

    func validate() throws { if let duration { try checkSeconds(duration, "--duration") } }

    mutating func run() async throws {
        Interrupt.install()
        var test = IdleTest(common.target)
        test.duration = duration.map { .seconds($0) }
        let report = try await told { try await test.run(common.progress) }
        try common.finish(text: report.text, json: report.json, hasErrors: !report.errors.isEmpty)
    }
}

struct Conformance: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Plays the client in a run of Autobahn's fuzzingserver.", shouldDisplay: false)

    @Argument(help: "Where the fuzzingserver listens.") var url: String

    mutating func run() async throws {
        let count = try await told { try await ConformanceRun(url: url).run(Progress(isEnabled: true)) }
        print("\(count) cases were run; the server has the verdicts")
    }
}

private func checkSeconds(_ seconds: Double, _ name: String) throws {
    guard seconds > 0, seconds <= 31_536_000 else {
        throw ValidationError("\(name) is \(seconds); use more than 0, at most a year")
    }
}

/// Runs a test; where it cannot begin, says why and ends the program with 1.
private func told<Result>(_ body: () async throws -> Result) async throws -> Result {
    do {
        return try await body()
    } catch {
        let line = Array("loadtest: \(error)\n".utf8)
        // Safe: the array's own bytes, with their count.
        unsafe line.withUnsafeBytes { unsafe _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
        throw ExitCode(1)
    }
}
