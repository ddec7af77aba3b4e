// SPDX-License-Identifier: Apache-2.0

import Roost
import RoostIO
import RoostRuntime
import RoostTestHandlers
import RoostTestTLS
import Testing

private let sizes =
    [0, 1, 125, 126, 16_383, 16_384, 16_385, 32_768, 65_535, 65_536, 65_537, 262_144, 262_145, 1_000_000]

/// Sends a message of each size and compares what comes back.
private struct Caller: ConnectionHandler {
    let probe: Probe
    private var index = 0

    init(_ probe: Probe) { self.probe = probe }

    private func payload() -> [UInt8] {
        var generator = SeededGenerator(seed: UInt64(index))
        return generator.noise(sizes[index])
    }

    func opened(_ connection: borrowing Connection<Never>) {
        probe.note("opened \(connection.isSecure)")
        connection.send(binary: payload())
    }

    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Never>) {
        let isSame = bytes.withUnsafeBytes { $0.elementsEqual(payload()) }
        probe.note("\(sizes[index]) bytes \(isSame ? "right" : "wrong")")
        index += 1
        if index < sizes.count { connection.send(binary: payload()) } else { connection.close() }
    }

    func terminated(_ reason: CloseReason, _ connection: borrowing Connection<Never>) {
        probe.note("terminated \(reason)")
    }
}

/// Tells in its first message what `connect` and the connection know of TLS.
private struct Witness: ConnectionHandler {
    let seen: String
    func opened(_ connection: borrowing Connection<Never>) {
        connection.send("\(seen), connection \(connection.isSecure)")
    }
}

private let witness = Route("/seen") { request in
    Witness(seen: "request \(request.isSecure), certificate \(request.clientCertificate ?? "-")")
}

extension ServerTests {
    @Suite struct SecureConnections {
        private func withSecureServer(
            _ routes: [Route], schedulers: Int = 2, tls: TLSConfiguration? = nil,
            configure: (inout ServerConfiguration) -> Void = { _ in }, _ body: (RoostServer) async throws -> Void
        ) async throws {
            let tls = tls ?? TLSConfiguration(certificates: [TestCertificates.server])
            try await withServer(
                routes, schedulers: schedulers,
                configure: {
                    $0.listeners[0].tls = tls
                    configure(&$0)
                }, body)
        }

        private func withClient(_ body: (RoostClient) async throws -> Void) async throws {
            var configuration = RuntimeConfiguration()
            configuration.schedulerCount = 2
            let runtime = try Runtime(configuration)
            let client = await RoostClient(runtime: runtime, logger: quiet)
            try await body(client)
            #expect(await client.close() == 0)
            runtime.stop()
        }

        private func url(_ server: RoostServer, host: String = "127.0.0.1") -> String {
            "wss://\(host):\(server.addresses[0].port!)/"
        }

        private var trusting: TLSClientConfiguration {
            var tls = TLSClientConfiguration()
            tls.caFile = TestCertificates.authorityFile
            return tls
        }

        private var verifying: SecureOptions {
            var options = SecureOptions()
            options.caFile = TestCertificates.authorityFile
            options.serverName = "localhost"
            return options
        }

        @Test("messages of every size go both ways between Roost's server and its client")
        func echoes() async throws {
            let probe = Probe()
            var limits = ConnectionLimits()
            limits.outboundByteCountMax = 8 << 20
            let echo = Route("/", limits: limits) { _ in EchoHandler() }
            try await withSecureServer([echo]) { server in
                try await withClient { client in
                    try client.connect(to: url(server), limits: limits, tls: trusting) { Caller(probe) }
                    try await eventually("closed: \(probe.events)") { !probe.terminations.isEmpty }
                }
                #expect(
                    probe.events
                        == ["opened true"] + sizes.map { "\($0) bytes right" } + ["terminated handler_closed (1000)"])
                #expect(server.statistics.tlsHandshakes == 1)
            }
        }

