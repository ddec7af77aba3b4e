// SPDX-License-Identifier: Apache-2.0

internal import Logging
internal import Roost

/// What values a setting takes.
enum SettingRule: Equatable {
    case count(ClosedRange<Int>)
    /// `orZero`: 0 is allowed besides, and means that there is no limit.
    case bytes(ClosedRange<Int>, orZero: Bool = false)
    case duration(ClosedRange<Duration>, orZero: Bool = false)
    case choice([String])
    /// Text that is judged elsewhere.
    case text
    case list
    /// Keys of its own.
    case section

    /// The end of the sentence "… is 7; use".
    var allowed: String {
        switch self {
        case .count(let range): "\(range.lowerBound) to \(range.upperBound)"
        case .bytes(let range, let orZero):
            "\(Quantity.text(byteCount: range.lowerBound)) to \(Quantity.text(byteCount: range.upperBound))"
                + (orZero ? ", or 0 for no limit" : "")
        case .duration(let range, let orZero):
            "\(Quantity.text(range.lowerBound)) to \(Quantity.text(range.upperBound))"
                + (orZero ? ", or 0 for none" : "")
        case .choice(let names):
            names.count > 6 ? "one of \(names.joined(separator: ", "))" : names.joined(separator: " or ")
        case .text: "text"
        case .list: "a list"
        case .section: "keys of its own"
        }
    }
}

/// The settings of the whole daemon, by their names in the file.
enum SettingKey: String, CaseIterable {
    case listen
    case logLevel = "log-level"
    case schedulers
    case reductionsPerTurn = "reductions-per-turn"
    case stackBytes = "stack-bytes"
    case maxHeapBytes = "max-heap-bytes"
    case maxLeakedBytes = "max-leaked-bytes"
    case dirtyCPUThreads = "dirty-cpu-threads"
    case dirtyIOThreads = "dirty-io-threads"
    case longSchedule = "long-schedule"
    case stuckSchedule = "stuck-schedule"
    case maxSpareThreads = "max-spare-threads"
    case drainTimeout = "drain-timeout"
    case maxConnections = "max-connections"
    case handshakeTimeout = "handshake-timeout"
    case maxHeadBytes = "max-head-bytes"
    case routes

    var rule: SettingRule {
        switch self {
        case .listen, .routes: .list
        case .logLevel: .choice(Logger.Level.allCases.map(\.rawValue))
        case .schedulers: .count(0...64)
        case .reductionsPerTurn: .count(100...1_000_000)
        case .stackBytes: .bytes(256 << 10...64 << 20)
        case .maxHeapBytes: .bytes(64 << 10...1 << 40, orZero: true)
        case .maxLeakedBytes: .bytes(1 << 20...1 << 40)
        case .dirtyCPUThreads: .count(0...64)
        case .dirtyIOThreads: .count(1...1_024)
        case .longSchedule: .duration(.milliseconds(1) ... .seconds(10))
        case .stuckSchedule: .duration(.milliseconds(2) ... .seconds(600), orZero: true)
        case .maxSpareThreads: .count(0...1_000)
        case .drainTimeout: .duration(.zero ... .seconds(86_400))
        case .maxConnections: .count(1...10_000_000)
        case .handshakeTimeout: .duration(.milliseconds(100) ... .seconds(3_600))
        case .maxHeadBytes: .bytes(512...65_535)
        }
    }
}

/// The settings of a route. On the top level they are the defaults of every route.
enum RouteSettingKey: String, CaseIterable {
    case maxMessageBytes = "max-message-bytes"
    case maxOutboundBytes = "max-outbound-bytes"
    case slowConsumer = "slow-consumer"
    case maxWaitingBytes = "max-waiting-bytes"
    case maxMailboxMessages = "max-mailbox-messages"
    case mailboxOverflow = "mailbox-overflow"
    case maxHandlerBytes = "max-handler-bytes"
    case pingInterval = "ping-interval"
    case pongTimeout = "pong-timeout"
    case idleTimeout = "idle-timeout"
    case closeTimeout = "close-timeout"
    case restart
    case allowedOrigins = "allowed-origins"

    var rule: SettingRule {
        switch self {
        case .maxMessageBytes: .bytes(1...1 << 30)
        case .maxOutboundBytes, .maxWaitingBytes: .bytes(1 << 10...1 << 30)
        case .slowConsumer: .choice(SlowConsumerPolicy.allCases.map(\.rawValue))
        case .maxMailboxMessages: .count(1...Int(UInt32.max))
        case .mailboxOverflow: .choice(MailboxOverflowPolicy.allCases.map(\.rawValue))
        case .maxHandlerBytes: .bytes(64 << 10...1 << 40)
        case .pingInterval, .idleTimeout: .duration(.milliseconds(100) ... .seconds(86_400), orZero: true)
        case .pongTimeout: .duration(.milliseconds(100) ... .seconds(86_400))
        case .closeTimeout: .duration(.milliseconds(10) ... .seconds(86_400))
        case .restart: .section
        case .allowedOrigins: .list
        }
    }
}

/// What is in the section `restart`.
enum RestartSettingKey: String, CaseIterable {
    case onCrash = "on-crash"
    case intensity
    case period

    var rule: SettingRule {
        switch self {
        case .onCrash: .choice(CrashAction.allCases.map(\.rawValue))
        case .intensity: .count(0...1_000)
        case .period: .duration(.milliseconds(100) ... .seconds(86_400))
        }
    }
}

/// What only a route of the list `routes` has.
enum RouteIdentityKey: String, CaseIterable {
    case path, kind
}

/// Every name there is, for whoever misspelt one.
enum SettingCatalog {
    static let restart = RestartSettingKey.allCases.map(\.rawValue)
    static let routeSettings = RouteSettingKey.allCases.map(\.rawValue)
    static let topLevel = SettingKey.allCases.map(\.rawValue) + routeSettings
    static let route = RouteIdentityKey.allCases.map(\.rawValue) + routeSettings

    /// The variables that set something: each single value or list of the top level, and `ROOST_CONFIG`.
    static let environmentVariables: [String] = {
        let sections = [SettingKey.routes.rawValue, RouteSettingKey.restart.rawValue]
        let names = topLevel.filter { !sections.contains($0) } + restart.map { "restart-\($0)" } + ["config"]
        return names.map(environmentVariable)
    }()

    static func environmentVariable(_ name: String) -> String {
        "ROOST_" + name.uppercased().replacing("-", with: "_").replacing(".", with: "_")
    }
}
