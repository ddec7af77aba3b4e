// SPDX-License-Identifier: Apache-2.0

internal import CRoostTLS
internal import CSSL

/// A context of OpenSSL's. While it is made, what is wrong goes to `files`.
@safe final class OpenSSLContext {
    let pointer: OpaquePointer

    /// With ECDHE for forward secrecy and AEAD alone (RFC 9325 §4.2); AES with the shorter key first.
    private static let cipherSuites = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    ].joined(separator: ":")
    private static let groups = "X25519:P-256:P-384"

    init?(isServer: Bool, minimumVersion: TLSVersion, _ files: inout CertificateFiles) {
        let version =
            switch minimumVersion {
            case .tls12: TLS1_2_VERSION
            case .tls13: TLS1_3_VERSION
            }
        ERR_clear_error()
        guard let made = unsafe roost_tls_context(isServer, version) else {
            files.report("OpenSSL makes no context: \(OpenSSLErrors.text()); check the system's openssl.cnf")
            return nil
        }
        guard unsafe SSL_CTX_set_cipher_list(made, Self.cipherSuites) == 1,
            unsafe roost_tls_set_groups(made, Self.groups) == 1
        else {
            files.report(
                "OpenSSL has no suite or no group in common with us: \(OpenSSLErrors.text()); "
                    + "check the system's openssl.cnf")
            unsafe SSL_CTX_free(made)
            return nil
        }
        unsafe pointer = unsafe made
    }

    deinit { unsafe SSL_CTX_free(pointer) }

    func setCipherSuites(_ suites: String?, suites13: String?, _ files: inout CertificateFiles) {
        if let suites { setSuites12(suites, &files) }
        guard let suites13 else { return }
        if unsafe SSL_CTX_set_ciphersuites(pointer, suites13) != 1 || suites13.isEmpty {
            files.report(
                "TLS 1.3 cipher suites \"\(suites13)\": not all are known; those known are TLS_AES_128_GCM_SHA256, "
                    + "TLS_AES_256_GCM_SHA384 and TLS_CHACHA20_POLY1305_SHA256, with colons between them")
        }
        ERR_clear_error()
    }

    /// OpenSSL passes over names that it does not know: each is looked at by itself.
    private func setSuites12(_ suites: String, _ files: inout CertificateFiles) {
        for name in suites.split(whereSeparator: { ":, ".contains($0) }) {
            if name.contains("@") {
                files.report("TLS 1.2 cipher suites: \"\(name)\" is refused: the security level is 2; leave it out")
            } else if !"!-+".contains(name.first!), unsafe SSL_CTX_set_cipher_list(pointer, String(name)) != 1 {
                files.report("TLS 1.2 cipher suites: \"\(name)\" is not known; `openssl ciphers -tls1_2 -s` lists them")
            }
        }
        if unsafe SSL_CTX_set_cipher_list(pointer, suites) != 1 {
            files.report("TLS 1.2 cipher suites \"\(suites)\": none is left; name at least one")
        }
        ERR_clear_error()
    }

    /// Adds a certificate, its chain and its key: one of each key type.
    func use(_ certificate: CertificateFiles.Loaded, _ files: inout CertificateFiles) {
        ERR_clear_error()
        let source = certificate.source
        guard unsafe SSL_CTX_use_certificate(pointer, certificate.leaf.pointer) == 1 else {
            files.report("\(source.chainFile): \(Self.refusal())")
            return
        }
        guard unsafe SSL_CTX_use_PrivateKey(pointer, certificate.key) == 1 else {
            files.report("\(source.keyFile): \(Self.refusal())")
            return
        }
        for intermediate in certificate.chain where unsafe roost_tls_add_chain(pointer, intermediate.pointer) != 1 {
            let subject = unsafe X509Certificate.subject(intermediate.pointer)
            files.report("\(source.chainFile): \(subject): \(Self.refusal())")
        }
    }

    /// Why OpenSSL takes no certificate or key, and what to do.
    private static func refusal() -> String {
        let entries = OpenSSLErrors.take()
        switch entries.first(where: { $0.library == ERR_LIB_SSL })?.reason {
        case SSL_R_EE_KEY_TOO_SMALL?, SSL_R_CA_KEY_TOO_SMALL?:
            return "the key is too small to be safe; use RSA with 2,048 bits or more, or ECDSA with P-256"
        case SSL_R_CA_MD_TOO_WEAK?:
            return "it is signed with a digest that is no longer safe; have it issued anew with SHA-256"
        default:
            return "OpenSSL does not take it (\(entries.map(\.text).joined(separator: "; "))); have it issued anew"
        }
    }

    /// Trusts what is signed by `authorities`, and tells clients so.
    func trust(_ authorities: [X509Certificate], isServer: Bool) {
        for authority in authorities {
            unsafe _ = X509_STORE_add_cert(SSL_CTX_get_cert_store(pointer), authority.pointer)
            if isServer { unsafe _ = SSL_CTX_add_client_CA(pointer, authority.pointer) }
        }
        ERR_clear_error()
    }
}
