// SPDX-License-Identifier: Apache-2.0

import Roost
import RoostIO
import RoostTestHandlers
import RoostTestTLS
import Testing

/// What brings a cause about: how the server is set up, and what its client does.
private struct Scenario {
    var limits = ConnectionLimits()
    var restart = RestartPolicy.restart()
    var configure: (inout ListenerConfiguration) -> Void = { _ in }
    /// What is returned stays connected until the cause has been counted.
    let act: (RoostServer) async throws -> [RawClient]

    init(
        limits: (inout ConnectionLimits) -> Void = { _ in }, restart: RestartPolicy = .restart(),
        configure: @escaping (inout ListenerConfiguration) -> Void = { _ in },
        _ act: @escaping (RoostServer) async throws -> [RawClient]
    ) {
        self.limits.closeTimeout = .milliseconds(100)
        limits(&self.limits)
        self.restart = restart
        self.configure = configure
        self.act = act
    }

    /// A WebSocket that sends `frames`.
    static func sends(
        _ frames: Frame..., limits: (inout ConnectionLimits) -> Void = { _ in }, restart: RestartPolicy = .restart()
    ) -> Scenario {
        Scenario(limits: limits, restart: restart) { server in
            let client = try RawClient(server, receiveBuffer: 4_096)
            for frame in frames { try client.send(frame) }
            return [client]
        }
    }

    /// A connection that says `text` before anything else, which may be nothing at all, and hears the server out.
    static func says(_ text: String, _ configure: @escaping (inout ListenerConfiguration) -> Void = { _ in })
        -> Scenario
    {
        Scenario(configure: configure) { server in
            let client = try RawClient.silent(server)
            try client.send(raw: text)
            _ = try client.rest()
            return []
        }
    }

    /// One connection more than `configure` allows.
    static func oneTooMany(_ status: Int, _ configure: @escaping (inout ListenerConfiguration) -> Void) -> Scenario {
        Scenario(configure: configure) { server in
            let first = try RawClient(server)
            let second = try RawClient(server, mustOpen: false)
            #expect(second.status == status && second.header("Retry-After") == "5")
            _ = try second.rest()
            return [first]
        }
    }
}

/// Those that a client's connection alone has, and that of a kernel which is out of memory.
private let notHere: Set<CloseReason.Cause> = [.serverClosed, .connectFailed, .registrationFailed]

private func scenario(_ cause: CloseReason.Cause) -> Scenario? { ofWebSocket()[cause] ?? ofRequest()[cause] }

/// Ends of an open WebSocket.
private func ofWebSocket() -> [CloseReason.Cause: Scenario] {
    [
        .clientClosed: .sends(.close(1000)),
        .handlerClosed: .sends(.text("close 4000"), .close(4000)),
        .connectionLost:
            Scenario { server in
                let client = try RawClient(server)
                client.endWriting()
                return [client]
            },
        .protocolError: .sends(Frame(opcode: 3, payload: [])),
        .invalidPayload: .sends(Frame(opcode: 1, payload: [0xFF])),
        .messageTooBig: .sends(.text("too long"), limits: { $0.messageByteCountMax = 7 }),
        .idleTimeout: .sends(limits: { $0.idleTimeout = .milliseconds(100) }),
        .pongTimeout:
            .sends(limits: {
                $0.pingInterval = .milliseconds(100)
                $0.pongTimeout = .milliseconds(100)
            }),
        .slowConsumer:
            .sends(.text("burst 2000"), limits: { $0.outboundByteCountMax = 20_000 }),
        .rateLimited:
            .sends(
                .text("a"), .text("b"), .text("c"), .close(1008),
                limits: {
                    $0.messagesPerSecond = 1
                    $0.rateLimit = .close
                }),
        .handlerCrashed: .sends(.text("throw"), .close(1011), restart: .close),
        .draining:
            Scenario { server in
                let client = try RawClient(server)
                async let left = server.drain()
                #expect(try client.closeCode() == 1001)
                try client.send(.close(1001))
                #expect(await left == 0)
                return [client]
            },
    ]
}

/// Ends of a connection that is none.
private func ofRequest() -> [CloseReason.Cause: Scenario] {
    func hurried(_ configuration: inout ListenerConfiguration) {
        configuration.handshakeTimeout = .milliseconds(100)
    }
    func secure(_ configuration: inout ListenerConfiguration) {
        configuration.tls = TLSConfiguration(certificates: [TestCertificates.server])
    }
    func proxied(_ configuration: inout ListenerConfiguration) {
        configuration.proxy.trusted = ["127.0.0.1"]
        configuration.proxy.requiresProxyProtocol = true
    }
    let request = "GET / HTTP/1.1\r\n"
    return [
        .requestInvalid: .says("GET  / HTTP/1.1\r\n\r\n"),
        .handshakeRefused: .says("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        .originRefused:
            Scenario { server in
                let client = try RawClient(
                    server, "/picky", headers: ["Origin: https://elsewhere.example"], mustOpen: false)
                #expect(client.status == 403)
                return []
            },
        .handshakeTimeout: .says(request, hurried),
        .handshakeAbandoned:
            Scenario { server in
                let client = try RawClient.silent(server)
                try client.send(raw: request)
                client.endWriting()
                return [client]
            },
        .listenerFull: .oneTooMany(503) { $0.connectionCountMax = 1 },
        .addressLimit: .oneTooMany(429) { $0.addressLimits.connectionCountMax = 1 },
        .addressRate:
            .oneTooMany(429) {
                $0.addressLimits.connectsPerSecond = 1
                $0.addressLimits.connectBurst = 1
            },
        .tlsFailed: .says("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", secure),
        .tlsTimeout:
            .says("") {
                secure(&$0)
                hurried(&$0)
            },
        .proxyRefused: .says("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", proxied),
        .proxyTimeout:
            .says("PROXY TCP4") {
                proxied(&$0)
                hurried(&$0)
            },
        .requestsServed: .says("GET /plain HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
    ]
}

extension ServerTests {
    @Suite struct Causes {
        @Test("every cause that a server can have is brought about, and is counted as itself and nothing else")
        func table() {
            for cause in CloseReason.Cause.allCases {
                #expect((scenario(cause) == nil) == notHere.contains(cause), "\(cause)")
            }
        }

        @Test("each end is counted under its own cause, once", arguments: CloseReason.Cause.allCases)
        func counted(cause: CloseReason.Cause) async throws {
            guard let scenario = scenario(cause) else { return }
            let probe = Probe()
            var listener = ListenerConfiguration(
                address: "127.0.0.1:0",
                routes: [
                    Route("/", limits: scenario.limits, restart: scenario.restart) { _ in ScriptHandler(probe) },
                    Route("/picky", allowedOrigins: ["same"]) { _ in EchoHandler() },
                    Route(http: "/plain") { _ in HTTPResponse(text: "plain") },
                ])
            scenario.configure(&listener)
            var configuration = ServerConfiguration(listeners: [listener])
            configuration.runtime.schedulerCount = 2
            let server = try await RoostServer.start(configuration, logger: quiet)
            defer { server.stop() }
            let clients = try await scenario.act(server)
            try await eventually("\(cause): \(server.statistics.ended)") { server.statistics.ended[cause] == 1 }
            #expect(server.statistics.ended == [cause: 1])
            withExtendedLifetime(clients) {}
        }
    }
}
