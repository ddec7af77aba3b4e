// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// An endpoint: IPv4, IPv6 or the path of a unix socket.
public struct SocketAddress: Sendable, Hashable, CustomStringConvertible {
    private enum Kind: Hashable {
        /// Bytes in network order.
        case ipv4(UInt32, port: UInt16)
        case ipv6(UInt64, UInt64, port: UInt16, scope: UInt32)
        case unix(String)
    }
    private let kind: Kind

    /// Reads `127.0.0.1:9001`, `[::1]:9001` or `unix:/run/roost.sock`. Names are not looked up, but for `localhost`.
    public init(_ text: String) throws(SocketAddressError) {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst(5))
            guard !path.isEmpty, path.utf8.count < 108 else { throw .invalidPath(text) }
            kind = .unix(path)
            return
        }
        guard let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") else { throw .missingPort(text) }
        guard let port = UInt16(text[text.index(after: colon)...]) else { throw .invalidPort(text) }
        var host = String(text[..<colon])
        if host == "localhost" { host = "127.0.0.1" }
        if host == "*" || host.isEmpty { host = "0.0.0.0" }
        if host.hasPrefix("["), host.hasSuffix("]") {
            var address = in6_addr()
            guard unsafe inet_pton(AF_INET6, String(host.dropFirst().dropLast()), &address) == 1 else {
                throw .invalidHost(text)
            }
            let (high, low) = unsafe withUnsafeBytes(of: address) {
                unsafe ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            }
            kind = .ipv6(high, low, port: port, scope: 0)
        } else {
            var address = in_addr()
            guard unsafe inet_pton(AF_INET, host, &address) == 1 else { throw .invalidHost(text) }
            kind = .ipv4(address.s_addr, port: port)
        }
    }

    init(_ storage: sockaddr_storage, _ length: socklen_t) {
        let kind: Kind = unsafe withUnsafeBytes(of: storage) { bytes in
            // Safe: the family says which of the address types the kernel wrote; all fit sockaddr_storage.
            switch CInt(storage.ss_family) {
            case AF_INET:
                let address = unsafe bytes.loadUnaligned(as: sockaddr_in.self)
                return .ipv4(address.sin_addr.s_addr, port: UInt16(bigEndian: address.sin_port))
            case AF_INET6:
                let address = unsafe bytes.loadUnaligned(as: sockaddr_in6.self)
                let (high, low) = unsafe withUnsafeBytes(of: address.sin6_addr) {
                    unsafe ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                }
                return .ipv6(high, low, port: UInt16(bigEndian: address.sin6_port), scope: address.sin6_scope_id)
            default:
                let end = min(Int(length), bytes.count)
                let path = unsafe bytes[min(2, end)..<end].prefix { $0 != 0 }
                return .unix(unsafe String(decoding: path, as: UTF8.self))
            }
        }
        self.kind = kind
    }

    /// The address a socket is bound to, with the port that the kernel chose for port 0.
    package static func local(of descriptor: CInt) -> SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let code = unsafe withUnsafeMutableBytes(of: &storage) { bytes in
            unsafe getsockname(descriptor, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), &length)
        }
        return code == 0 ? SocketAddress(storage, length) : nil
    }

    public var port: Int? {
        switch kind {
        case .ipv4(_, let port), .ipv6(_, _, let port, _): Int(port)
        case .unix: nil
        }
    }

    /// The address without port, or the path.
    public var host: String {
        switch kind {
        case .ipv4(let address, _): text(of: in_addr(s_addr: address), AF_INET)
        case .ipv6(let high, let low, _, _): text(of: (high, low), AF_INET6)
        case .unix(let path): path
        }
    }

    package var unixPath: String? {
        if case .unix(let path) = kind { path } else { nil }
    }

    private func text<Value>(of address: Value, _ family: CInt) -> String {
        unsafe withUnsafeBytes(of: address) { bytes in
            unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
                unsafe inet_ntop(family, bytes.baseAddress, buffer.baseAddress, 64) == nil
                    ? "?" : String(cString: buffer.baseAddress!)
            }
        }
    }

    public var description: String {
        switch kind {
        case .ipv4(_, let port): "\(host):\(port)"
        case .ipv6(_, _, let port, _): "[\(host)]:\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    var family: CInt {
        switch kind {
        case .ipv4: AF_INET
        case .ipv6: AF_INET6
        case .unix: AF_UNIX
        }
    }

    func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        func lend<Address>(_ address: Address) -> Result {
            unsafe withUnsafeBytes(of: address) {
                // Safe: every address type starts as sockaddr does; the length says which it is.
                unsafe body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
            }
        }
        switch kind {
        case .ipv4(let host, let port):
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = host
            return lend(address)
        case .ipv6(let high, let low, let port, let scope):
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            address.sin6_scope_id = scope
            unsafe withUnsafeMutableBytes(of: &address.sin6_addr) {
                unsafe $0.storeBytes(of: high, as: UInt64.self)
                unsafe $0.storeBytes(of: low, toByteOffset: 8, as: UInt64.self)
            }
            return lend(address)
        case .unix(let path):
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
            return lend(address)
        }
    }
}

/// Why an address could not be read.
public enum SocketAddressError: Error, Equatable, CustomStringConvertible {
    case missingPort(String)
    case invalidPort(String)
    case invalidHost(String)
    case invalidPath(String)

    public var description: String {
        switch self {
        case .missingPort(let text): "'\(text)' has no port; write host:port, for example 127.0.0.1:9001"
        case .invalidPort(let text): "'\(text)' has no valid port; use 0 to 65535 behind the last colon"
        case .invalidHost(let text):
            "'\(text)' is no address; write an IPv4 address, an IPv6 address in brackets or unix:/path, not a name"
        case .invalidPath(let text): "'\(text)' is no path for a unix socket; it takes 1 to 107 bytes"
        }
    }
}
