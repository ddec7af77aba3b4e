// SPDX-License-Identifier: Apache-2.0

internal import CRoostTLS
internal import CSSL
internal import Glibc

extension TLSSession {
    /// Keeps the certificate that does not pass, for the failure to tell of (SSL_CTX_set_verify(3)).
    static let noteRefusal: @convention(c) (CInt, OpaquePointer?) -> CInt = { passes, store in
        if passes == 1 { return 1 }
        // Safe: the store's session is one of ours, whose state `make` has put there, and lives during the call.
        guard let ssl = unsafe X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()),
            let raw = unsafe SSL_get_ex_data(OpaquePointer(ssl), 0),
            let certificate = unsafe X509_STORE_CTX_get_current_cert(store)
        else { return 0 }
        let state = unsafe raw.assumingMemoryBound(to: State.self)
        if unsafe state.pointee.refused == nil, unsafe X509_up_ref(certificate) == 1 {
            unsafe state.pointee.refused = unsafe certificate
        }
        return 0
    }

    func fail(_ cause: TLSFailure.Cause, _ description: String) -> TLSFailure {
        let failure = TLSFailure(cause, description)
        ERR_clear_error()
        state.failure = failure
        state.heldByteCount = 0
        return failure
    }

    /// Takes down why a call failed with `code`, of SSL_get_error(3): nothing more is asked of OpenSSL.
    func fail(_ code: CInt) -> TLSFailure {
        let entries = OpenSSLErrors.take()
        defer {
            unsafe X509_free(state.refused)
            unsafe state.refused = nil
        }
        // OpenSSL's own reason first: the alert that follows it may find the connection broken.
        guard let entry = entries.first(where: { $0.library == ERR_LIB_SSL }) ?? entries.first else {
            if state.socket.error != 0 {
                return fail(.inputOutput, "the connection broke: \(OpenSSLErrors.errnoText(state.socket.error))")
            }
            if code == SSL_ERROR_ZERO_RETURN || code == SSL_ERROR_SYSCALL && state.socket.has_ended {
                return fail(.peerClosed, "the peer ended the connection during the handshake")
            }
            return fail(.other, "OpenSSL gave no reason (SSL_get_error \(code))")
        }
        let text = entries.map(\.text).joined(separator: "; ")
        guard entry.library == ERR_LIB_SSL else { return fail(.other, text) }
        return describe(entry, text)
    }

    private func describe(_ entry: OpenSSLErrors.Entry, _ text: String) -> TLSFailure {
        let isServer = unsafe SSL_is_server(state.ssl) == 1
        switch entry.reason {
        case SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST:
            return fail(.plainHTTP, "an HTTP request in the clear came where TLS is spoken; use wss:// or https://")
        case SSL_R_WRONG_VERSION_NUMBER where !state.isEstablished:
            return fail(
                .notTLS, isServer ? "what came is not TLS" : "the server does not speak TLS on this port; try ws://")
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_UNKNOWN_PROTOCOL, SSL_R_NO_PROTOCOLS_AVAILABLE:
            return fail(.unsupportedVersion, "the peer speaks only versions of TLS that are not accepted (\(text))")
        case SSL_R_NO_SHARED_CIPHER, SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS,
            SSL_R_NO_SUITABLE_KEY_SHARE, SSL_R_NO_SUITABLE_GROUPS, SSL_R_NO_SHARED_GROUPS:
            return fail(.noSharedCipher, "no cipher suite, group or signature algorithm in common (\(text))")
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
            return fail(.certificateRequired, "the client showed no certificate, and one is required")
        case SSL_R_CERTIFICATE_VERIFY_FAILED:
            return fail(.certificateRejected, isServer ? clientRefusal() : serverRefusal())
        case SSL_R_CALLBACK_FAILED:
            return fail(.unrecognizedName, unrecognizedName())
        case SSL_R_NO_APPLICATION_PROTOCOL:
            return fail(.noApplicationProtocol, "the client does not offer http/1.1 (RFC 7301 §3.2)")
        case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
            return fail(.peerAlert, "the peer does not accept our versions of TLS (alert protocol_version)")
        case SSL_AD_REASON_OFFSET...(SSL_AD_REASON_OFFSET + 255):
            let alert = entry.reason - SSL_AD_REASON_OFFSET
            let name = unsafe String(cString: SSL_alert_desc_string_long(alert))
            return fail(.peerAlert, "the peer gave up: alert \(alert), \(name)")
        default:
            return fail(.other, text)
        }
    }

    private func unrecognizedName() -> String {
        let name = unsafe SSL_get_servername(state.ssl, TLSEXT_NAMETYPE_host_name)
        guard let name = unsafe name else { return "the client asks for no server name, and one is required" }
        return "the client asks for \(unsafe String(cString: name)), which no certificate is for"
    }

    /// What OpenSSL says of the certificate that did not pass.
    private var verdict: (code: Int, text: String) {
        let code = unsafe SSL_get_verify_result(state.ssl)
        return (code, unsafe String(cString: X509_verify_cert_error_string(code)))
    }

    private func clientRefusal() -> String {
        let subject = unsafe state.refused.map { unsafe X509Certificate.subject($0) } ?? "unknown"
        return "the client's certificate does not pass: \(verdict.text) (\(subject))"
    }

    private func serverRefusal() -> String {
        let name = state.expectedName ?? ""
        let subject = unsafe state.refused.map { unsafe X509Certificate.subject($0) } ?? "unknown"
        switch Int32(verdict.code) {
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
            let names = unsafe state.refused.map { unsafe X509Certificate.namesText($0) } ?? "another name"
            return "the certificate is for \(names) and not for \(name): connect by a name that it has, "
                + "or have it issued for \(name)"
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
            return "self-signed certificate (\(subject)): give --ca FILE with that certificate to trust it"
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
            X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
            return "the certificate is signed by an authority that is not trusted (\(subject)): give --ca FILE with "
                + "that authority's certificate; where the server sends no intermediate certificates, have it do so"
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return "the certificate has expired (\(subject)): have it renewed, and check this machine's clock"
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return "the certificate is not yet valid (\(subject)): check this machine's clock"
        default:
            return "the certificate does not pass: \(verdict.text) (\(subject))"
        }
    }
}
