// SPDX-License-Identifier: Apache-2.0

import CSSL
import Glibc
import RoostIO

/// What a client asks for in its TLS handshake.
public struct SecureOptions {
    /// Whose signature the server must have; nil: anybody's.
    public var caFile: String?
    public var certificate: TLSCertificate?
    /// The name asked for (RFC 6066 §3).
    public var serverName: String?
    /// A session to resume.
    public var session: SecureSession?

    public init() {}
}

/// What a client keeps of a session.
public final class SecureSession {
    fileprivate let session: OpaquePointer
    fileprivate init(_ session: OpaquePointer) { self.session = session }
    deinit { SSL_SESSION_free(session) }
}

/// The client's side of TLS over a blocking socket, with nothing of Roost's in it.
public final class SecureStream {
    public struct Failed: Error {}

    private let context: OpaquePointer
    private let ssl: OpaquePointer

    /// Shakes hands. `descriptor` stays the caller's.
    public init(_ descriptor: CInt, _ options: SecureOptions = SecureOptions()) throws {
        signal(SIGPIPE, SIG_IGN)  // OpenSSL's own sockets write without MSG_NOSIGNAL
        context = SSL_CTX_new(TLS_client_method())
        if let file = options.caFile {
            precondition(SSL_CTX_load_verify_locations(context, file, nil) == 1)
            SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        }
        ssl = SSL_new(context)
        if let certificate = options.certificate {
            precondition(SSL_use_certificate_chain_file(ssl, certificate.chainFile) == 1)
            precondition(SSL_use_PrivateKey_file(ssl, certificate.keyFile, SSL_FILETYPE_PEM) == 1)
        }
        if var name = options.serverName.map({ Array($0.utf8CString) }) {
            SSL_ctrl(ssl, CInt(SSL_CTRL_SET_TLSEXT_HOSTNAME), CLong(TLSEXT_NAMETYPE_host_name), &name)
        }
        if let session = options.session { precondition(SSL_set_session(ssl, session.session) == 1) }
        precondition(SSL_set_fd(ssl, descriptor) == 1)
        guard SSL_connect(ssl) == 1 else { throw Failed() }
    }

    deinit {
        SSL_free(ssl)
        SSL_CTX_free(context)
    }

    /// As recv(2).
    public func receive(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        ERR_clear_error()
        let count = Int(SSL_read(ssl, buffer.baseAddress, CInt(buffer.count)))
        return count > 0 ? count : ended(CInt(count))
    }

    /// As send(2).
    public func send(_ bytes: UnsafeRawBufferPointer) -> Int {
        ERR_clear_error()
        let count = Int(SSL_write(ssl, bytes.baseAddress, CInt(bytes.count)))
        return count > 0 ? count : ended(CInt(count))
    }

    private func ended(_ code: CInt) -> Int {
        switch SSL_get_error(ssl, code) {
        case SSL_ERROR_ZERO_RETURN: return 0
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: errno = EAGAIN
        case SSL_ERROR_SYSCALL where errno != 0: break
        default: errno = ECONNRESET
        }
        return -1
    }

    public var isResumed: Bool { SSL_session_reused(ssl) == 1 }

    /// To resume it with: after something has been received, as TLS 1.3 sends its tickets behind the handshake.
    public func takeSession() -> SecureSession {
        // One that is freed without it may not be resumed (SSL_shutdown(3)).
        SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN)
        return SecureSession(SSL_get1_session(ssl))
    }

    /// The common name of the server's certificate.
    public var serverCommonName: String {
        guard let certificate = SSL_get1_peer_certificate(ssl) else { return "" }
        defer { X509_free(certificate) }
        var text = [CChar](repeating: 0, count: 256)
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, &text, CInt(text.count))
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
