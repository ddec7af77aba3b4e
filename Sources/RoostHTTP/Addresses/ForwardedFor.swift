/// The address of a client behind proxies, as their headers tell: `Forwarded` (RFC 7239) or `X-Forwarded-For`.
///
/// Each proxy appends the address that it was reached from, so the list is true from the right, for as long as those
/// who appended are trusted. What stands further left a client may have made up.
package enum ForwardedFor {
    /// The header that the trusted proxies write. Only one is looked at: the other passes through them unchecked.
    package enum Header: Sendable {
        case forwarded
        case xForwardedFor

        var name: String {
            switch self {
            case .forwarded: "forwarded"
            case .xForwardedFor: "x-forwarded-for"
            }
        }
    }

    /// Elements looked at, empty ones included. Nobody has as many proxies in a row.
    package static let elementCountMax = 32

    /// The nearest address that is not trusted or, if all are, the farthest; nil for the peer's own.
    ///
    /// `peer` nil stands for a peer on a unix socket. An element that is malformed, or does not tell an address
    /// (`unknown`, `_hidden`, no `for`), ends the search: the last address before it holds.
    package static func client(
        in headers: HeaderFields, header: Header, peer: IPAddress?, trusted: AddressRanges
    ) -> IPAddress? {
        guard peer.map(trusted.contains) ?? trusted.includesUnixPeers else { return nil }
        var client: IPAddress?
        var elementCount = 0
        for position in headers.positions.reversed() where headers.isNamed(position, header.name) {
            var rest = headers.bytes(in: position.value)
            while !rest.isEmpty {
                guard elementCount < elementCountMax else { return client }
                elementCount += 1
                guard let element = removeLastElement(from: &rest, header) else { return client }
                // Lists may have empty elements (RFC 9110 §5.6.1.2).
                if element.isEmpty { continue }
                guard let address = address(of: element, header) else { return client }
                client = address
                guard trusted.contains(address) else { return client }
            }
        }
        return client
    }

    /// Takes off the last element and its comma; nil if it has an open quote.
    ///
    /// Read backwards, so that what a client sent, a lone quote say, cannot swallow what a proxy put behind it.
    private static func removeLastElement(
        from rest: inout ArraySlice<UInt8>, _ header: Header
    ) -> ArraySlice<UInt8>? {
        var start = rest.endIndex
        while start > rest.startIndex, rest[start - 1] != UInt8(ascii: ",") {
            start -= 1
            guard rest[start] == UInt8(ascii: "\""), header == .forwarded else { continue }
            guard let opening = openingQuote(before: start, in: rest) else { return nil }
            start = opening
        }
        let element = rest[start...]
        rest = rest[..<max(rest.startIndex, start - 1)]
        return trimmed(element)
    }

    /// The nearest quote before `closing` that is not escaped.
    private static func openingQuote(before closing: Int, in bytes: ArraySlice<UInt8>) -> Int? {
        var index = closing
        while let quote = bytes[..<index].lastIndex(of: UInt8(ascii: "\"")) {
            let escapes = bytes[..<quote].reversed().prefix { $0 == UInt8(ascii: "\\") }.count
            if escapes % 2 == 0 { return quote }
            index = quote
        }
        return nil
    }

    private static func address(of element: ArraySlice<UInt8>, _ header: Header) -> IPAddress? {
        switch header {
        case .forwarded: ForwardedElement.forValue(in: element).flatMap { node($0[...], mayBeBareIPv6: false) }
        case .xForwardedFor: node(element, mayBeBareIPv6: true)
        }
    }

    /// Reads `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]`, `[2001:db8::1]:80`; the port may be obfuscated
    /// (RFC 7239 §6). X-Forwarded-For, which nobody specified, has IPv6 without brackets too.
    private static func node(_ bytes: ArraySlice<UInt8>, mayBeBareIPv6: Bool) -> IPAddress? {
        if bytes.first == UInt8(ascii: "[") {
            guard let bracket = bytes.firstIndex(of: UInt8(ascii: "]")), isPort(bytes[(bracket + 1)...]) else {
                return nil
            }
            let address = text(bytes[(bytes.startIndex + 1)..<bracket])
            return address.utf8.contains(UInt8(ascii: ":")) ? IPAddress(address) : nil
        }
        let colons = bytes.count { $0 == UInt8(ascii: ":") }
        if colons > 1 { return mayBeBareIPv6 ? IPAddress(text(bytes)) : nil }
        let end = bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.endIndex
        return isPort(bytes[end...]) ? IPAddress(text(bytes[..<end])) : nil
    }

    /// True for nothing, and for a colon with a port or an obfuscated one behind it.
    private static func isPort(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard let colon = bytes.first else { return true }
        let port = bytes.dropFirst()
        guard colon == UInt8(ascii: ":"), let first = port.first else { return false }
        guard first == UInt8(ascii: "_") else { return Authority.port(port) != nil }
        // An obfuscated port has something behind its underscore (RFC 7239 §6.3).
        return port.count > 1 && port.dropFirst().allSatisfy(\.isObfuscationCharacter)
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let front = bytes.drop(while: \.isOptionalWhitespace)
        let end = front.lastIndex { !$0.isOptionalWhitespace }
        return end.map { front[...$0] } ?? front
    }
}

extension UInt8 {
    /// A letter, digit, `.`, `_` or `-` (RFC 7239 §6.3).
    fileprivate var isObfuscationCharacter: Bool { isHostCharacter && self != UInt8(ascii: "~") }
}
