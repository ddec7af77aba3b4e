// SPDX-License-Identifier: Apache-2.0

package import Roost
package import RoostDemo

/// What becomes of a connection whose handler crashed.
package enum CrashAction: String, Sendable, CaseIterable {
    case restart, close
}

/// The section `restart`.
package struct RestartSettings: Sendable, Equatable {
    package var onCrash = CrashAction.restart
    /// Crashes forgiven within `period`.
    package var intensity = 3
    package var period = Duration.seconds(5)

    package var policy: RestartPolicy {
        switch onCrash {
        case .restart: .restart(intensity: intensity, period: period)
        case .close: .close
        }
    }
}

/// What may differ from route to route.
package struct RouteSettings: Sendable, Equatable {
    package var limits = ConnectionLimits()
    package var restart = RestartSettings()
    /// nil: any.
    package var allowedOrigins: [String]?

    package init() {}

    /// Overrides what the sources name.
    mutating func read(_ reader: inout SettingReader) {
        func integer(_ key: RouteSettingKey, _ value: inout Int) {
            value = reader.integer(key.rawValue, rule: key.rule, default: value)
        }
        func duration(_ key: RouteSettingKey, _ value: inout Duration) {
            value = reader.duration(key.rawValue, rule: key.rule, default: value)
        }
        integer(.maxMessageBytes, &limits.messageByteCountMax)
        integer(.maxOutboundBytes, &limits.outboundByteCountMax)
        let slow = RouteSettingKey.slowConsumer
        limits.slowConsumer = reader.choice(slow.rawValue, rule: slow.rule, default: limits.slowConsumer)
        integer(.maxWaitingBytes, &limits.waitingByteCountMax)
        integer(.maxMailboxMessages, &limits.mailboxCountMax)
        let overflow = RouteSettingKey.mailboxOverflow
        limits.mailboxOverflow = reader.choice(
            overflow.rawValue, rule: overflow.rule, default: limits.mailboxOverflow)
        integer(.maxHandlerBytes, &limits.heapByteCountMax)
        duration(.pingInterval, &limits.pingInterval)
        duration(.pongTimeout, &limits.pongTimeout)
        duration(.idleTimeout, &limits.idleTimeout)
        duration(.closeTimeout, &limits.closeTimeout)
        readRestart(&reader)
        readOrigins(&reader)
    }

    private mutating func readRestart(_ reader: inout SettingReader) {
        let section = RouteSettingKey.restart.rawValue
        let (crash, intensity, period) = (
            RestartSettingKey.onCrash, RestartSettingKey.intensity, RestartSettingKey.period
        )
        restart.onCrash = reader.choice(section, crash.rawValue, rule: crash.rule, default: restart.onCrash)
        restart.intensity = reader.integer(
            section, intensity.rawValue, rule: intensity.rule, default: restart.intensity)
        restart.period = reader.duration(section, period.rawValue, rule: period.rule, default: restart.period)
    }

    private mutating func readOrigins(_ reader: inout SettingReader) {
        let name = RouteSettingKey.allowedOrigins.rawValue
        guard let (values, origin) = reader.list(name) else { return }
        if values == ["any"] {
            allowedOrigins = nil
            return
        }
        for value in values where !Self.isOrigin(value) {
            reader.report(
                origin, name,
                " has '\(value)'; write an origin as browsers send it, as in https://example.com or "
                    + "http://localhost:8080, or the single word any")
        }
        allowedOrigins = values
    }

    /// scheme://host[:port], and nothing behind it (RFC 6454 §6.2).
    private static func isOrigin(_ text: String) -> Bool {
        guard let mark = text.firstRange(of: "://"), mark.lowerBound > text.startIndex else { return false }
        let host = text[mark.upperBound...]
        return !host.isEmpty && !host.contains { $0 == "/" || $0 == "*" || $0 == "," || $0.isWhitespace }
    }
}

/// What a route does.
package enum RouteKind: Sendable, Hashable, CustomStringConvertible {
    case echo
    case demo(Misbehaviour)

    package static let all: [RouteKind] = [.echo] + Misbehaviour.allCases.map { .demo($0) }

    init?(_ name: String) {
        guard let kind = Self.all.first(where: { $0.description == name }) else { return nil }
        self = kind
    }

    package var description: String {
        switch self {
        case .echo: "echo"
        case .demo(let misbehaviour): "demo/\(misbehaviour.rawValue)"
        }
    }
}

/// One route of the daemon.
package struct RouteEntry: Sendable, Equatable {
    package let path: String
    package let kind: RouteKind
    package let settings: RouteSettings

    package init(path: String, kind: RouteKind, settings: RouteSettings) {
        self.path = path
        self.kind = kind
        self.settings = settings
    }

    package var route: Route {
        let (limits, restart, origins) = (settings.limits, settings.restart.policy, settings.allowedOrigins)
        return switch kind {
        case .echo:
            Route(path, limits: limits, restart: restart, allowedOrigins: origins) { _ in EchoHandler() }
        case .demo(let misbehaviour):
            Route(path, limits: limits, restart: restart, allowedOrigins: origins) { _ in DemoHandler(misbehaviour) }
        }
    }
}
