// SPDX-License-Identifier: Apache-2.0

internal import CRoostTLS
internal import CSSL
internal import Glibc
internal import RoostRuntime

extension TLSSession {
    /// Bytes on the wire without a byte of data in them that one `receive` puts up with. Nobody honest sends as many,
    /// and a peer that updates its keys as fast as it can would keep this thread for good (RFC 8446 §4.6.3 sets no
    /// limit, and neither does OpenSSL).
    static let barrenByteCountMax = 65_536

    /// Reads until the buffer is full or nothing more is there. Bytes that came before an end or a failure come first,
    /// and that at the next call.
    package func receive(into buffer: UnsafeMutableRawBufferPointer) -> TLSReadOutcome {
        precondition(buffer.count > 0, "TLSSession.receive: there is no room")
        if let end = state.readEnd { return end }
        if let failure = state.failure { return .failed(failure) }
        return withoutOwner {
            state.socket.is_drained = false
            state.socket.is_empty = false
            state.socket.allowance = Int64(buffer.count + Self.barrenByteCountMax)
            var filled = 0
            while true {
                var count = 0
                ERR_clear_error()
                let result = unsafe SSL_read_ex(
                    state.ssl, buffer.baseAddress! + filled, buffer.count - filled, &count)
                if result == 1 {
                    filled += count
                    if isDrained { return .bytes(filled, isDrained: true) }
                    if filled == buffer.count { return .bytes(filled, isDrained: false) }
                    continue
                }
                let outcome: TLSReadOutcome
                switch unsafe SSL_get_error(state.ssl, result) {
                case SSL_ERROR_WANT_READ:
                    if filled > 0 { return .bytes(filled, isDrained: isDrained) }
                    if state.socket.is_empty { return .wouldBlock }
                    // The allowance is used up.
                    outcome = .failed(fail(.other, "the peer sends messages without data, one after the other"))
                case SSL_ERROR_WANT_WRITE:
                    return filled > 0 ? .bytes(filled, isDrained: false) : .wantsWrite
                case let code:
                    outcome = readEnd(code)
                }
                state.readEnd = outcome
                return filled > 0 ? .bytes(filled, isDrained: false) : outcome
            }
        }
    }

    /// The socket has nothing more, and neither has OpenSSL that it could make something of.
    private var isDrained: Bool {
        unsafe state.socket.is_empty || state.socket.is_drained && SSL_has_pending(state.ssl) == 0
    }

    private func readEnd(_ code: CInt) -> TLSReadOutcome {
        if code == SSL_ERROR_ZERO_RETURN { return .endOfStream(isClean: true) }
        if code == SSL_ERROR_SYSCALL, state.socket.has_ended, state.socket.error == 0 {
            ERR_clear_error()
            return .endOfStream(isClean: false)
        }
        return .failed(fail(code))
    }

    /// Sends as much as the kernel takes, in records of at most `recordByteCountMax` bytes. `bytes` is not empty, and
    /// begins with what is held.
    package func send(_ bytes: UnsafeRawBufferPointer) -> TLSWriteOutcome {
        precondition(bytes.count > 0, "TLSSession.send: there is nothing to send")
        precondition(bytes.count >= heldByteCount, "TLSSession.send: \(heldByteCount) bytes are held")
        if let failure = state.failure { return .failed(failure) }
        return withoutOwner {
            state.socket.allowance = Int64(Self.barrenByteCountMax)
            var sent = 0
            while sent < bytes.count {
                // With what is held and nothing behind it: OpenSSL would count that as begun, too.
                let count = heldByteCount > 0 ? heldByteCount : min(Self.recordByteCountMax, bytes.count - sent)
                var written = 0
                ERR_clear_error()
                let result = unsafe SSL_write_ex(state.ssl, bytes.baseAddress! + sent, count, &written)
                if result == 1 {
                    state.heldByteCount = 0
                    sent += written
                    continue
                }
                switch unsafe SSL_get_error(state.ssl, result) {
                case SSL_ERROR_WANT_WRITE:
                    state.heldByteCount = UInt32(count)
                    return sent > 0 ? .bytes(sent) : .wouldBlock
                case SSL_ERROR_WANT_READ where sent == 0:
                    return .wantsRead
                case let code:
                    let failure = fail(code)
                    return sent > 0 ? .bytes(sent) : .failed(failure)
                }
            }
            return .bytes(sent)
        }
    }
}
