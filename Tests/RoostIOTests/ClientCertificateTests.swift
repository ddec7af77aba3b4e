// SPDX-License-Identifier: Apache-2.0

import RoostTestTLS
import Testing

@testable import RoostIO

struct ClientCertificateTests {
    enum Shown: CaseIterable { case none, valid, otherAuthority, expired }

    private static let files = TestCertificates.files
    private static let valid = TestCertificate(
        "client", names: ["DNS:device.example", "IP:10.0.0.1"], issuer: TestCertificates.authority
    ).files(in: files, "client-valid")
    private static let other = TestCertificate("client", issuer: TestCertificates.other).files(
        in: files, "client-other")
    private static let expired = TestCertificate("client", issuer: TestCertificates.authority, from: -3, until: -1)
        .files(in: files, "client-expired")

    private func pair(
        _ mode: TLSClientCertificates, _ shown: Shown, _ version: TLSVersion
    ) throws -> Pair {
        let server = TLSConfiguration.test.with {
            $0.clientCertificates = mode
            $0.clientCAFile = mode == .none ? nil : TestCertificates.authorityFile
        }
        let client = TLSClientConfiguration.test.with {
            switch shown {
            case .none: break
            case .valid: $0.certificate = Self.valid
            case .otherAuthority: $0.certificate = Self.other
            case .expired: $0.certificate = Self.expired
            }
        }
        let pair = try Pair(TLSContext(server), TLSClientContext(client))
        pair.limitClient(to: version)
        return pair
    }

    @Test(
        "A client is let in by what it shows, as far as it is asked", arguments: TLSClientCertificates.allCases,
        Shown.allCases)
    func letsIn(mode: TLSClientCertificates, shown: Shown) throws {
        for version in TLSVersion.allCases {
            let pair = try pair(mode, shown, version)
            let failure = pair.handshake().serverFailure
            switch (mode, shown) {
            case (.none, _), (.optional, .none):
                #expect(failure == nil)
                #expect(pair.server.peerCertificateSubject == nil)
                #expect(pair.server.peerCertificateNames == [])
            case (.optional, .valid), (.required, .valid):
                #expect(failure == nil)
                #expect(pair.server.peerCertificateSubject == "CN=client")
                #expect(pair.server.peerCertificateNames == ["device.example", "10.0.0.1"])
            case (.required, .none):
                #expect(failure?.cause == .certificateRequired)
            case (_, .otherAuthority):
                #expect(failure?.cause == .certificateRejected)
                #expect(failure?.description.contains("unable to get local issuer certificate (CN=client)") == true)
            case (_, .expired):
                #expect(failure?.cause == .certificateRejected)
                #expect(failure?.description.contains("expired (CN=client)") == true, "\(failure!)")
            }
        }
    }

    @Test("RFC 8446 §4.4.2.4: a client that is refused hears of it", arguments: TLSVersion.allCases)
    func tellsClient(version: TLSVersion) throws {
        let pair = try pair(.required, .none, version)
        let outcome = pair.handshake()
        // In TLS 1.3 the client is done before the server has seen its certificate.
        let failure: TLSFailure? =
            if version == .tls12 {
                outcome.clientFailure
            } else if case .failed(let failure) = pair.client.receiveAll().end { failure } else { nil }
        #expect(failure?.cause == .peerAlert)
    }

    @Test("A resumed session knows whom it was made with", arguments: TLSVersion.allCases)
    func resumes(version: TLSVersion) throws {
        let first = try pair(.required, .valid, version)
        #expect(first.handshake().isDone)
        let ticket = first.takeTicket()
        let next = Pair(first.serverContext, first.clientContext)
        next.limitClient(to: version)
        next.resume(ticket)
        #expect(next.handshake().isDone)
        #expect(next.server.negotiated.isResumed)
        #expect(next.server.peerCertificateSubject == "CN=client")
        #expect(next.server.peerCertificateNames == ["device.example", "10.0.0.1"])
    }
}
