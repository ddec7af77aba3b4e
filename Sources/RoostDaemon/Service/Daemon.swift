// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Logging
internal import Roost
internal import RoostAdmin
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
        let pages: DaemonPages
        do throws(ConfigurationError) {
            (configuration, pages) = try load(configFile, commandLine, environment)
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
            configuration.listeners.map {
                .init(
                    connectionCountMax: $0.settings.connectionCountMax,
                    isChosen: $0.settings.isConnectionCountMaxChosen)
            })
        switch verdict {
        case .fits: break
        case .lowered(let count): configuration.lowerConnectionCounts(to: count)
        case .refused(let sentence): return fail(sentence)
        }
        let server: RoostServer
        do {
            server = try await RoostServer.start(configuration.server(pages), logger: logger)
        } catch {
            return fail("\(error)")
        }
        pages.metrics.attach(server)
        let service = RoostService(server, pages, logger: logger)
        listenForSignals(service, Reloader(server, pages, logger: logger), logger)
        announce(server, configuration, logger)
        if case .lowered(let count) = verdict { tellLowered(to: count, limit, logger) }
        for warning in configuration.warnings {
            logger.warning("settings that may not do what is meant", metadata: ["configuration.warning": "\(warning)"])
        }
        return await run(service, logger)
    }

    /// Before anybody is told that it listens: who reads that may send a signal at once.
    private static func listenForSignals(_ service: RoostService, _ reloader: Reloader, _ logger: Logger) {
        DaemonSignals.onStop { name in
            logger.notice("signal received", metadata: ["signal.name": "\(name)"])
            service.shutDown()
        }
        DaemonSignals.onReload {
            logger.notice("signal received", metadata: ["signal.name": "SIGHUP"])
            reloader.request()
        }
    }

    /// The configuration, with every file that it names read, and judged by the server too.
    private static func load(
        _ file: String?, _ commandLine: CommandLineSettings, _ environment: [String: String]
    ) throws(ConfigurationError) -> (DaemonConfiguration, DaemonPages) {
        let configuration = try DaemonConfiguration.read(
            file: file, commandLine: commandLine, environment: environment)
        let pages = DaemonPages(configuration)
        var problems = pages.load()
        // Several listeners may have the same fault from the top level.
        var seen: Set<String> = []
        for message in configuration.server(pages).problems() where seen.insert(message).inserted {
            problems.append(ConfigurationProblem(origin: .whole(file ?? environment["ROOST_CONFIG"]), message: message))
        }
        guard problems.isEmpty else { throw ConfigurationError(problems: problems) }
        return (configuration, pages)
    }

    /// Checks the configuration and says what it comes to.
    package static func check(configFile: String?, environment: [String: String]) -> ExitStatus {
        do throws(ConfigurationError) {
            let (configuration, _) = try load(configFile, CommandLineSettings(), environment)
            StandardStream.output.write(configuration.summary)
            return .success
        } catch {
            return report(error)
        }
    }

    private static func fail(_ sentence: String) -> ExitStatus {
        let lines = sentence.split(separator: "\n").map { "roost: \($0)\n" }
        StandardStream.error.write(lines.joined())
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
            count: SystemCalls.raiseDescriptorLimit(), listenerCount: configuration.listeners.count,
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
        let listeners = zip(server.addresses, configuration.listeners).map { address, entry in
            Announcement.Listener(address: address, isSecure: entry.settings.tls.isWanted, routes: entry.routes)
        }
        StandardStream.output.write(Announcement.text(listeners))
        logger.notice(
            "started",
            metadata: [
                "listeners": .array(listeners.map { "\($0.address)\($0.isSecure ? " (TLS)" : "")" }),
                "version": "\(RoostVersion.current)", "schedulers": "\(server.statistics.schedulers.count)",
                "routes": "\(Set(listeners.flatMap { $0.routes.map(\.path) }).count)",
                "connections.max": "\(configuration.listeners.reduce(0) { $0 + $1.settings.connectionCountMax })",
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
