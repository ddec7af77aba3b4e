// SPDX-License-Identifier: Apache-2.0

internal import CRoostTLS
internal import CSSL
internal import RoostRuntime

/// What the TLS sessions of our own client have in common. It does not change.
// Nothing is written after `init`; the counts within OpenSSL's context are its own, and safe.
@safe package final class TLSClientContext: @unchecked Sendable {
    package let warnings: [String]
    private let context: OpenSSLContext
    let configuration: TLSClientConfiguration

    /// Throws every problem at once.
    package init(_ configuration: TLSClientConfiguration) throws(TLSError) {
        (warnings, context) = try withoutOwner { () throws(TLSError) in
            _ = OPENSSL_init_ssl(UInt64(OPENSSL_INIT_NO_ATEXIT), nil)
            defer { ERR_clear_error() }
            return try Self.make(configuration)
        }
        self.configuration = configuration
    }

    var pointer: OpaquePointer { unsafe context.pointer }

    private static func make(_ configuration: TLSClientConfiguration) throws(TLSError) -> ([String], OpenSSLContext) {
        var files = CertificateFiles()
        guard let context = OpenSSLContext(isServer: false, minimumVersion: .tls12, &files) else {
            throw TLSError(problems: files.problems)
        }
        if let certificate = configuration.certificate, let loaded = files.load(certificate) {
            context.use(loaded, &files)
        }
        if let path = configuration.caFile {
            context.trust(files.readCertificates(path, "authority's certificate"), isServer: false)
        } else if configuration.verifiesCertificate, unsafe SSL_CTX_set_default_verify_paths(context.pointer) != 1 {
            files.report("the system's authorities cannot be read: \(OpenSSLErrors.text()); give a file of them")
        }
        let mode = configuration.verifiesCertificate ? SSL_VERIFY_PEER : SSL_VERIFY_NONE
        unsafe SSL_CTX_set_verify(
            context.pointer, mode, configuration.verifiesCertificate ? TLSSession.noteRefusal : nil)
        let protocols: [UInt8] = [8] + Array("http/1.1".utf8)
        unsafe _ = SSL_CTX_set_alpn_protos(context.pointer, protocols, CUnsignedInt(protocols.count))
        guard files.problems.isEmpty else { throw TLSError(problems: files.problems) }
        return (files.warnings, context)
    }
}
