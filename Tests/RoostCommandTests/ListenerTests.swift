// SPDX-License-Identifier: Apache-2.0

import Roost
import Testing

@testable import RoostDaemon

/// `listeners`, and what every listener has.
@Suite struct ListenerTests {
    static let everyKey = """
        max-connections: 77
        handshake-timeout: 2
        max-head-bytes: 4096
        max-body-bytes: 5KiB
        keep-alive-timeout: 0
        max-requests-per-connection: 6
        max-connections-per-address: 7
        max-connect-rate-per-address: 8
        connect-burst-per-address: 9
        trusted-proxies: [10.0.0.0/8, "::1", unix]
        proxy-protocol: yes
        forwarded-header: x-forwarded-for
        tls:
          certificates:
            - {chain: a.pem, key: /a.key}
            - {chain: b/b.pem, key: b/b.key}
          min-version: 1.3
          client-certificates: optional
          client-ca: ca.pem
          require-server-name: on
          ciphers: ECDHE+AESGCM
          ciphers-1.3: TLS_AES_128_GCM_SHA256
        """

    static var everySetting: ListenerSettings {
        var settings = ListenerSettings()
        settings.connectionCountMax = 77
        settings.handshakeTimeout = .seconds(2)
        settings.headByteCountMax = 4_096
        settings.http.bodyByteCountMax = 5 << 10
        settings.http.keepAliveTimeout = .zero
        settings.http.requestCountMax = 6
        settings.addressLimits.connectionCountMax = 7
        settings.addressLimits.connectsPerSecond = 8
        settings.addressLimits.connectBurst = 9
        settings.proxy.trusted = ["10.0.0.0/8", "::1", "unix"]
        settings.proxy.requiresProxyProtocol = true
        settings.proxy.forwardedHeader = .xForwardedFor
        settings.tls.isWanted = true
        settings.tls.configuration.certificates = [
            TLSCertificate(chainFile: "a.pem", keyFile: "/a.key"),
            TLSCertificate(chainFile: "b/b.pem", keyFile: "b/b.key"),
        ]
        settings.tls.configuration.minimumVersion = .tls13
        settings.tls.configuration.clientCertificates = .optional
        settings.tls.configuration.clientCAFile = "ca.pem"
        settings.tls.configuration.requiresServerName = true
        settings.tls.configuration.cipherSuites = "ECDHE+AESGCM"
        settings.tls.configuration.cipherSuites13 = "TLS_AES_128_GCM_SHA256"
        return settings
    }

    static func expect(_ listener: ListenerConfiguration, hasEverySettingAt address: String) {
        let settings = everySetting
        #expect(listener.address == address)
        #expect(listener.connectionCountMax == 77 && listener.headByteCountMax == 4_096)
        #expect(listener.handshakeTimeout == .seconds(2))
        #expect(listener.http == settings.http && listener.addressLimits == settings.addressLimits)
        #expect(listener.proxy == settings.proxy && listener.tls == settings.tls.configuration)
    }

    @Test("every key of a listener is read, as a default of all") func readsDefaults() throws {
        let configuration = try read(Self.everyKey)
        #expect(configuration.listenerDefaults == Self.everySetting)
        #expect(configuration.listeners.map(\.settings) == [Self.everySetting])
        #expect(configuration.listenerDefaults.isConnectionCountMaxChosen)
        Self.expect(configuration.server.listeners[0], hasEverySettingAt: "127.0.0.1:9001")
    }

    @Test("every key of a listener is read, for one listener alone") func readsOverrides() throws {
        let indented = Self.everyKey.split(separator: "\n").map { "    \($0)\n" }.joined()
        let configuration = try read("listeners:\n  - address: 127.0.0.1:1\n\(indented)  - {address: \"[::1]:2\"}\n")
        #expect(configuration.listenerDefaults == ListenerSettings())
        #expect(configuration.listeners.map(\.settings) == [Self.everySetting, ListenerSettings()])
        let listeners = configuration.server.listeners
        Self.expect(listeners[0], hasEverySettingAt: "127.0.0.1:1")
        #expect(listeners[1].address == "[::1]:2" && listeners[1].tls == nil)
    }

