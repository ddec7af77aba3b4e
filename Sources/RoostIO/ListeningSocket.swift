// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A socket that connections are accepted from.
package struct ListeningSocket: ~Copyable, Sendable {
    private let descriptor: OwnedDescriptor
    package let address: SocketAddress

    /// Connections that the kernel completes and holds until they are accepted (listen(2); capped by
    /// net.core.somaxconn).
    package static let backlog: CInt = 4096

    /// Binds and listens. A stale unix socket that nobody listens on is replaced.
    package init(_ wanted: SocketAddress) throws(ListenError) {
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        let raw = socket(wanted.family, kind, 0)
        guard raw >= 0 else { throw ListenError(address: wanted, step: "socket", errno: errno) }
        let descriptor = OwnedDescriptor(adopting: raw)
        var one: CInt = 1
        let size = socklen_t(MemoryLayout<CInt>.size)
        // A restart must not wait for old connections in TIME_WAIT; a port that somebody listens on is still refused.
        unsafe _ = setsockopt(raw, SOL_SOCKET, SO_REUSEADDR, &one, size)
        if wanted.family == AF_INET6 { unsafe _ = setsockopt(raw, CInt(IPPROTO_IPV6), CInt(IPV6_V6ONLY), &one, size) }
        // Accepted sockets inherit it.
        if wanted.family != AF_UNIX { SystemCalls.setNoDelay(raw) }
        if let path = wanted.unixPath { Self.removeStale(path, wanted) }
        guard unsafe wanted.withSockaddr({ unsafe bind(raw, $0, $1) }) == 0 else {
            throw ListenError(address: wanted, step: "bind", errno: errno)
        }
        guard listen(raw, Self.backlog) == 0 else { throw ListenError(address: wanted, step: "listen", errno: errno) }
        address = SocketAddress.local(of: raw) ?? wanted
        self.descriptor = descriptor
    }

    deinit {
        if let path = address.unixPath { unsafe _ = unlink(path) }
    }

    package var number: CInt { descriptor.number }

    private static func removeStale(_ path: String, _ address: SocketAddress) {
        var status = stat()
        guard unsafe lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return }
        // A listener whose backlog is full must not make this wait: it is alive.
        let probe = socket(
            AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard probe >= 0 else { return }
        defer { close(probe) }
        let isAlive = unsafe address.withSockaddr { unsafe connect(probe, $0, $1) } == 0
        if !isAlive, errno == ECONNREFUSED { unsafe _ = unlink(path) }
    }
}

/// Why a listener could not be opened.
public struct ListenError: Error, CustomStringConvertible {
    public let address: SocketAddress
    public let step: String
    public let errno: Int32

    public var description: String {
        let cause = unsafe String(cString: strerror(errno))
        let remedy =
            switch errno {
            case EADDRINUSE where address.unixPath != nil:
                "something is there, and it is no socket that nobody listens on: remove it or choose another path"
            case EADDRINUSE: "another program listens there: stop it or choose another port with --listen"
            case EACCES:
                "ports below 1024 need CAP_NET_BIND_SERVICE, a unix socket a directory you may write: choose another"
            case EADDRNOTAVAIL: "this machine has no such address: use one that `ip address` shows"
            case EMFILE, ENFILE: "no descriptor is left: raise the limit with `ulimit -n`"
            case ENOENT: "the directory of the unix socket does not exist: create it"
            default: "check the address"
            }
        return "cannot listen on \(address): \(cause) (\(step)); \(remedy)"
    }
}
