// SPDX-License-Identifier: Apache-2.0

import Logging
import Roost
import RoostDemo
import Testing

@testable import RoostDaemon

@Suite struct ReadingTests {
    @Test("what nobody names has its default", arguments: [nil, "", "# nothing but a comment\n"])
    func hasDefaults(yaml: String?) throws { #expect(try read(yaml) == DaemonConfiguration()) }

    @Test("every key of the server is read") func readsTheServer() throws {
        let configuration = try read(
            """
            listen: [127.0.0.1:1, "[::1]:2", "unix:/run/x.sock"]
            log-level: debug
            schedulers: 3
            reductions-per-turn: 500
            stack-bytes: 512KiB
            max-heap-bytes: 0
            max-leaked-bytes: 5MiB
            dirty-cpu-threads: 3
            dirty-io-threads: 40
            long-schedule: 3ms
            stuck-schedule: 0
            max-spare-threads: 7
            drain-timeout: 250ms
            """)
        var expected = DaemonConfiguration()
        expected.listeners = ["127.0.0.1:1", "[::1]:2", "unix:/run/x.sock"].map {
            ListenerEntry(address: $0, settings: ListenerSettings(), routes: expected.routes)
        }
        expected.logLevel = .debug
        expected.schedulerCount = 3
        expected.reductionsPerTurn = 500
        expected.stackByteCount = 512 << 10
        expected.heapByteCountMax = 0
        expected.leakedByteCountMax = 5 << 20
        expected.dirtyCPUThreadCount = 3
        expected.dirtyIOThreadCount = 40
        expected.longSchedule = .milliseconds(3)
        expected.stuckSchedule = .zero
        expected.spareThreadCountMax = 7
        expected.drainTimeout = .milliseconds(250)
        #expect(configuration == expected)
        let server = configuration.server
        #expect(server.listeners.map(\.address) == ["127.0.0.1:1", "[::1]:2", "unix:/run/x.sock"])
        #expect(server.runtime.leakedByteCountMax == 5 << 20)
        #expect(server.runtime.dirtyCPUThreadCount == 3 && server.runtime.dirtyIOThreadCount == 40)
        #expect(server.runtime.longSchedule == .milliseconds(3) && server.runtime.stuckSchedule == .zero)
        #expect(server.runtime.spareThreadCountMax == 7)
        #expect(server.problems() == [])
    }

    static let everyRouteKey = """
        max-message-bytes: 1
        max-outbound-bytes: 2KiB
        slow-consumer: drop-oldest
        max-room-bytes: 13KiB
        max-waiting-bytes: 3KiB
        max-mailbox-messages: 4
        max-handler-bytes: 128KiB
        ping-interval: 0
        pong-timeout: 6s
        idle-timeout: 7m
        close-timeout: 8s
        max-message-rate: 11
        max-byte-rate: 12KiB
        rate-limit: close
        compression: {mode: takeover, level: 6, threshold: 1KiB, window-bits: 10, memory-level: 3}
        restart: {on-crash: close, intensity: 9, period: 10s}
        allowed-origins: [https://a.example, "http://localhost:8080", "https://*.b.example", "null", same]
        """

    static var everyRouteSetting: RouteSettings {
        var settings = RouteSettings()
        settings.limits.messageByteCountMax = 1
        settings.limits.outboundByteCountMax = 2 << 10
        settings.limits.slowConsumer = .dropOldest
        settings.limits.waitingByteCountMax = 3 << 10
        settings.limits.mailboxCountMax = 4
        settings.limits.heapByteCountMax = 128 << 10
        settings.limits.pingInterval = .zero
        settings.limits.pongTimeout = .seconds(6)
        settings.limits.idleTimeout = .seconds(420)
        settings.limits.closeTimeout = .seconds(8)
        settings.limits.messagesPerSecond = 11
        settings.limits.bytesPerSecond = 12 << 10
        settings.limits.rateLimit = .close
        settings.rooms.backlogByteCountMax = 13 << 10
        settings.compression = CompressionPolicy(.takeover)
        settings.compression.level = 6
        settings.compression.thresholdByteCount = 1_024
        settings.compression.windowBits = 10
        settings.compression.memoryLevel = 3
        settings.restart = RestartSettings(onCrash: .close, intensity: 9, period: .seconds(10))
        settings.allowedOrigins = [
            "https://a.example", "http://localhost:8080", "https://*.b.example", "null", "same",
        ]
        return settings
    }

    @Test("every key of a route is read, as a default of all") func readsRouteDefaults() throws {
        let configuration = try read(Self.everyRouteKey)
        #expect(configuration.routeDefaults == Self.everyRouteSetting)
        #expect(configuration.routes == RouteEntry.standard(Self.everyRouteSetting))
        #expect(configuration.listeners.map(\.routes) == [configuration.routes])
    }

    @Test("every key of a route is read, for one route alone") func readsRouteOverrides() throws {
        let indented = Self.everyRouteKey.split(separator: "\n").map { "    \($0)\n" }.joined()
        let configuration = try read(
            "routes:\n  - path: /a\n    kind: broadcast\n\(indented)  - {path: /b/*, kind: echo}\n")
        #expect(configuration.routeDefaults == RouteSettings())
        #expect(
            configuration.routes == [
                RouteEntry(path: "/a", kind: .broadcast, settings: Self.everyRouteSetting),
                RouteEntry(path: "/b/*", kind: .echo, settings: RouteSettings()),
            ])
        let route = configuration.routes[0].route(DaemonPages(configuration))
        #expect(route.path == "/a/*" && route.rooms?.limits == Self.everyRouteSetting.rooms)
        #expect(route.restart == .close)
        #expect(route.limits == Self.everyRouteSetting.limits)
        #expect(route.compression == Self.everyRouteSetting.compression)
        #expect(route.allowedOrigins == Self.everyRouteSetting.allowedOrigins)
    }