    @Test("a listener inherits key by key, and routes as a whole") func inherits() throws {
        let configuration = try read(
            """
            max-connections: 5
            tls: {chain: a.pem, key: a.key, min-version: 1.3}
            max-message-bytes: 2KiB
            routes: [{path: /top, kind: echo}]
            listeners:
              - address: 127.0.0.1:1
              - {address: "127.0.0.1:2", tls: {chain: b.pem, key: b.key}, max-head-bytes: 512}
              - {address: "127.0.0.1:3", tls: off, routes: [{path: /own, kind: echo}]}
            """)
        let (first, second, third) = (
            configuration.listeners[0], configuration.listeners[1], configuration.listeners[2]
        )
        #expect(first.settings == configuration.listenerDefaults)
        #expect(second.settings.connectionCountMax == 5 && second.settings.headByteCountMax == 512)
        #expect(second.settings.tls.configuration.minimumVersion == .tls13)
        #expect(
            second.settings.tls.configuration.certificates == [TLSCertificate(chainFile: "b.pem", keyFile: "b.key")])
        #expect(!third.settings.tls.isWanted && configuration.server.listeners[2].tls == nil)
        #expect(first.routes.map(\.path) == ["/top"] && second.routes == first.routes)
        #expect(third.routes.map(\.path) == ["/own"])
        #expect(third.routes[0].settings.limits.messageByteCountMax == 2_048)
    }

    @Test("a listener that asks for no certificates of clients leaves out the client-ca that it inherits")
    func leavesOutClientCA() throws {
        let configuration = try read(
            """
            tls: {chain: a, key: b, client-certificates: required, client-ca: c}
            listeners:
              - address: 127.0.0.1:1
              - {address: "127.0.0.1:2", tls: {client-certificates: none}}
            """)
        let listeners = configuration.server.listeners
        #expect(listeners.map { $0.tls?.clientCAFile } == ["c", nil])
    }

    @Test("tls: off for all, on for one") func turnsOn() throws {
        let configuration = try read(
            """
            tls: off
            listeners:
              - address: 127.0.0.1:1
              - {address: "127.0.0.1:2", tls: {chain: b.pem, key: b.key}}
            """)
        #expect(configuration.listeners.map(\.settings.tls.isWanted) == [false, true])
    }

    @Test("defaults of tls without a certificate do for listeners that have one, or have it off")
    func takesDefaultsAlone() throws {
        let configuration = try read(
            """
            tls: {min-version: 1.3}
            listeners:
              - {address: "127.0.0.1:1", tls: {chain: b.pem, key: b.key}}
              - {address: "127.0.0.1:2", tls: off}
            """)
        #expect(configuration.listeners[0].settings.tls.configuration.minimumVersion == .tls13)
    }

    @Test("files are where the configuration file is; those of the command line and of variables are not")
    func resolvesFiles() throws {
        func certificate(_ environment: [String: String], _ chain: String?, _ key: String?) throws
            -> TLSCertificate?
        {
            let text = "tls: {certificates: [{chain: c.pem, key: /k.pem}]}"
            var commandLine = CommandLineSettings()
            (commandLine.tlsChain, commandLine.tlsKey) = (chain, key)
            let sources = ConfigurationSources(
                commandLine: commandLine, environment: environment,
                file: try YAMLDocument(path: "/etc/roost/roost.yaml", text: text))
            return try DaemonConfiguration.read(sources).listenerDefaults.tls.configuration.certificates.first
        }
        #expect(try certificate([:], nil, nil) == TLSCertificate(chainFile: "/etc/roost/c.pem", keyFile: "/k.pem"))
        #expect(try certificate([:], "x.pem", "y.pem") == TLSCertificate(chainFile: "x.pem", keyFile: "y.pem"))
        let environment = ["ROOST_TLS_CHAIN": "e.pem", "ROOST_TLS_KEY": "f.pem"]
        #expect(try certificate(environment, nil, nil) == TLSCertificate(chainFile: "e.pem", keyFile: "f.pem"))
        #expect(try certificate(environment, "x.pem", "y.pem") == TLSCertificate(chainFile: "x.pem", keyFile: "y.pem"))
    }

    @Test("every single value has a variable") func readsVariables() throws {
        let configuration = try read(environment: [
            "ROOST_MAX_BODY_BYTES": "1KiB", "ROOST_KEEP_ALIVE_TIMEOUT": "5s", "ROOST_MAX_REQUESTS_PER_CONNECTION": "2",
            "ROOST_MAX_CONNECTIONS_PER_ADDRESS": "3", "ROOST_MAX_CONNECT_RATE_PER_ADDRESS": "4",
            "ROOST_CONNECT_BURST_PER_ADDRESS": "5", "ROOST_TRUSTED_PROXIES": "10.0.0.1, 10.0.0.2",
            "ROOST_PROXY_PROTOCOL": "true", "ROOST_FORWARDED_HEADER": "Forwarded", "ROOST_TLS_CHAIN": "c",
            "ROOST_TLS_KEY": "k", "ROOST_TLS_MIN_VERSION": "1.3", "ROOST_TLS_CLIENT_CERTIFICATES": "required",
            "ROOST_TLS_CLIENT_CA": "a", "ROOST_TLS_REQUIRE_SERVER_NAME": "yes", "ROOST_TLS_CIPHERS": "x",
            "ROOST_TLS_CIPHERS_1_3": "y", "ROOST_MAX_MESSAGE_RATE": "6", "ROOST_MAX_BYTE_RATE": "7",
            "ROOST_RATE_LIMIT": "close", "ROOST_COMPRESSION_MODE": "takeover", "ROOST_COMPRESSION_LEVEL": "9",
            "ROOST_COMPRESSION_THRESHOLD": "1KiB", "ROOST_COMPRESSION_WINDOW_BITS": "9",
            "ROOST_COMPRESSION_MEMORY_LEVEL": "1",
        ])
        let settings = configuration.listenerDefaults
        #expect(settings.http.bodyByteCountMax == 1_024 && settings.http.keepAliveTimeout == .seconds(5))
        #expect(settings.http.requestCountMax == 2 && settings.addressLimits.connectionCountMax == 3)
        #expect(settings.addressLimits.connectsPerSecond == 4 && settings.addressLimits.connectBurst == 5)
        #expect(settings.proxy.trusted == ["10.0.0.1", "10.0.0.2"] && settings.proxy.requiresProxyProtocol)
        #expect(settings.proxy.forwardedHeader == .forwarded)
        let tls = settings.tls.configuration
        #expect(settings.tls.isWanted && tls.certificates == [TLSCertificate(chainFile: "c", keyFile: "k")])
        #expect(tls.minimumVersion == .tls13 && tls.clientCertificates == .required && tls.clientCAFile == "a")
        #expect(tls.requiresServerName && tls.cipherSuites == "x" && tls.cipherSuites13 == "y")
        let route = configuration.routeDefaults
        #expect(route.limits.messagesPerSecond == 6 && route.limits.bytesPerSecond == 7)
        #expect(route.limits.rateLimit == .close && route.compression.mode == .takeover)
        #expect(route.compression.level == 9 && route.compression.thresholdByteCount == 1_024)
        #expect(route.compression.windowBits == 9 && route.compression.memoryLevel == 1)
    }

    @Test("the catalogue of variables has each key that a variable can set") func knowsItsVariables() {
        let variables = SettingCatalog.environmentVariables
        #expect(Set(variables).count == variables.count)
        for name in ["ROOST_COMPRESSION", "ROOST_COMPRESSION_MODE", "ROOST_TLS", "ROOST_TLS_CIPHERS_1_3"] {
            #expect(variables.contains(name))
        }
        for name in ["ROOST_RESTART", "ROOST_ROUTES", "ROOST_LISTENERS", "ROOST_TLS_CERTIFICATES"] {
            #expect(!variables.contains(name))
        }
    }

    @Test("a word says a section's mode", arguments: ["off", "no-takeover", "takeover", "TakeOver"])
    func readsWords(word: String) throws {
        let mode = CompressionPolicy.Mode(rawValue: word.lowercased())
        #expect(try read("compression: \(word)").routeDefaults.compression.mode == mode)
        let route = try read("compression: {level: 5}\nroutes: [{path: /a, kind: echo, compression: \(word)}]").routes[
            0]
        #expect(route.settings.compression.mode == mode && route.settings.compression.level == 5)
        #expect(try read(environment: ["ROOST_COMPRESSION": word]).routeDefaults.compression.mode == mode)
    }

    @Test("a stronger source beats a word, and a word a weaker source") func ordersWords() throws {
        let yaml = "compression: {mode: takeover, level: 3}"
        let compression = try read(yaml, environment: ["ROOST_COMPRESSION": "off"]).routeDefaults.compression
        #expect(compression.mode == .off && compression.level == 3)
        #expect(
            try read("compression: off", environment: ["ROOST_COMPRESSION_MODE": "takeover"]).routeDefaults.compression
                .mode == .takeover)
        #expect(
            try !read("tls: {chain: c, key: k}", environment: ["ROOST_TLS": "off"]).listenerDefaults.tls.isWanted)
        #expect(
            try read(environment: ["ROOST_TLS": "off"]) { ($0.tlsChain, $0.tlsKey) = ("c", "k") }.listenerDefaults.tls
                .isWanted)
    }

    @Test(
        "yes and no have three spellings each",
        arguments: [
            ("yes", true), ("true", true), ("on", true), ("ON", true), ("no", false), ("false", false), ("off", false),
        ])
    func readsFlags(word: String, value: Bool) throws {
        let yaml = "trusted-proxies: [unix]\nproxy-protocol: \(word)"
        #expect(try read(yaml).listenerDefaults.proxy.requiresProxyProtocol == value)
    }

    @Test("--demo adds its routes to every listener") func addsDemoRoutes() throws {
        let configuration = try read(
            "listeners: [{address: \"127.0.0.1:1\"}, {address: \"127.0.0.1:2\", routes: [{path: /a, kind: echo}]}]"
        ) { $0.isDemo = true }
        for listener in configuration.listeners {
            #expect(listener.routes.contains { $0.path == "/demo/spin" })
        }
    }

    @Test("every kind makes a route of its own sort") func makesRoutes() throws {
        let configuration = try read(
            """
            routes:
              - {path: /, kind: page, file: page.html}
              - {path: /health, kind: health}
              - {path: /metrics, kind: metrics}
              - {path: /echo, kind: echo, compression: takeover}
              - {path: /rooms, kind: broadcast}
            """)
        #expect(configuration.pageFiles.map(\.path) == ["page.html"])
        let routes = configuration.server.listeners[0].routes
        #expect(routes.map(\.path) == ["/", "/health", "/metrics", "/echo", "/rooms/*"])
        #expect(routes[0].methods == ["GET", "HEAD"])
        #expect(routes[3].methods == ["GET"] && routes[3].compression.mode == .takeover)
        #expect(routes[4].rooms != nil && routes[3].rooms == nil)
        #expect(configuration.server.problems() == [])
    }
}
