// SPDX-License-Identifier: Apache-2.0

internal import RoostIO
internal import RoostRuntime

// What connections read from and write to: the socket itself, or TLS over it.

extension ConnectionRef {
    /// Reads what has come. `readable` is cleared when nothing more is there: the socket will say when it no longer is
    /// so (epoll(7), "edge-triggered").
    @inline(__always)
    func receive(into buffer: UnsafeMutableRawBufferPointer) -> ReadOutcome {
        if state.flags.contains(.isSecure) { return unsafe receiveSecurely(into: buffer) }
        let outcome = unsafe SystemCalls.receive(state.descriptor, into: buffer)
        switch outcome {
        // After a hangup there is no further event: the socket is read to its end.
        case .bytes(let count):
            if count < buffer.count, !state.flags.contains(.hasHangup) { state.flags.remove(.readable) }
        case .wouldBlock: state.flags.remove(.readable)
        case .endOfStream, .failed: break
        }
        return outcome
    }

    @inline(never)
    private func receiveSecurely(into buffer: UnsafeMutableRawBufferPointer) -> ReadOutcome {
        guard let tls = state.tls else { return .failed(errno: 0) }
        let outcome = unsafe tls.receive(into: buffer)
        if state.flags.contains(.writesWhenReadable) {
            state.flags.subtract([.writesWhenReadable, .isBlocked])
            SchedulerRef.currentProcess?.wakeSelf()
        }
        switch outcome {
        case .bytes(let count, let isDrained):
            if isDrained, !state.flags.contains(.hasHangup) { state.flags.remove(.readable) }
            return .bytes(count)
        case .wouldBlock:
            state.flags.remove(.readable)
            return .wouldBlock
        case .wantsWrite:
            state.flags.remove(.readable)
            state.flags.insert([.readsWhenWritable, .isBlocked])
            return .wouldBlock
        case .endOfStream: return .endOfStream
        case .failed(let failure):
            noteReason(CloseReason(tlsFailureCause, code: .abnormalClosure, message: failure.description))
            return .failed(errno: 0)
        }
    }

    /// A TLS connection that breaks before there is a WebSocket failed as such.
    private var tlsFailureCause: CloseReason.Cause {
        role == .client && state.phase != .open ? .connectFailed : state.phase == .open ? .connectionLost : .tlsFailed
    }

    /// Hands bytes to the kernel, or to TLS.
    @inline(__always)
    func transmit(_ bytes: UnsafeRawBufferPointer) -> WriteOutcome {
        if state.flags.contains(.isSecure) { return unsafe transmitSecurely(bytes) }
        return unsafe SystemCalls.send(state.descriptor, bytes)
    }

    /// Hands over two pieces in a row.
    func transmit(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) -> WriteOutcome {
        guard state.flags.contains(.isSecure) else { return unsafe SystemCalls.send(state.descriptor, first, second) }
        let outcome = unsafe transmitSecurely(first)
        guard case .bytes(first.count) = outcome else { return outcome }
        switch unsafe transmitSecurely(second) {
        case .bytes(let count): return .bytes(first.count + count)
        case .wouldBlock: return .bytes(first.count)
        case .failed(let code): return .failed(errno: code)
        }
    }

    @inline(never)
    private func transmitSecurely(_ bytes: UnsafeRawBufferPointer) -> WriteOutcome {
        guard let tls = state.tls else { return .failed(errno: 0) }
        switch unsafe tls.send(bytes) {
        case .bytes(let count): return .bytes(count)
        case .wouldBlock: return .wouldBlock
        case .wantsRead:
            state.flags.insert(.writesWhenReadable)
            return .wouldBlock
        case .failed(let failure):
            noteReason(CloseReason(tlsFailureCause, code: .abnormalClosure, message: failure.description))
            return .failed(errno: 0)
        }
    }

    /// Says that nothing more will be sent: to TLS's peer as well (RFC 8446 §6.1). False: the socket has no room for
    /// that; it is to be said when it is writable again.
    @discardableResult
    func endWriting() -> Bool {
        if state.flags.contains(.isSecure), state.tls?.closeNotify() == false { return false }
        SystemCalls.shutdownWriting(state.descriptor)
        return true
    }

    /// Bytes at the front of `outbound` that TLS has begun to send: they stay as they are.
    var heldByteCount: Int {
        @inline(__always) get { state.flags.contains(.isSecure) ? state.tls?.heldByteCount ?? 0 : 0 }
    }
}