        @Test("and with OpenSSL's own client, many messages in one write, compressed ones too")
        func echoesToOthers() async throws {
            var limits = ConnectionLimits()
            limits.outboundByteCountMax = 8 << 20
            let echo = Route("/", limits: limits) { _ in EchoHandler() }
            try await withSecureServer([echo]) { server in
                let client = try RawClient(server, tls: verifying)
                var generator = SeededGenerator(seed: 11)
                for size in sizes {
                    let bytes = generator.noise(size)
                    try client.send(.binary(bytes), .ping("\(size)"), .binary(bytes.reversed()))
                    // The pong may come last: it gives way to what the client has not read yet.
                    let frames = try (0..<3).map { _ in try client.receive() }
                    #expect(frames.filter { $0.opcode == 2 } == [.binary(bytes), .binary(bytes.reversed())])
                    #expect(frames.contains(.pong("\(size)")))
                }
                let compressing = try DeflateClient(server, tls: verifying)
                for size in sizes { #expect(try compressing.ask(prose(size)) == prose(size)) }
            }
        }

        @Test("a crash leaves a fresh handler on the same session", arguments: ["throw", "trap", "hoard"])
        func crashes(how: String) async throws {
            let probe = Probe()
            try await withSecureServer(
                script(probe, restart: .restart(intensity: 10)) { $0.heapByteCountMax = 4 << 20 }
            ) { server in
                let client = try RawClient(server, tls: verifying)
                let large = [UInt8](repeating: 7, count: 200_000)
                for _ in 0..<3 {
                    try client.send(.text("count"), .text(how), .text("count"), .binary(large), .text("after"))
                    #expect(try client.texts(2) == ["count 1", "count 1"])
                    #expect(try client.receive() == .binary(large))
                    #expect(try client.receive() == .text("after"))
                    try client.send(how)
                }
                #expect(try client.ask("count") == "count 1")
                #expect(server.statistics.handlerCrashes == 6)
                #expect(server.statistics.tlsHandshakes == 1)
                try client.send(.close(1000))
                #expect(try client.closeCode() == 1000)
                #expect(client.isEnded())
            }
        }

        @Test("while a callback waits, pings are answered and messages wait in order")
        func waits() async throws {
            let probe = Probe()
            try await withSecureServer(script(probe), schedulers: 1) { server in
                let client = try RawClient(server, tls: verifying)
                #expect(try client.ask("register") == "registered")
                #expect(try client.ask("wait") == "waiting")
                let large = [UInt8](repeating: 3, count: 100_000)
                try client.send(.text("a"), .ping("deaf?"), .text("b"))
                #expect(try client.receive() == .pong("deaf?"))
                // More than may wait: the rest stays in the socket, or in TLS.
                try client.send(.binary(large), .binary(large), .text("c"))
                probe.addresses[0].send("go")
                #expect(try client.texts(3) == ["done wait", "a", "b"])
                #expect(try client.receive() == .binary(large))
                #expect(try client.receive() == .binary(large))
                #expect(try client.receive() == .text("c"))
            }
        }

        @Test("drop-oldest: what TLS has begun to send stays; no frame is cut, repeated or out of order")
        func dropOldest() async throws {
            let probe = Probe()
            let routes = script(probe) {
                $0.outboundByteCountMax = 100_000
                $0.slowConsumer = .dropOldest
            }
            try await withSecureServer(routes) { server in
                let client = try RawClient(server, receiveBuffer: 4_096, tls: verifying)
                var rounds = 0
                // Read a little in between, so that dropping begins anew at other places of the stream.
                for round in 1...20 {
                    try client.send(.text("blend 1000"), .text("end"))
                    try await probe.waitFor("did end", count: round)
                    var next = 0
                    while true {
                        let frame = try client.receive()
                        if frame.opcode == 1 {
                            #expect(frame == .text("end"))
                            break
                        }
                        while next < 1_000, blend(next) != frame.payload { next += 1 }
                        guard next < 1_000 else {
                            Issue.record("round \(round): a frame is none that was sent, or comes again")
                            return
                        }
                        next += 1
                        rounds += 1
                    }
                }
                #expect(server.statistics.droppedMessages == 20_000 - rounds)
                #expect(server.statistics.slowConsumerEpisodes >= 1)
                #expect(try client.ask("and on") == "and on")
            }
        }

        @Test("a client that never reads is closed, over TLS as without")
        func slowConsumer() async throws {
            let probe = Probe()
            let routes = script(probe) {
                $0.outboundByteCountMax = 100_000
                $0.closeTimeout = .milliseconds(100)
            }
            try await withSecureServer(routes) { server in
                let client = try RawClient(server, receiveBuffer: 4_096, tls: verifying)
                try client.send("blend 2000")
                try await eventually("closed") { server.statistics.ended[.slowConsumer] == 1 }
                #expect(probe.terminations == ["terminated slow_consumer 1008"])
            }
        }

        @Test("connect and the connection know of TLS, and of the certificate that the client showed")
        func witnesses() async throws {
            var tls = TLSConfiguration(certificates: [TestCertificates.server])
            tls.clientCertificates = .optional
            tls.clientCAFile = TestCertificates.authorityFile
            let plain = Route(http: "/plain") { HTTPResponse(text: "\($0.isSecure)") }
            try await withSecureServer([witness, plain], tls: tls) { server in
                try #expect(
                    RawClient(server, "/seen", tls: verifying).receive().string
                        == "request true, certificate -, connection true")
                var showing = verifying
                showing.certificate = TestCertificate("Ada", issuer: TestCertificates.authority)
                    .files(in: TestCertificates.files, "ada")
                let seen = try RawClient(server, "/seen", tls: showing).receive().string
                #expect(seen.hasPrefix("request true, certificate ") && seen.contains("Ada"), "\(seen)")
                let asking = try RawClient.silent(server, tls: verifying)
                try asking.send(raw: "GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n")
                #expect(try asking.response() == "true")
            }
            try await withServer([witness, plain]) { server in
                try #expect(
                    RawClient(server, "/seen").receive().string == "request false, certificate -, connection false")
            }
        }

        @Test("reloaded certificates serve new connections; those that are open keep theirs, and go on")
        func reloads() async throws {
            let files = TestFiles()
            func write(_ name: String) -> TLSCertificate {
                TestCertificate(name, names: ["DNS:localhost"], issuer: TestCertificates.authority)
                    .files(in: files, "served")
            }
            let tls = TLSConfiguration(certificates: [write("first")])
            try await withSecureServer([Route("/") { _ in EchoHandler() }], tls: tls) { server in
                let before = try RawClient(server, tls: verifying)
                #expect(before.secure!.serverCommonName == "first")
                _ = write("second")
                try #expect(RawClient(server, tls: verifying).secure!.serverCommonName == "first")
                #expect(server.reloadCertificates() == [])
                try #expect(RawClient(server, tls: verifying).secure!.serverCommonName == "second")
                #expect(try before.ask(prose(50_000)) == prose(50_000))
                // What is wrong changes nothing.
                _ = files.write("served.pem", "no certificate")
                let problems = server.reloadCertificates()
                #expect(problems.count == 1 && problems[0].contains("served.pem"), "\(problems)")
                try #expect(RawClient(server, tls: verifying).secure!.serverCommonName == "second")
                #expect(try before.ask("still") == "still")
            }
        }

        @Test("a session that is resumed is counted, also after a reload")
        func resumes() async throws {
            try await withSecureServer([Route("/") { _ in EchoHandler() }]) { server in
                let first = try RawClient(server, tls: verifying)
                #expect(try first.ask("ticket, please") == "ticket, please")
                var resuming = verifying
                resuming.session = first.secure!.takeSession()
                #expect(server.reloadCertificates() == [])
                let second = try RawClient(server, tls: resuming)
                #expect(second.secure!.isResumed)
                #expect(try second.ask("again") == "again")
                #expect(server.statistics.tlsHandshakes == 2)
                #expect(server.statistics.tlsResumptions == 1)
            }
        }

        @Test(
            "a client tells in plain words why a server is not trusted", arguments: ["name", "untrusted", "expired"])
        func clientErrors(kind: String) async throws {
            let probe = Probe()
            let authority = kind == "untrusted" ? TestCertificates.other : TestCertificates.authority
            let names = [kind == "name" ? "DNS:elsewhere.example" : "IP:127.0.0.1", "DNS:localhost"]
            let certificate = TestCertificate(
                "server", names: kind == "name" ? [names[0]] : names, issuer: authority,
                from: -9, until: kind == "expired" ? -3 : 30
            ).files(in: TestCertificates.files, "client-error-\(kind)")
            let words =
                switch kind {
                case "name": "the certificate is for elsewhere.example and not for 127.0.0.1"
                case "untrusted": "the certificate is signed by an authority that is not trusted"
                default: "the certificate has expired"
                }
            try await withSecureServer([], tls: TLSConfiguration(certificates: [certificate])) { server in
                try await withClient { client in
                    try client.connect(to: url(server), tls: trusting) { Caller(probe) }
                    try await eventually("ended: \(probe.events)") { !probe.terminations.isEmpty }
                    #expect(probe.terminations[0].hasPrefix("terminated connect_failed: \(words)"), "\(probe.events)")
                    try await eventually("counted") { client.ended == [.connectFailed: 1] }
                }
                try await eventually("the server has heard of it") { server.statistics.ended[.tlsFailed] == 1 }
                #expect(server.statistics.tlsHandshakes == 0)
            }
        }
    }
}
