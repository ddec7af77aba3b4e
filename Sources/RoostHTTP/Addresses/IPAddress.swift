internal import Glibc

/// An IPv4 or IPv6 address, without port.
///
/// An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`, RFC 4291 §2.5.5.2) is the IPv4 address: a dual-stack socket shows
/// IPv4 peers that way.
package struct IPAddress: Hashable, Sendable, CustomStringConvertible {
    /// The two halves of the IPv6 form as numbers: `high` holds the first eight bytes, the first of them on top.
    let high: UInt64
    let low: UInt64

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    private static let mappedPrefix: UInt64 = 0xFFFF_0000_0000

    /// `address` in network order: `in_addr.s_addr` as it is.
    package init(ipv4NetworkOrder address: UInt32) {
        self.init(high: 0, low: Self.mappedPrefix | UInt64(UInt32(bigEndian: address)))
    }

    /// The halves of `in6_addr` as they lie in memory.
    package init(ipv6NetworkOrder high: UInt64, _ low: UInt64) {
        self.init(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low))
    }

    /// Reads what inet_pton(3) does: four decimal numbers, or IPv6 text without brackets and zone. Nil for anything
    /// else, names included.
    package init?(_ text: String) {
        // C would stop reading at a NUL.
        guard !text.utf8.contains(0) else { return nil }
        var ipv4 = in_addr()
        // Safe: inet_pton reads up to the NUL that the bridged string ends with and writes the structure it is given.
        if unsafe inet_pton(AF_INET, text, &ipv4) == 1 {
            self.init(ipv4NetworkOrder: ipv4.s_addr)
            return
        }
        var halves: (UInt64, UInt64) = (0, 0)
        // Safe: as above; in6_addr is sixteen bytes.
        guard unsafe inet_pton(AF_INET6, text, &halves) == 1 else { return nil }
        self.init(ipv6NetworkOrder: halves.0, halves.1)
    }

    package var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }

    /// As `in_addr.s_addr`; nil for IPv6.
    package var ipv4NetworkOrder: UInt32? { isIPv4 ? UInt32(truncatingIfNeeded: low).bigEndian : nil }

    /// As `in6_addr` in memory; IPv4 as IPv4-mapped IPv6.
    package var ipv6NetworkOrder: (high: UInt64, low: UInt64) { (high.bigEndian, low.bigEndian) }

    /// What limits per address count by: the IPv4 address, or the /64 that an IPv6 host can choose its addresses from
    /// (RFC 6177 §2).
    package var limitKey: IPAddress { isIPv4 ? self : IPAddress(high: high, low: 0) }

    /// The first `bitCount` of the 128 bits, zeros behind them.
    func prefix(bitCount: Int) -> IPAddress {
        // Shifts by more than the width give zero.
        let highMask = ~(UInt64.max >> UInt64(min(bitCount, 64)))
        let lowMask = ~(UInt64.max >> UInt64(max(bitCount - 64, 0)))
        return IPAddress(high: high & highMask, low: low & lowMask)
    }

    /// The canonical text (RFC 5952), without brackets.
    package var description: String {
        if let address = ipv4NetworkOrder { return Self.text(of: in_addr(s_addr: address), AF_INET) }
        return Self.text(of: ipv6NetworkOrder, AF_INET6)
    }

    private static func text<Address>(of address: Address, _ family: CInt) -> String {
        unsafe withUnsafeBytes(of: address) { bytes in
            unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { buffer in
                // Safe: `bytes` is an address of `family`; INET6_ADDRSTRLEN is enough for either, with its NUL.
                guard
                    let text = unsafe inet_ntop(
                        family, bytes.baseAddress, buffer.baseAddress, socklen_t(INET6_ADDRSTRLEN))
                else { preconditionFailure("IPAddress: inet_ntop refuses family \(family)") }
                return unsafe String(cString: text)
            }
        }
    }
}
