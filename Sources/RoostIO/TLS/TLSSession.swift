// SPDX-License-Identifier: Apache-2.0

internal import CRoostTLS
internal import CSSL
internal import Glibc
internal import RoostRuntime

/// What a step of the handshake came to.
package enum TLSHandshakeOutcome: Equatable {
    /// The session is established. What the peer has sent already may lie in OpenSSL's buffer: receive before waiting.
    case done
    case wantsRead
    case wantsWrite
    /// The session is broken, and the peer has been told where it can be.
    case failed(TLSFailure)
}

/// What a read from a session came to.
package enum TLSReadOutcome: Equatable {
    /// At least one byte. `isDrained`: the socket is empty, as `ReadOutcome.bytes` has it for fewer than were asked
    /// for, and OpenSSL holds nothing back; else there may be more, also where the socket announces nothing.
    case bytes(Int, isDrained: Bool)
    /// Nothing there yet.
    case wouldBlock
    /// A message of the protocol itself has to leave first.
    case wantsWrite
    /// The peer ended its side; not `isClean`: without a close_notify, so that somebody may have cut off what it said
    /// last (RFC 8446 §6.1). We may still send.
    case endOfStream(isClean: Bool)
    case failed(TLSFailure)
}

/// What a write to a session came to.
package enum TLSWriteOutcome: Equatable {
    /// So many bytes are in the kernel, at least one; fewer than offered: wait for the socket to become writable.
    case bytes(Int)
    /// Wait for the socket to become writable.
    case wouldBlock
    /// The peer has sent half a message of the protocol itself: receive, or wait for the socket to become readable.
    case wantsRead
    case failed(TLSFailure)
}

/// What was agreed on in a handshake.
package struct TLSNegotiated: Equatable, Sendable {
    /// As OpenSSL writes it: `TLSv1.3`.
    package let version: String
    package let cipher: String
    package let isResumed: Bool
    /// What the client asked for.
    package let serverName: String?
    package let applicationProtocol: String?
}

