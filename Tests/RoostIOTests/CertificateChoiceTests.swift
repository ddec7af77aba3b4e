// SPDX-License-Identifier: Apache-2.0

import CSSL
import RoostTestTLS
import Testing

@testable import RoostIO

struct CertificateChoiceTests {
    private static let files = TestCertificates.files
    private static func make(_ file: String, _ commonName: String, _ names: [String], _ kind: KeyKind = .p256)
        -> TLSCertificate
    {
        TestCertificate(commonName, names: names.map { "DNS:\($0)" }, kind: kind, issuer: TestCertificates.authority)
            .files(in: files, file)
    }

    private static let certificates = [
        make("choice-first", "first", ["first.example"]), make("choice-wild", "wild", ["*.wild.example"]),
        make("choice-exact", "exact", ["one.wild.example"]),
        make("choice-common", "common.example", []),
        make("choice-rsa", "rsa", ["exact-rsa.wild.example", "one.wild.example"], .rsa2048),
    ]

    private func shown(for name: String?, requiresServerName: Bool = false) throws -> (String?, PairOutcome) {
        var configuration = TLSConfiguration(certificates: Self.certificates)
        configuration.requiresServerName = requiresServerName
        // An address: no name is asked for.
        let client = TLSClientConfiguration.test.with { $0.verifiesCertificate = false }
        let pair = try Pair(TLSContext(configuration), TLSClientContext(client), name: name ?? "127.0.0.1")
        let outcome = pair.handshake()
        return (SSL_get0_peer_certificate(pair.client.ssl).map { X509Certificate.subject($0) }, outcome)
    }

    @Test(
        "RFC 6066 §3: the name that a client asks for chooses the certificate; the first serves all others",
        arguments: [
            ("first.example", "CN=first"), ("FIRST.EXAMPLE", "CN=first"), ("two.wild.example", "CN=wild"),
            ("one.wild.example", "CN=exact"), ("a.b.wild.example", "CN=first"), ("common.example", "CN=common.example"),
            ("exact-rsa.wild.example", "CN=rsa"), ("unknown.example", "CN=first"), (nil, "CN=first"),
        ] as [(String?, String)])
    func chooses(name: String?, subject: String) throws {
        let (shown, outcome) = try shown(for: name)
        #expect(outcome.isDone)
        #expect(shown == subject)
    }

    @Test(
        "RFC 6066 §3: without a known name the client is refused where one is required", arguments: ["no.example", nil])
    func requiresName(name: String?) throws {
        let (_, outcome) = try shown(for: name, requiresServerName: true)
        #expect(outcome.serverFailure?.cause == .unrecognizedName)
        #expect(outcome.serverFailure?.description.contains(name ?? "no server name") == true, "\(outcome)")
        #expect(outcome.clientFailure?.description.contains("alert 112") == true, "\(outcome)")
        #expect(try shown(for: "first.example", requiresServerName: true).1.isDone)
    }

    @Test("Certificates for one name with keys of two types serve it together", arguments: ["ECDSA", "RSA"])
    func servesBothTypes(kind: String) throws {
        let server = try TLSContext(TLSConfiguration(certificates: Self.certificates))
        let pair = try Pair(server, TLSClientContext(.test), name: "one.wild.example")
        pair.limitClient(to: .tls12)
        SSL_set_cipher_list(pair.client.ssl, "ECDHE-\(kind)-AES128-GCM-SHA256")
        #expect(pair.handshake().isDone)
        let subject = SSL_get0_peer_certificate(pair.client.ssl).map { X509Certificate.subject($0) }
        #expect(subject == (kind == "RSA" ? "CN=rsa" : "CN=exact"))
    }

    @Test("Intermediate certificates are sent, so that a client needs the root alone")
    func sendsChain() throws {
        let middle = TestCertificate("Middle", issuer: TestCertificates.authority, isAuthority: true)
        let leaf = TestCertificate("leaf", names: ["DNS:localhost"], issuer: middle)
        let whole = leaf.files(in: Self.files, "chain-whole", chain: [middle])
        let broken = leaf.files(in: Self.files, "chain-broken")
        #expect(
            try Pair(TLSContext(TLSConfiguration(certificates: [whole])), TLSClientContext(.test)).handshake().isDone)
        let outcome = try Pair(TLSContext(TLSConfiguration(certificates: [broken])), TLSClientContext(.test))
            .handshake()
        #expect(outcome.clientFailure?.description.contains("intermediate certificates") == true, "\(outcome)")
    }

    @Test("Two certificates of one type for one name are warned of")
    func warnsOfTwins() throws {
        let twins = [Self.certificates[0], Self.make("choice-twin", "twin", ["First.example"])]
        let warnings = try TLSContext(TLSConfiguration(certificates: twins)).warnings
        #expect(
            warnings.count == 1 && warnings[0].contains("choice-first.pem") && warnings[0].contains("first.example"))
        #expect(try TLSContext(TLSConfiguration(certificates: Self.certificates)).warnings == [])
    }
}
