// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
package import RoostRuntime

/// What a read from a socket came to.
package enum ReadOutcome {
    /// At least one byte; when fewer than were asked for, the socket is empty and will announce the next byte.
    case bytes(Int)
    /// Nothing there yet.
    case wouldBlock
    /// The peer ended its side.
    case endOfStream
    /// The connection is broken: ECONNRESET and its kin.
    case failed(errno: Int32)
}

/// What a write to a socket came to.
package enum WriteOutcome {
    /// The kernel took so many bytes, which may be fewer than offered.
    case bytes(Int)
    case wouldBlock
    case failed(errno: Int32)
}

/// What an accept came to, sorted by what to do about it (accept(2), "Error handling").
package enum AcceptOutcome: ~Copyable {
    case accepted(OwnedDescriptor, SocketAddress)
    /// Nobody is waiting.
    case wouldBlock
    /// That connection is gone; the next may be fine.
    case aborted
    /// No descriptor or memory is left: wait before the next try.
    case exhausted(errno: Int32)
    /// The listener itself is broken.
    case failed(errno: Int32)
}

/// The socket calls, each with its errors sorted by what the caller does about them. A raw descriptor appears nowhere
/// else.
package enum SystemCalls {
    /// recv(2). Retries EINTR.
    @inline(__always)
    package static func receive(
        _ descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer, flags: CInt = 0
    ) -> ReadOutcome {
        while true {
            let count = unsafe recv(descriptor, buffer.baseAddress, buffer.count, flags)
            if count > 0 { return .bytes(count) }
            if count == 0 { return .endOfStream }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            case let code: return .failed(errno: code)
            }
        }
    }

    /// recv(2) that leaves what it gives in the socket. Retries EINTR.
    package static func peek(_ descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer) -> ReadOutcome {
        unsafe receive(descriptor, into: buffer, flags: CInt(MSG_PEEK))
    }

    /// send(2) without SIGPIPE. Retries EINTR.
    @inline(__always)
    package static func send(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) -> WriteOutcome {
        while true {
            let count = unsafe Glibc.send(descriptor, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL))
            if count >= 0 { return .bytes(count) }
            switch errno {
            case EINTR: continue
            case EAGAIN, ENOBUFS: return .wouldBlock
            case let code: return .failed(errno: code)
            }
        }
    }

    /// sendmsg(2) of two pieces in a row, without SIGPIPE. Retries EINTR.
    package static func send(_ descriptor: CInt, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer)
        -> WriteOutcome
    {
        unsafe withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { pieces in
            unsafe pieces[0] = iovec(
                iov_base: UnsafeMutableRawPointer(mutating: first.baseAddress), iov_len: first.count)
            unsafe pieces[1] = iovec(
                iov_base: UnsafeMutableRawPointer(mutating: second.baseAddress), iov_len: second.count)
            var message = unsafe msghdr()
            unsafe message.msg_iov = pieces.baseAddress
            unsafe message.msg_iovlen = 2
            while true {
                let count = unsafe sendmsg(descriptor, &message, CInt(MSG_NOSIGNAL))
                if count >= 0 { return .bytes(count) }
                switch errno {
                case EINTR: continue
                case EAGAIN, ENOBUFS: return .wouldBlock
                case let code: return .failed(errno: code)
                }
            }
        }
    }

    /// accept4(2): non-blocking, closed on exec.
    package static func accept(_ descriptor: CInt) -> AcceptOutcome {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let accepted = unsafe withUnsafeMutableBytes(of: &storage) { bytes in
            unsafe roost_accept(descriptor, bytes.baseAddress!, &length)
        }
        if accepted >= 0 { return .accepted(OwnedDescriptor(adopting: accepted), SocketAddress(storage, length)) }
        switch errno {
        case EAGAIN: return .wouldBlock
        // Linux passes errors of the new connection on: the peer is gone, or unreachable.
        case EINTR, ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP,
            ENETUNREACH, EPERM:
            return .aborted
        case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted(errno: errno)
        case let code: return .failed(errno: code)
        }
    }

    /// Says that nothing more will be sent; the peer reads the end of the stream after what was sent before.
    package static func shutdownWriting(_ descriptor: CInt) { _ = Glibc.shutdown(descriptor, CInt(SHUT_WR)) }

    /// Refuses connections from now on; the descriptor stays whose it is.
    package static func stopListening(_ descriptor: CInt) { _ = Glibc.shutdown(descriptor, CInt(SHUT_RDWR)) }

    /// Closes with a reset instead of an orderly end: unsent data is dropped at once.
    package static func setResetOnClose(_ descriptor: CInt) {
        var linger = linger(l_onoff: 1, l_linger: 0)
        unsafe _ = setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
    }

    package static func closeDescriptor(_ descriptor: CInt) { _ = Glibc.close(descriptor) }

    /// Small frames leave at once (tcp(7), TCP_NODELAY). Does nothing on a unix socket.
    package static func setNoDelay(_ descriptor: CInt) {
        var one: CInt = 1
        unsafe _ = setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<CInt>.size))
    }

    private static func setReceiveBuffer(_ descriptor: CInt, _ byteCount: Int) throws(RuntimeError) {
        var count = CInt(clamping: byteCount)
        // Safe: the kernel reads the integer that it is lent.
        let code = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &count, socklen_t(MemoryLayout<CInt>.size))
        guard code == 0 else { throw .systemCall("setsockopt SO_RCVBUF", errno) }
    }

    /// The error of a connection attempt that has become writable; 0 when it is established.
    package static func connectError(_ descriptor: CInt) -> Int32 {
        var code: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        let result = unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length)
        return result == 0 ? code : errno
    }

    /// IP_BIND_ADDRESS_NO_PORT (linux/in.h), for IPv6 too.
    private static let ipBindAddressNoPort: CInt = 24

    /// Starts a connection; it is established, or has failed, when the socket becomes writable.
    ///
    /// `receiveBufferByteCount`: what the kernel may keep of what has come and is not read, in its own reckoning
    /// (socket(7), SO_RCVBUF); nil: it decides, and makes it larger where that helps.
    package static func connect(
        to address: SocketAddress, from source: SocketAddress? = nil, receiveBufferByteCount: Int? = nil
    ) throws(RuntimeError) -> OwnedDescriptor {
        let raw = socket(
            address.family, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw .systemCall("socket", errno) }
        let descriptor = OwnedDescriptor(adopting: raw)
        setNoDelay(raw)
        // Before the handshake, which tells the peer how large the window may become.
        if let receiveBufferByteCount { try setReceiveBuffer(raw, receiveBufferByteCount) }
        if let source {
            // The port is picked when the server's address is known: one port then does for several servers (ip(7)).
            var one: CInt = 1
            unsafe _ = setsockopt(
                raw, CInt(IPPROTO_IP), ipBindAddressNoPort, &one, socklen_t(MemoryLayout<CInt>.size))
            let code = unsafe source.withSockaddr { unsafe bind(raw, $0, $1) }
            guard code == 0 else { throw .systemCall("bind to \(source)", errno) }
        }
        let code = unsafe address.withSockaddr { unsafe Glibc.connect(raw, $0, $1) }
        guard code == 0 || errno == EINPROGRESS else { throw .systemCall("connect to \(address)", errno) }
        return descriptor
    }

    /// Descriptors that this program may hold (getrlimit(2), RLIMIT_NOFILE), raised to the hard limit first.
    package static func raiseDescriptorLimit() -> Int {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        if limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max
            unsafe _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            unsafe _ = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        return Int(clamping: limit.rlim_cur)
    }
}

/// A descriptor that is closed when its owner ends.
package struct OwnedDescriptor: ~Copyable, Sendable {
    package let number: CInt

    package init(adopting number: CInt) { self.number = number }
    deinit { SystemCalls.closeDescriptor(number) }

    /// Gives the descriptor up: it is the caller's to close.
    package consuming func release() -> CInt {
        let number = number
        discard self
        return number
    }
}