/// TLS over one non-blocking socket, which stays the caller's.
///
/// One pointer wide, and freed by hand, so that it can lie in a connection's state and go with it from one process to
/// the next; any thread, one at a time. Copies are the same session. What OpenSSL allocates is booked on no process.
@safe package struct TLSSession: Equatable, @unchecked Sendable {  // one thread at a time, as said above
    /// Bytes of plaintext in a record at most (RFC 8446 §5.1).
    package static let recordByteCountMax = 16_384

    @safe struct State: ~Copyable {
        /// First, and never moved: the BIO has its address.
        var socket: roost_tls_socket
        let ssl: OpaquePointer
        /// Keeps what OpenSSL's callbacks use.
        let context: AnyObject
        /// How reading ended; the outcome of every read from then on.
        var readEnd: TLSReadOutcome?
        /// After it OpenSSL is not called any more (SSL_get_error(3)).
        var failure: TLSFailure?
        /// The certificate that did not pass, until the failure tells of it. Owned.
        var refused: OpaquePointer?
        /// What a client verifies.
        let expectedName: String?
        var heldByteCount: UInt32 = 0
        var isEstablished = false
        var closeNotice = CloseNotice.none
    }

    enum CloseNotice { case none, pending, done }

    private let pointer: UnsafeMutablePointer<State>

    var state: State {
        // Safe: the block lives until `free`.
        @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer) }
        @inline(__always) nonmutating unsafeMutableAddress { unsafe pointer }
    }

    package static func == (a: TLSSession, b: TLSSession) -> Bool { unsafe a.pointer == b.pointer }

    /// Nil when memory is short.
    package init?(server context: TLSContext, descriptor: CInt) {
        guard let made = unsafe withoutOwner({ unsafe Self.make(context.pointer, context, descriptor, nil) }) else {
            return nil
        }
        unsafe pointer = unsafe made
        unsafe SSL_set_accept_state(made.pointee.ssl)
    }

    /// `serverName`: a host name, or an IP address as text; the configuration's goes before it. Nil when memory is
    /// short, or when no certificate could be for that name.
    package init?(client context: TLSClientContext, descriptor: CInt, serverName: String) {
        let name = context.configuration.serverName ?? serverName
        let made = unsafe withoutOwner { () -> UnsafeMutablePointer<State>? in
            defer { ERR_clear_error() }
            guard let made = unsafe Self.make(context.pointer, context, descriptor, name) else { return nil }
            unsafe SSL_set_connect_state(made.pointee.ssl)
            guard unsafe Self.expect(name, made.pointee.ssl) else {
                unsafe Self.destroy(made)
                return nil
            }
            return unsafe made
        }
        guard let made = unsafe made else { return nil }
        unsafe pointer = unsafe made
    }

    private static func make(
        _ context: OpaquePointer, _ keeper: AnyObject, _ descriptor: CInt, _ name: String?
    ) -> UnsafeMutablePointer<State>? {
        defer { ERR_clear_error() }
        guard let ssl = unsafe SSL_new(context) else { return nil }
        let made = UnsafeMutablePointer<State>.allocate(capacity: 1)
        unsafe made.initialize(
            to: State(
                socket: roost_tls_socket(
                    descriptor: descriptor, error: 0, allowance: 0, has_ended: false, is_empty: false, is_drained: false
                ),
                ssl: ssl, context: keeper, readEnd: nil, failure: nil, refused: nil, expectedName: name))
        // Safe: `socket` is the first field.
        guard
            let bio = unsafe roost_tls_bio(UnsafeMutableRawPointer(made).assumingMemoryBound(to: roost_tls_socket.self))
        else {
            unsafe destroy(made)
            return nil
        }
        unsafe SSL_set_bio(ssl, bio, bio)
        guard unsafe SSL_set_ex_data(ssl, 0, made) == 1 else {
            unsafe destroy(made)
            return nil
        }
        return unsafe made
    }

    /// Asks for `name`, and has the certificate be for it.
    private static func expect(_ name: String, _ ssl: OpaquePointer) -> Bool {
        let parameters = unsafe SSL_get0_param(ssl)
        // An address is no server name (RFC 6066 §3).
        if unsafe X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1 { return true }
        unsafe X509_VERIFY_PARAM_set_hostflags(parameters, CUnsignedInt(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        return unsafe X509_VERIFY_PARAM_set1_host(parameters, name, 0) == 1 && roost_tls_set_server_name(ssl, name) == 1
    }

    private static func destroy(_ made: UnsafeMutablePointer<State>) {
        unsafe SSL_free(made.pointee.ssl)
        unsafe X509_free(made.pointee.refused)
        unsafe made.deinitialize(count: 1)
        unsafe made.deallocate()
    }

    /// Ends the session without a word; `closeNotify` comes before it where there is one to say.
    package func free() {
        withoutOwner {
            unsafe Self.destroy(pointer)
            ERR_clear_error()
        }
    }

    /// OpenSSL's session, for what only it can tell.
    package var ssl: OpaquePointer { unsafe state.ssl }

    /// Bytes at the front of the next `send` that must be the same as before, wherever they lie now: OpenSSL has made a
    /// record of them, of which the kernel has not taken all.
    package var heldByteCount: Int { Int(state.heldByteCount) }

    /// Goes on with the handshake until it is done or has to wait.
    package func handshake() -> TLSHandshakeOutcome {
        if let failure = state.failure { return .failed(failure) }
        return withoutOwner {
            ERR_clear_error()
            state.socket.allowance = Int64.max  // OpenSSL limits what a handshake may consist of
            let result = unsafe SSL_do_handshake(state.ssl)
            if result == 1 {
                state.isEstablished = true
                ERR_clear_error()
                return .done
            }
            switch unsafe SSL_get_error(state.ssl, result) {
            case SSL_ERROR_WANT_READ: return .wantsRead
            case SSL_ERROR_WANT_WRITE: return .wantsWrite
            case let code: return .failed(fail(code))
            }
        }
    }

    /// Tells the peer that nothing more will be sent; reading goes on. Best effort: nothing is said before the
    /// handshake is done, while bytes are held (they belong before it), or after a failure. False: the socket takes
    /// nothing now; call again when it does.
    @discardableResult
    package func closeNotify() -> Bool {
        guard state.failure == nil, state.isEstablished, state.heldByteCount == 0, state.closeNotice != .done else {
            return true
        }
        return withoutOwner {
            ERR_clear_error()
            defer { ERR_clear_error() }
            let result = unsafe SSL_shutdown(state.ssl)
            if result < 0, unsafe SSL_get_error(state.ssl, result) == SSL_ERROR_WANT_WRITE {
                state.closeNotice = .pending
                return false
            }
            state.closeNotice = .done
            // An alert leaves the buffer that it was written from behind.
            unsafe _ = SSL_free_buffers(state.ssl)
            return true
        }
    }

    package var negotiated: TLSNegotiated {
        withoutOwner {
            var protocolBytes: UnsafePointer<UInt8>?
            var count: CUnsignedInt = 0
            unsafe SSL_get0_alpn_selected(state.ssl, &protocolBytes, &count)
            let applicationProtocol = unsafe String(
                decoding: UnsafeBufferPointer(start: protocolBytes, count: Int(count)), as: UTF8.self)
            let name = unsafe SSL_get_servername(state.ssl, TLSEXT_NAMETYPE_host_name)
            return unsafe TLSNegotiated(
                version: String(cString: SSL_get_version(state.ssl)),
                cipher: String(cString: SSL_CIPHER_get_name(SSL_get_current_cipher(state.ssl))),
                isResumed: SSL_session_reused(state.ssl) == 1,
                serverName: name.map { unsafe String(cString: $0) },
                applicationProtocol: count == 0 ? nil : applicationProtocol)
        }
    }

    /// Of the certificate that the peer has shown, which was verified, as RFC 2253 writes it; nil when it showed none.
    package var peerCertificateSubject: String? {
        withoutOwner { unsafe SSL_get0_peer_certificate(state.ssl).map { unsafe X509Certificate.subject($0) } }
    }

    /// The host names and addresses of that certificate.
    package var peerCertificateNames: [String] {
        withoutOwner {
            guard let certificate = unsafe SSL_get0_peer_certificate(state.ssl),
                let names = unsafe X509Certificate.alternativeNames(certificate)
            else { return [] }
            return names.hosts + names.addresses
        }
    }
}
