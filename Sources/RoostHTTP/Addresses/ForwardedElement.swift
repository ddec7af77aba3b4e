/// One element of a Forwarded header: `for=192.0.2.43;proto=https;by=203.0.113.43` (RFC 7239 §4).
enum ForwardedElement {
    /// The value of `for`, without its quotes; nil if there is none, or anything in the element is malformed.
    static func forValue(in element: ArraySlice<UInt8>) -> [UInt8]? {
        var rest = element
        var names: [[UInt8]] = []
        var value: [UInt8]?
        while true {
            skipWhitespace(in: &rest)
            if !rest.isEmpty, rest.first != UInt8(ascii: ";") {
                guard let (name, text) = removePair(from: &rest) else { return nil }
                // A parameter comes once in an element (RFC 7239 §4).
                guard !names.contains(name) else { return nil }
                names.append(name)
                if name == Array("for".utf8) { value = text }
                skipWhitespace(in: &rest)
            }
            guard let separator = rest.popFirst() else { return value }
            guard separator == UInt8(ascii: ";") else { return nil }
        }
    }

    /// Takes off `name=token` or `name="quoted"`. The name is given in lower case, as names have no case.
    private static func removePair(from rest: inout ArraySlice<UInt8>) -> (name: [UInt8], value: [UInt8])? {
        let name = removeToken(from: &rest)
        guard !name.isEmpty, rest.popFirst() == UInt8(ascii: "=") else { return nil }
        guard rest.first == UInt8(ascii: "\"") else {
            let value = removeToken(from: &rest)
            return value.isEmpty ? nil : (name.map(\.asciiLowercased), Array(value))
        }
        guard let value = removeQuoted(from: &rest) else { return nil }
        return (name.map(\.asciiLowercased), value)
    }

    private static func removeToken(from rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let token = rest.prefix(while: \.isTokenCharacter)
        rest = rest[token.endIndex...]
        return token
    }

    /// Takes off a quoted string and its escapes (RFC 9110 §5.6.4); nil if it does not end.
    private static func removeQuoted(from rest: inout ArraySlice<UInt8>) -> [UInt8]? {
        rest.removeFirst()
        var value: [UInt8] = []
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\"") { return value }
            guard byte == UInt8(ascii: "\\") else {
                value.append(byte)
                continue
            }
            guard let escaped = rest.popFirst() else { return nil }
            value.append(escaped)
        }
        return nil
    }

    private static func skipWhitespace(in rest: inout ArraySlice<UInt8>) {
        rest = rest.drop(while: \.isOptionalWhitespace)
    }
}
