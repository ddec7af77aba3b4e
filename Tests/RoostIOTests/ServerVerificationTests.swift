// SPDX-License-Identifier: Apache-2.0

import Glibc
import RoostTestTLS
import Testing

@testable import RoostIO

struct ServerVerificationTests {
    private static let files = TestCertificates.files

    private func outcome(
        _ server: TLSCertificate, name: String, _ change: (inout TLSClientConfiguration) -> Void = { _ in }
    ) throws -> PairOutcome {
        try Pair(
            TLSContext(TLSConfiguration(certificates: [server])),
            TLSClientContext(TLSClientConfiguration.test.with(change)),
            name: name
        ).handshake()
    }

    private static let wild = TestCertificate(
        "wild", names: ["DNS:*.example.org", "DNS:f*.example.net"], issuer: TestCertificates.authority
    ).files(in: files, "verify-wild")

    @Test(
        "RFC 6125 §6.4: the certificate is for the name or the address that is connected to",
        arguments: [
            ("localhost", true), ("LOCALHOST", true), ("127.0.0.1", true), ("127.0.0.2", false), ("::1", false),
            ("localhost.example", false),
        ])
    func verifiesName(name: String, passes: Bool) throws {
        let outcome = try outcome(TestCertificates.server, name: name)
        #expect(outcome.isDone == passes)
        guard !passes else { return }
        #expect(outcome.clientFailure?.cause == .certificateRejected)
        let words = "the certificate is for localhost, 127.0.0.1 and not for \(name): "
        #expect(outcome.clientFailure?.description.hasPrefix(words) == true, "\(outcome)")
        // The server hears of it.
        #expect(outcome.serverFailure?.cause == .peerAlert)
    }

    @Test(
        "RFC 6125 §6.4.3: a wildcard is one whole label",
        arguments: [
            ("a.example.org", true), ("example.org", false), ("a.b.example.org", false), ("foo.example.net", false),
        ])
    func verifiesWildcard(name: String, passes: Bool) throws {
        #expect(try outcome(Self.wild, name: name).isDone == passes)
    }

    @Test("The configured name goes before the host's")
    func usesConfiguredName() throws {
        #expect(try outcome(TestCertificates.server, name: "other.example") { $0.serverName = "localhost" }.isDone)
    }

    @Test("What does not pass is told in plain words, with a remedy")
    func tellsWhy() throws {
        let alone = TestCertificate("localhost", names: ["DNS:localhost"]).files(in: Self.files, "verify-alone")
        let unknown = TestCertificate("localhost", names: ["DNS:localhost"], issuer: TestCertificates.other)
            .files(in: Self.files, "verify-unknown")
        let expired = TestCertificate(
            "localhost", names: ["DNS:localhost"], issuer: TestCertificates.authority, from: -3, until: -1
        ).files(in: Self.files, "verify-expired")
        for (certificate, words) in [(alone, "--ca FILE"), (unknown, "not trusted"), (expired, "has expired")] {
            let outcome = try outcome(certificate, name: "localhost")
            #expect(outcome.clientFailure?.cause == .certificateRejected)
            #expect(outcome.clientFailure?.description.contains(words) == true, "\(outcome)")
            #expect(try self.outcome(certificate, name: "wrong.example") { $0.verifiesCertificate = false }.isDone)
        }
        #expect(try outcome(alone, name: "localhost") { $0.caFile = alone.chainFile }.isDone)
    }

    @Test("A name that no certificate could be for is no session", arguments: [String(repeating: "a", count: 300)])
    func refusesNames(name: String) throws {
        let sockets = SocketPair()
        #expect(try TLSSession(client: TLSClientContext(.test), descriptor: sockets.client, serverName: name) == nil)
    }

    @Test("A server that does not speak TLS is told apart")
    func tellsPlainServer() throws {
        let sockets = SocketPair()
        let client = try TLSSession(
            client: TLSClientContext(.test), descriptor: sockets.client, serverName: "localhost")!
        defer { client.free() }
        #expect(client.handshake() == .wantsRead)
        let answer = Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)
        #expect(Glibc.send(sockets.server, answer, answer.count, 0) == answer.count)
        guard case .failed(let failure) = client.handshake() else {
            Issue.record("the handshake did not fail")
            return
        }
        #expect(failure.cause == .notTLS && failure.description.contains("ws://"), "\(failure)")
    }
}
