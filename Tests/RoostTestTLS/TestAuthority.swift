// SPDX-License-Identifier: Apache-2.0

import CSSL
import Foundation

import RoostIO

/// Certificates for a test, made as it runs, in files that go when it ends.
public final class TestFiles: Sendable {
    public let directory: String

    public init() {
        var template = Array("\(NSTemporaryDirectory())/roost-tls-XXXXXX".utf8CString)
        directory = String(cString: mkdtemp(&template))
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    public func write(_ name: String, _ text: String, mode: mode_t = 0o600) -> String {
        let path = "\(directory)/\(name)"
        precondition(FileManager.default.createFile(atPath: path, contents: Data(text.utf8)))
        precondition(chmod(path, mode) == 0)
        return path
    }
}

public enum KeyKind: Sendable {
    case p256
    case rsa(Int)
    public static let rsa2048 = KeyKind.rsa(2048)
}

/// A certificate with its key.
public final class TestCertificate: @unchecked Sendable {  // nothing is written after `init`
    public let certificate: OpaquePointer
    public let key: OpaquePointer

    /// An authority when `isAuthority`; signed by `issuer`, or by itself. Valid from `from` to `until` days from now.
    public init(
        _ commonName: String, names: [String] = [], kind: KeyKind = .p256, issuer: TestCertificate? = nil,
        isAuthority: Bool = false, from: Int = -1, until: Int = 30
    ) {
        key = Self.makeKey(kind)
        certificate = X509_new()!
        X509_set_version(certificate, 2)
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), Int.random(in: 1...0x7fff_ffff))
        X509_gmtime_adj(X509_getm_notBefore(certificate), from * 86_400)
        X509_gmtime_adj(X509_getm_notAfter(certificate), until * 86_400)
        X509_set_pubkey(certificate, key)
        X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, commonName, -1, -1, 0)
        X509_set_issuer_name(certificate, X509_get_subject_name(issuer?.certificate ?? certificate))
        add(NID_basic_constraints, isAuthority ? "critical,CA:TRUE" : "CA:FALSE")
        if !names.isEmpty { add(NID_subject_alt_name, names.joined(separator: ",")) }
        precondition(X509_sign(certificate, issuer?.key ?? key, EVP_sha256()) > 0)
    }

    deinit {
        X509_free(certificate)
        EVP_PKEY_free(key)
    }

    private func add(_ kind: CInt, _ value: String) {
        let made = X509V3_EXT_conf_nid(nil, nil, kind, value)!
        precondition(X509_add_ext(certificate, made, -1) == 1)
        X509_EXTENSION_free(made)
    }

    private static func makeKey(_ kind: KeyKind) -> OpaquePointer {
        var name = "EC"
        if case .rsa = kind { name = "RSA" }
        let context = EVP_PKEY_CTX_new_from_name(nil, name, nil)
        defer { EVP_PKEY_CTX_free(context) }
        EVP_PKEY_keygen_init(context)
        switch kind {
        case .p256: precondition(EVP_PKEY_CTX_set_group_name(context, "P-256") == 1)
        case .rsa(let bitCount): precondition(EVP_PKEY_CTX_set_rsa_keygen_bits(context, CInt(bitCount)) == 1)
        }
        var made: OpaquePointer?
        precondition(EVP_PKEY_generate(context, &made) == 1)
        return made!
    }

    private static func text(_ write: (OpaquePointer) -> Void) -> String {
        let bio = BIO_new(BIO_s_mem())!
        defer { BIO_free(bio) }
        write(bio)
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = Int(BIO_read(bio, &bytes, CInt(bytes.count)))
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    public var pem: String { Self.text { precondition(PEM_write_bio_X509($0, certificate) == 1) } }

    public func keyPEM(password: String? = nil) -> String {
        Self.text { bio in
            let cipher = password == nil ? nil : EVP_aes_256_cbc()
            let count = CInt(password?.utf8.count ?? 0)
            precondition(PEM_write_bio_PKCS8PrivateKey(bio, key, cipher, password, count, nil, nil) == 1)
        }
    }

    /// In files of `files`, `chain` behind it.
    public func files(in files: TestFiles, _ name: String, chain: [TestCertificate] = []) -> TLSCertificate {
        TLSCertificate(
            chainFile: files.write("\(name).pem", ([self] + chain).map(\.pem).joined()),
            keyFile: files.write("\(name).key", keyPEM()))
    }
}

/// What most tests need, made once.
public enum TestCertificates {
    public static let files: TestFiles = {
        atexit { try? FileManager.default.removeItem(atPath: TestCertificates.files.directory) }
        return TestFiles()
    }()
    public static let authority = TestCertificate("Test authority", isAuthority: true)
    public static let other = TestCertificate("Another authority", isAuthority: true)
    public static let authorityFile = files.write("authority.pem", authority.pem)
    public static let server = TestCertificate(
        "localhost", names: ["DNS:localhost", "IP:127.0.0.1"], issuer: authority
    ).files(in: files, "server")
    public static let rsaServer = TestCertificate(
        "localhost", names: ["DNS:localhost"], kind: .rsa2048, issuer: authority
    ).files(in: files, "rsa")
}
