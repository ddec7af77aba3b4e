// SPDX-License-Identifier: Apache-2.0

internal import Logging
internal import Roost

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
        }
    }
}

/// The settings of a listener. On the top level they are the defaults of every listener.
enum ListenerSettingKey: String, CaseIterable {
    case maxConnections = "max-connections"
    case handshakeTimeout = "handshake-timeout"
    case maxHeadBytes = "max-head-bytes"
    case maxBodyBytes = "max-body-bytes"
    case keepAliveTimeout = "keep-alive-timeout"
    case maxRequestsPerConnection = "max-requests-per-connection"
    case maxConnectionsPerAddress = "max-connections-per-address"
    case maxConnectRatePerAddress = "max-connect-rate-per-address"
    case connectBurstPerAddress = "connect-burst-per-address"
    case trustedProxies = "trusted-proxies"
    case proxyProtocol = "proxy-protocol"
    case forwardedHeader = "forwarded-header"
    case tls

    var rule: SettingRule {
        switch self {
        case .maxConnections: .count(1...10_000_000)
        case .handshakeTimeout: .duration(.milliseconds(100) ... .seconds(3_600))
        case .maxHeadBytes: .bytes(512...65_535)
        case .maxBodyBytes: .bytes(0...1 << 30)
        case .keepAliveTimeout: .duration(.zero ... .seconds(86_400))
        case .maxRequestsPerConnection: .count(1...1_000_000_000)
        case .maxConnectionsPerAddress: .count(0...10_000_000)
        case .maxConnectRatePerAddress, .connectBurstPerAddress: .count(0...1_000_000)
        case .trustedProxies: .list
        case .proxyProtocol: .flag
        case .forwardedHeader: .choice(ForwardedHeader.allCases.map(\.rawValue))
        case .tls: .section
        }
    }
}

/// What is in the section `tls`.
enum TLSSettingKey: String, CaseIterable {
    case certificates
    case chain
    case key
    case minVersion = "min-version"
    case clientCertificates = "client-certificates"
    case clientCA = "client-ca"
    case requireServerName = "require-server-name"
    case ciphers
    case ciphers13 = "ciphers-1.3"

    var rule: SettingRule {
        switch self {
        case .certificates: .list
        case .chain, .key, .clientCA: .file
        case .minVersion: .choice(TLSVersionName.allCases.map(\.rawValue))
        case .clientCertificates: .choice(ClientCertificatesName.allCases.map(\.rawValue))
        case .requireServerName: .flag
        case .ciphers, .ciphers13: .text
        }
    }
}

/// What an element of `tls.certificates` has.
enum CertificateKey: String, CaseIterable {
    case chain, key
}

/// The settings of a route. On the top level they are the defaults of every route.
enum RouteSettingKey: String, CaseIterable {
    case maxMessageBytes = "max-message-bytes"
    case maxOutboundBytes = "max-outbound-bytes"
    case slowConsumer = "slow-consumer"
    case maxRoomBytes = "max-room-bytes"
    case maxWaitingBytes = "max-waiting-bytes"
    case maxMailboxMessages = "max-mailbox-messages"
    case mailboxOverflow = "mailbox-overflow"
    case maxHandlerBytes = "max-handler-bytes"
    case pingInterval = "ping-interval"
    case pongTimeout = "pong-timeout"
    case idleTimeout = "idle-timeout"
    case closeTimeout = "close-timeout"
    case maxMessageRate = "max-message-rate"
    case maxByteRate = "max-byte-rate"
    case rateLimit = "rate-limit"
    case compression
    case restart
    case allowedOrigins = "allowed-origins"

    var rule: SettingRule {
        switch self {
        case .maxMessageBytes: .bytes(1...1 << 30)
        case .maxOutboundBytes, .maxRoomBytes, .maxWaitingBytes: .bytes(1 << 10...1 << 30)
        case .slowConsumer: .choice(SlowConsumerPolicy.allCases.map(\.rawValue))
        case .maxMailboxMessages: .count(1...Int(UInt32.max))
        case .mailboxOverflow: .choice(MailboxOverflowPolicy.allCases.map(\.rawValue))
        case .maxHandlerBytes: .bytes(64 << 10...1 << 40)
        case .pingInterval, .idleTimeout: .duration(.milliseconds(100) ... .seconds(86_400), orZero: true)
        case .pongTimeout: .duration(.milliseconds(100) ... .seconds(86_400))
        case .closeTimeout: .duration(.milliseconds(10) ... .seconds(86_400))
        case .maxMessageRate: .count(0...1_000_000_000)
        case .maxByteRate: .bytes(0...1 << 40)
        case .rateLimit: .choice(RateLimitPolicy.allCases.map(\.rawValue))
        case .compression, .restart: .section
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

/// What is in the section `compression`.
enum CompressionSettingKey: String, CaseIterable {
    case mode
    case level
    case threshold
    case windowBits = "window-bits"
    case memoryLevel = "memory-level"

    var rule: SettingRule {
        switch self {
        case .mode: .choice(CompressionPolicy.Mode.allCases.map(\.rawValue))
        case .level, .memoryLevel: .count(1...9)
        case .threshold: .bytes(0...1 << 30)
        case .windowBits: .count(8...15)
        }
    }
}

/// What only a route of a list `routes` has.
enum RouteIdentityKey: String, CaseIterable {
    case path, kind, file
}

/// What only a listener of the list `listeners` has.
enum ListenerIdentityKey: String, CaseIterable {
    case address, routes
}
