/// Addresses that a configuration lists: single ones, ranges such as `10.0.0.0/8` (CIDR, RFC 4632 §3.1), and the
/// word `unix` for every peer of a unix socket.
package struct AddressRanges: Sendable, Equatable {
    /// Addresses whose first bits are those of `base`.
    private struct AddressRange: Sendable, Equatable {
        let base: IPAddress
        /// Of the 128 bits of the IPv6 form.
        let prefixBitCount: Int
        /// A range of IPv6 addresses never holds an IPv4 address, not even `::/0`: who writes it means IPv6.
        let isIPv4: Bool

        func contains(_ address: IPAddress) -> Bool {
            address.isIPv4 == isIPv4 && address.prefix(bitCount: prefixBitCount) == base
        }
    }

    /// True if peers of unix sockets are listed.
    package let includesUnixPeers: Bool

    private let ranges: [AddressRange]

    /// Throws for the first of `texts` that is no address, range or `unix`.
    package init(_ texts: [String]) throws(AddressRangeError) {
        var ranges: [AddressRange] = []
        var includesUnixPeers = false
        for text in texts {
            if text == "unix" {
                includesUnixPeers = true
            } else {
                ranges.append(try Self.range(text))
            }
        }
        self.ranges = ranges
        self.includesUnixPeers = includesUnixPeers
    }

    package var isEmpty: Bool { ranges.isEmpty && !includesUnixPeers }

    package func contains(_ address: IPAddress) -> Bool { ranges.contains { $0.contains(address) } }

    private static func range(_ text: String) throws(AddressRangeError) -> AddressRange {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let base = IPAddress(String(parts[0])) else { throw .invalidAddress(text) }
        // The text decides what the prefix counts from: `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
        let isIPv4Text = !parts[0].utf8.contains(UInt8(ascii: ":"))
        let bitCountMax = isIPv4Text ? 32 : 128
        var bitCount = bitCountMax
        if parts.count == 2 {
            guard let number = prefixBitCount(parts[1]), number <= bitCountMax else {
                throw .invalidPrefix(text, bitCountMax: bitCountMax)
            }
            bitCount = number
        }
        let prefixBitCount = bitCount + 128 - bitCountMax
        let first = base.prefix(bitCount: prefixBitCount)
        guard first == base else {
            let firstText = isIPv4Text || !first.isIPv4 ? first.description : "::ffff:\(first)"
            throw .bitsBehindPrefix(text, suggestion: "\(firstText)/\(bitCount)")
        }
        return AddressRange(base: base, prefixBitCount: prefixBitCount, isIPv4: base.isIPv4)
    }

    /// Decimal digits alone: `Int` would read a sign too.
    private static func prefixBitCount(_ text: Substring) -> Int? {
        guard 1...3 ~= text.utf8.count, text.utf8.allSatisfy({ $0 &- 0x30 < 10 }) else { return nil }
        return Int(text)
    }
}

/// Why a list of addresses cannot be used.
package enum AddressRangeError: Error, Equatable, Sendable, CustomStringConvertible {
    case invalidAddress(String)
    case invalidPrefix(String, bitCountMax: Int)
    case bitsBehindPrefix(String, suggestion: String)

    package var description: String {
        switch self {
        case .invalidAddress(let text):
            "'\(text)' is no address; write an IPv4 or IPv6 address such as 192.0.2.1 or ::1, a range such as "
                + "10.0.0.0/8 or fd00::/8, or the word unix; names are not looked up"
        case .invalidPrefix(let text, let bitCountMax):
            "'\(text)' has no valid prefix length; write a number from 0 to \(bitCountMax) behind the slash"
        case .bitsBehindPrefix(let text, let suggestion):
            "'\(text)' has bits set behind its prefix; write \(suggestion) for the range, or leave the prefix out for "
                + "the one address"
        }
    }
}
