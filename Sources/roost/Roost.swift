// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Foundation
internal import RoostDaemon

@main
enum Main {
    static func main() {
        DaemonSignals.wait {
            await RoostCommand.main()  // exits by itself but for success
            return .success
        }
    }
}

struct RoostCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roost",
        abstract: "A WebSocket server: one supervised process for each connection.",
        discussion: """
            Try it: `roost serve --demo` and connect a client to ws://127.0.0.1:9001/echo.

            Settings come from the command line, else from variables (ROOST_MAX_CONNECTIONS=20000 sets \
            max-connections), else from the file, else they have their defaults.
            """,
        version: "roost \(RoostVersion.current)",
        subcommands: [Serve.self, Check.self])
}

/// Where the configuration file is.
struct FileOption: ParsableArguments {
    @Option(help: ArgumentHelp("The configuration file (else ROOST_CONFIG, else none).", valueName: "file"))
    var config: String?
}

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve WebSockets, and health, metrics and pages over HTTP.",
        discussion: """
            Prints `listening on ADDRESS` for each listener, then its routes; logs to standard error. SIGTERM or \
            SIGINT drains: no new connections, close code 1001 for the others, until all are gone or drain-timeout \
            is over. A second signal stops at once. SIGHUP reads certificates and pages again; settings stay.

            Exit codes: 0 drained, 1 could not start or stopped at once, 64 wrong command line, 75 drained to be \
            started again because crashed handlers have lost too much memory, 78 wrong configuration.
            """)

    private static let listenHelp = """
        Where to listen: 127.0.0.1:9001 (the default), [::1]:9001, unix:/run/roost.sock; port 0 takes a free one. \
        May be repeated.
        """

    @OptionGroup var file: FileOption
    @Option(help: ArgumentHelp("\(listenHelp)", valueName: "address"))
    var listen: [String] = []
    @Option(
        help: ArgumentHelp(
            "TLS: the certificate with those it is signed with, in PEM; needs --tls-key.", valueName: "file"))
    var tlsChain: String?
    @Option(help: ArgumentHelp("TLS: the private key of --tls-chain, in PEM.", valueName: "file"))
    var tlsKey: String?
    @Option(help: ArgumentHelp("Scheduler threads, 0 to 64; 0, the default: one for each core.", valueName: "count"))
    var schedulers: String?
    @Option(help: ArgumentHelp("Largest message of a client, as in 65536 or 1MiB (the default).", valueName: "bytes"))
    var maxMessage: String?
    @Option(help: ArgumentHelp("trace, debug, info (default), notice, warning, error or critical.", valueName: "level"))
    var logLevel: String?
    @Flag(help: "Add /demo/…: handlers that echo until they are sent `go`, then spin, crash or hoard.")
    var demo = false

    func run() async throws {
        var settings = CommandLineSettings()
        settings.listen = listen
        settings.schedulers = schedulers
        settings.maxMessageBytes = maxMessage
        settings.logLevel = logLevel
        settings.tlsChain = tlsChain
        settings.tlsKey = tlsKey
        settings.isDemo = demo
        let status = await Daemon.serve(
            configFile: file.config, commandLine: settings, environment: ProcessInfo.processInfo.environment)
        throw ExitCode(status.rawValue)
    }
}

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check the configuration: every problem at once, or what it comes to.",
        discussion: """
            Reads every file that it names, and opens no socket. Exit codes: 0 right, 64 wrong command line, 78 wrong \
            configuration.
            """)

    @OptionGroup var file: FileOption

    func run() throws {
        let status = Daemon.check(configFile: file.config, environment: ProcessInfo.processInfo.environment)
        throw ExitCode(status.rawValue)
    }
}
