// SPDX-License-Identifier: Apache-2.0

internal import CRoostTLS
internal import CSSL
internal import RoostRuntime

/// What the TLS sessions of our own client have in common. It does not change.
// Nothing is written after `init`; the counts within OpenSSL's context are its own, and safe.
@safe package final class TLSClientContext: @unchecked Sendable {
    package let warnings: [String]
    let pointer: OpaquePointer
    let configuration: TLSClientConfiguration

    /// Throws every problem at once.
    package init(_ configuration: TLSClientConfiguration) throws(TLSError) {
        unsafe (warnings, pointer) = try withoutOwner { () throws(TLSError) in
            _ = OPENSSL_init_ssl(UInt64(OPENSSL_INIT_NO_ATEXIT), nil)
            defer { ERR_clear_error() }
            return unsafe try Self.make(configuration)
        }
        self.configuration = configuration
    }

    deinit { unsafe SSL_CTX_free(pointer) }

    private static func make(_ configuration: TLSClientConfiguration) throws(TLSError) -> ([String], OpaquePointer) {
        var files = CertificateFiles()
        guard let builder = ContextBuilder(isServer: false, minimumVersion: .tls12, &files) else {
            throw TLSError(problems: files.problems)
        }
        let context = unsafe builder.pointer
        if let certificate = configuration.certificate, let loaded = files.load(certificate) {
            builder.use(loaded, &files)
        }
        if let path = configuration.caFile {
            builder.trust(files.readCertificates(path, "authority's certificate"), isServer: false)
        } else if configuration.verifiesCertificate, unsafe SSL_CTX_set_default_verify_paths(context) != 1 {
            files.report("the system's authorities cannot be read: \(OpenSSLErrors.text()); give a file of them")
        }
        let mode = configuration.verifiesCertificate ? SSL_VERIFY_PEER : SSL_VERIFY_NONE
        unsafe SSL_CTX_set_verify(context, mode, configuration.verifiesCertificate ? TLSSession.noteRefusal : nil)
        let protocols: [UInt8] = [8] + Array("http/1.1".utf8)
        unsafe _ = SSL_CTX_set_alpn_protos(context, protocols, CUnsignedInt(protocols.count))
        guard files.problems.isEmpty else { throw TLSError(problems: files.problems) }
        return unsafe (files.warnings, builder.release())
    }
}