    @Test("a route inherits key by key") func inherits() throws {
        let configuration = try read(
            """
            restart: {intensity: 9, period: 1m}
            allowed-origins: [https://a.example]
            routes: [{path: /x, kind: echo, restart: {period: 2m}, allowed-origins: any}]
            """)
        #expect(
            configuration.routes[0].settings.restart
                == RestartSettings(onCrash: .restart, intensity: 9, period: .seconds(120)))
        #expect(configuration.routes[0].settings.allowedOrigins == nil)
    }

    @Test("the command line beats the environment, which beats the file") func ordersTheSources() throws {
        let yaml = "listen: [127.0.0.1:1]\nlog-level: error\nschedulers: 1\nmax-message-bytes: 1KiB\n"
        let environment = [
            "ROOST_LISTEN": "127.0.0.1:2, [::1]:2", "ROOST_LOG_LEVEL": "debug", "ROOST_SCHEDULERS": "2",
            "ROOST_MAX_MESSAGE_BYTES": "2KiB",
        ]
        let fromFile = try read(yaml)
        #expect(fromFile.addresses == ["127.0.0.1:1"] && fromFile.schedulerCount == 1 && fromFile.logLevel == .error)
        let fromEnvironment = try read(yaml, environment: environment)
        #expect(fromEnvironment.addresses == ["127.0.0.1:2", "[::1]:2"] && fromEnvironment.schedulerCount == 2)
        #expect(
            fromEnvironment.logLevel == .debug && fromEnvironment.routes[0].settings.limits.messageByteCountMax == 2_048
        )
        let fromCommandLine = try read(yaml, environment: environment) {
            $0.listen = ["127.0.0.1:3"]
            $0.schedulers = "3"
            $0.logLevel = "trace"
            $0.maxMessageBytes = "3KiB"
        }
        #expect(fromCommandLine.addresses == ["127.0.0.1:3"] && fromCommandLine.schedulerCount == 3)
        #expect(
            fromCommandLine.logLevel == .trace && fromCommandLine.routes[0].settings.limits.messageByteCountMax == 3_072
        )
    }

    @Test("every variable sets its key") func readsVariables() throws {
        let configuration = try read(environment: [
            "ROOST_RESTART_ON_CRASH": "close", "ROOST_RESTART_INTENSITY": "7", "ROOST_RESTART_PERIOD": "1m",
            "ROOST_ALLOWED_ORIGINS": "https://a.example,https://b.example", "ROOST_MAX_CONNECTIONS": "5",
            "ROOST_LISTEN": "",
        ])
        #expect(
            configuration.routeDefaults.restart == RestartSettings(onCrash: .close, intensity: 7, period: .seconds(60)))
        #expect(configuration.routeDefaults.allowedOrigins == ["https://a.example", "https://b.example"])
        #expect(configuration.listeners.map(\.settings.connectionCountMax) == [5])
        #expect(configuration.addresses == DaemonConfiguration().addresses)  // an empty variable is none
    }

    @Test("--demo adds every way to misbehave, but not over a path of the file") func addsDemoRoutes() throws {
        let configuration = try read("routes: [{path: /demo/spin, kind: echo}]") { $0.isDemo = true }
        let routes = configuration.listeners[0].routes
        #expect(routes.count == Misbehaviour.allCases.count)
        #expect(routes[0].kind == .echo)
        let paths = Set(routes.map(\.path))
        for name in ["spin", "deep", "throw", "hog", "trap/index", "trap/nil", "trap/exclusivity"] {
            #expect(paths.contains("/demo/\(name)"))
        }
        #expect(configuration.server.problems() == [])
    }

    @Test("what is allowed here, the server allows too", arguments: [false, true])
    func agreesWithTheServer(isUpper: Bool) throws {
        func line(_ name: String, _ rule: SettingRule) -> String {
            switch rule {
            case .count(let range): "\(name): \(isUpper ? range.upperBound : range.lowerBound)\n"
            case .bytes(let range, _): "\(name): \(isUpper ? range.upperBound : range.lowerBound)\n"
            case .duration(let range, _): "\(name): \(Quantity.text(isUpper ? range.upperBound : range.lowerBound))\n"
            case .choice, .flag, .text, .file, .list, .section: ""
            }
        }
        let yaml =
            SettingKey.allCases.map { line($0.rawValue, $0.rule) }
            + ListenerSettingKey.allCases.map { line($0.rawValue, $0.rule) }
            + RouteSettingKey.allCases.map { line($0.rawValue, $0.rule) }
        let compression = CompressionSettingKey.allCases.map { "  " + line($0.rawValue, $0.rule) }
        let configuration = try read(
            yaml.joined() + "compression:\n  mode: takeover\n" + compression.dropFirst().joined())
        #expect(configuration.server.problems() == [])
    }

    @Test("one past a bound is refused", arguments: SettingCatalog.topLevel)
    func refusesPastBounds(name: String) {
        let rule =
            SettingKey(rawValue: name)?.rule ?? ListenerSettingKey(rawValue: name)?.rule
            ?? RouteSettingKey(rawValue: name)?.rule
        switch rule {
        case .count(let range), .bytes(let range, _):
            #expect(problems("\(name): \(range.upperBound + 1)").count == 1)
            #expect(
                problems("\(name): \(range.lowerBound - 1)").count
                    == (range.lowerBound == 1 && rule?.orZero == true ? 0 : 1))
        case .duration(let range, _):
            #expect(problems("\(name): \(Quantity.text(range.upperBound + .milliseconds(1)))").count == 1)
            #expect(problems("\(name): \(Quantity.text(range.lowerBound - .milliseconds(1)))").count == 1)
        case .choice, .flag, .text, .file, .list, .section, nil: break
        }
    }
}

extension SettingRule {
    var orZero: Bool {
        switch self {
        case .bytes(_, let orZero), .duration(_, let orZero): orZero
        case .count, .choice, .flag, .text, .file, .list, .section: false
        }
    }
}
