// SPDX-License-Identifier: Apache-2.0

import RoostTestTLS
import Testing

@testable import RoostIO

struct ConfigurationTests {
    private static let files = TestCertificates.files

    private func problems(_ change: (inout TLSConfiguration) -> Void) -> [String] {
        do {
            _ = try TLSContext(TLSConfiguration.test.with(change))
            return []
        } catch { return error.problems }
    }

    private func problems(chain: String, key: String) -> [String] {
        problems { $0.certificates = [TLSCertificate(chainFile: chain, keyFile: key)] }
    }

    private static let good = TestCertificates.server

    @Test("Every problem is told at once, with its file, its reason and its remedy")
    func tellsEverything() {
        let empty = Self.files.write("empty.pem", "")
        let text = Self.files.write("text.pem", "hello")
        let all = problems {
            $0.certificates = [
                TLSCertificate(chainFile: "/nonexistent/chain.pem", keyFile: "/nonexistent/key.pem"),
                TLSCertificate(chainFile: empty, keyFile: text),
                TLSCertificate(chainFile: text, keyFile: Self.good.keyFile),
            ]
            $0.clientCertificates = .required
            $0.clientCAFile = empty
            $0.cipherSuites = "ECDHE-RSA-AES128-GCM-SHA256:NONSENSE"
            $0.cipherSuites13 = "TLS_NONSENSE"
        }
        let parts = [
            ["/nonexistent/chain.pem", "No such file"], ["/nonexistent/key.pem", "No such file", "check the path"],
            [empty, "empty", "certificate"], [text, "no private key", "BEGIN PRIVATE KEY"],
            [text, "no certificate", "BEGIN CERTIFICATE"], [empty, "empty", "authority"], ["\"NONSENSE\" is not known"],
            ["TLS_NONSENSE", "TLS_AES_128_GCM_SHA256"],
        ]
        #expect(all.count == parts.count, "\(all)")
        for (problem, parts) in zip(all, parts) {
            for part in parts { #expect(problem.contains(part), "\(problem)") }
        }
    }

    @Test("A key that belongs to another certificate is told with both files")
    func tellsMismatch() {
        let all = problems(chain: Self.good.chainFile, key: TestCertificates.rsaServer.keyFile)
        #expect(all.count == 1)
        #expect(all.first?.contains(Self.good.chainFile) == true)
        #expect(all.first?.contains(TestCertificates.rsaServer.keyFile) == true)
    }

    @Test("An encrypted key is told with the command that decrypts it")
    func tellsEncryption() {
        let certificate = TestCertificate("encrypted")
        let chain = Self.files.write("encrypted.pem", certificate.pem)
        let key = Self.files.write("encrypted.key", certificate.keyPEM(password: "secret"))
        let all = problems(chain: chain, key: key)
        #expect(all.count == 1 && all[0].contains("openssl pkey -in \(key)"), "\(all)")
    }

    @Test("A key that is too small is told")
    func tellsSmallKey() {
        let small = TestCertificate("small", kind: .rsa(1024)).files(in: Self.files, "small")
        let all = problems { $0.certificates = [small] }
        #expect(all.count == 1 && all[0].contains(small.chainFile) && all[0].contains("2,048"), "\(all)")
    }

    @Test("DER and damage are told")
    func tellsOtherForms() {
        let der = Self.files.write("der.pem", "0\u{1}\u{2}")
        #expect(problems(chain: der, key: der).allSatisfy { $0.contains("-inform der") })
        let damaged = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
        let chain = Self.files.write("damaged.pem", TestCertificates.authority.pem + damaged)
        let all = problems(chain: chain, key: Self.good.keyFile)
        #expect(all.count == 1 && all[0].contains("certificate 2") && all[0].contains("damaged"), "\(all)")
    }

    @Test("Clients' authorities are wanted exactly where clients are asked for certificates")
    func wantsAuthorities() {
        for mode in [TLSClientCertificates.optional, .required] {
            #expect(problems { $0.clientCertificates = mode }.count == 1)
        }
        #expect(problems { $0.clientCAFile = TestCertificates.authorityFile }.count == 1)
        #expect(problems { $0.certificates = [] }.count == 1)
    }

    @Test(
        "Cipher suites are looked at one by one",
        arguments: [
            ("ECDHE-RSA-AES256-GCM-SHA384", 0), ("ECDHE+AESGCM:!AES128", 0), ("ALL:@SECLEVEL=0", 1), ("!ALL", 1),
            ("", 1),
            ("A:B", 3),
        ])
    func checksSuites(suites: String, count: Int) {
        let all = problems { $0.cipherSuites = suites }
        #expect(all.count == count, "\(all)")
    }

    @Test("What is expired, not yet valid or open to all works, with a warning")
    func warns() throws {
        let expired = TestCertificate("expired", from: -3, until: -1).files(in: Self.files, "expired")
        let early = TestCertificate("early", from: 1).files(in: Self.files, "early")
        let open = TestCertificate("open")
        let certificates = [
            expired, early,
            TLSCertificate(
                chainFile: Self.files.write("open.pem", open.pem),
                keyFile: Self.files.write("open.key", open.keyPEM(), mode: 0o644)),
        ]
        let warnings = try TLSContext(TLSConfiguration(certificates: certificates)).warnings
        #expect(warnings.count == 3, "\(warnings)")
        for (warning, part) in zip(warnings, ["has expired", "not yet valid", "chmod o= "]) {
            #expect(warning.contains(part), "\(warning)")
        }
        #expect(try TLSContext(.test).warnings == [])
    }

    @Test("A client's problems are told as a server's")
    func checksClient() {
        var configuration = TLSClientConfiguration()
        configuration.caFile = "/nonexistent/ca.pem"
        configuration.certificate = TLSCertificate(chainFile: "/nonexistent/a", keyFile: "/nonexistent/b")
        #expect { try TLSClientContext(configuration) } throws: { ($0 as? TLSError)?.problems.count == 3 }
        #expect(throws: Never.self) { try TLSClientContext(TLSClientConfiguration()) }
    }
}
