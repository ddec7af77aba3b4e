// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Logging
internal import Roost
internal import RoostIO
internal import ServiceLifecycle

/// `roost serve` and `roost check`.
package enum Daemon {
    /// Serves until a signal or the runtime asks for a drain.
    package static func serve(
        configFile: String?, commandLine: CommandLineSettings, environment: [String: String]
    ) async -> ExitStatus {
        // A reader of our output that goes away must not end the daemon.
        _ = signal(SIGPIPE, SIG_IGN)
        var configuration: DaemonConfiguration
        do throws(ConfigurationError) {
            configuration = try DaemonConfiguration.read(
                file: configFile, commandLine: commandLine, environment: environment)
        } catch {
            return report(error)
        }
        let level = configuration.logLevel
        let logger = Logger(label: "roost") { _ in
            var handler = LogfmtHandler()
            handler.logLevel = level
            return handler
        }
        let limit = descriptorLimit(configuration)
        let verdict = limit.judge(
            connectionCountMax: configuration.connectionCountMax, isChosen: configuration.isConnectionCountMaxChosen)
        switch verdict {
        case .fits: break
        case .lowered(let count): configuration.connectionCountMax = count
        case .refused(let sentence): return fail(sentence)
        }
        let server: RoostServer
        do {
            server = try await RoostServer.start(configuration.server, logger: logger)
        } catch {
            return fail("\(error)")
        }
        let service = RoostService(server, logger: logger)
        // Before anybody is told that it listens: who reads that may send a signal at once.
        StopSignals.onFirst { name in
            logger.notice("signal received", metadata: ["signal.name": "\(name)"])
            service.shutDown()
        }
        announce(server, configuration, logger)
        if case .lowered(let count) = verdict { tellLowered(to: count, limit, logger) }
        return await run(service, logger)
    }

    /// Checks the configuration and says what it comes to.
    package static func check(configFile: String?, environment: [String: String]) -> ExitStatus {
        do throws(ConfigurationError) {
            let configuration = try DaemonConfiguration.read(
                file: configFile, commandLine: CommandLineSettings(), environment: environment)
            StandardStream.output.write(configuration.summary)
            return .success
        } catch {
            return report(error)
        }
    }

    private static func fail(_ sentence: String) -> ExitStatus {
        StandardStream.error.write("roost: \(sentence)\n")
        return .failure
    }

    private static func report(_ error: ConfigurationError) -> ExitStatus {
        StandardStream.error.write(error.problems.map { "roost: \($0)\n" }.joined())
        return error.exitStatus
    }

    /// The limit on descriptors, raised as far as it may be.
    private static func descriptorLimit(_ configuration: DaemonConfiguration) -> DescriptorLimit {
        let cores = sysconf(CInt(_SC_NPROCESSORS_ONLN))
        let schedulerCount = configuration.schedulerCount == 0 ? cores : configuration.schedulerCount
        return DescriptorLimit(
            count: SystemCalls.raiseDescriptorLimit(), listenerCount: configuration.listen.count,
            schedulerCount: min(max(schedulerCount, 1), 64))
    }

    private static func tellLowered(to count: Int, _ limit: DescriptorLimit, _ logger: Logger) {
        logger.notice(
            "fewer connections fit than max-connections says: raise the limit on open files for more",
            metadata: [
                "connections.max": "\(count)", "descriptors.limit": "\(limit.count)",
                "remedy": "ulimit -Hn 1048576, or LimitNOFILE=1048576 under systemd",
            ])
    }

    /// Says where it listens: on standard output for people and scripts, in the log for everybody else.
    private static func announce(_ server: RoostServer, _ configuration: DaemonConfiguration, _ logger: Logger) {
        StandardStream.output.write(Announcement.text(server.addresses, configuration.routes.map(\.path)))
        logger.notice(
            "started",
            metadata: [
                "listeners": .array(server.addresses.map { "\($0)" }), "version": "\(RoostVersion.current)",
                "schedulers": "\(server.statistics.schedulers.count)", "routes": "\(configuration.routes.count)",
                "connections.max": "\(configuration.connectionCountMax)",
            ])
    }

    /// Returns when the service has drained, which ends its group.
    private static func run(_ service: RoostService, _ logger: Logger) async -> ExitStatus {
        let configuration = ServiceGroupConfiguration(
            services: [.init(service: service, successTerminationBehavior: .gracefullyShutdownGroup)], logger: logger)
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch {
            return fail("the server ended: \(error)")
        }
        return service.drainCause == .runtime ? .restartWanted : .success
    }
}

/// What is printed once the server listens.
enum Announcement {
    /// A line for each listener, then one with the routes, as URLs where there is a TCP listener.
    static func text(_ addresses: [SocketAddress], _ paths: [String]) -> String {
        let base = addresses.first { $0.port != nil }.map(url) ?? ""
        return addresses.map { "listening on \($0)\n" }.joined()
            + "routes: " + paths.map { base + $0 }.joined(separator: " ") + "\n"
    }

    /// An address that a client on this machine can use.
    private static func url(_ address: SocketAddress) -> String {
        let text = "\(address)"
        for (any, local) in [("0.0.0.0:", "127.0.0.1:"), ("[::]:", "[::1]:")] where text.hasPrefix(any) {
            return "ws://" + local + text.dropFirst(any.count)
        }
        return "ws://" + text
    }
}
