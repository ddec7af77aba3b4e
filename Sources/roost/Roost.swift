// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Logging
internal import Roost
internal import RoostDemo

@main
struct RoostCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "roost", abstract: "A WebSocket server.", subcommands: [Serve.self])
}

struct Serve: AsyncParsableCommand {
    @Option(help: "Where to listen.") var listen: [String] = ["127.0.0.1:9001"]
    @Option(help: "Scheduler threads.") var schedulers = 0
    @Option(help: "Largest message.") var maxMessage = 1 << 20
    @Option(help: "Log level.") var logLevel = "info"
    @Flag(help: "Demo routes.") var demo = false

    mutating func run() async throws {
        var logger = Logger(label: "roost")
        logger.logLevel = Logger.Level(rawValue: logLevel) ?? .info
        var limits = ConnectionLimits()
        limits.messageByteCountMax = maxMessage
        var routes = [Route("/echo", limits: limits) { _ in EchoHandler() }]
        if demo { for kind in Misbehaviour.allCases { routes.append(Route("/demo/\(kind.rawValue)", limits: limits) { _ in DemoHandler(kind) }) } }
        var configuration = ServerConfiguration(listeners: listen.map { ListenerConfiguration(address: $0, routes: routes) })
        configuration.runtime.schedulerCount = schedulers
        let server = try await RoostServer.start(configuration, logger: logger)
        for address in server.addresses { print("listening on \(address)") }
        await server.drainRequested()
        await server.drain()
        server.stop()
    }
}
