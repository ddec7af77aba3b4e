import RoostHTTP

/// Reads the value of a Sec-WebSocket-Extensions header, element by element (RFC 6455 §9.1).
///
/// The value is text from the peer. Each byte of it is looked at once.
struct ExtensionList {
    /// The value is not what RFC 6455 §9.1 allows.
    struct Malformed: Error {}

    /// A parameter, with the value that was given, if any: a token, whether it was quoted or not.
    struct Parameter {
        let name: ArraySlice<UInt8>
        let value: ArraySlice<UInt8>?
    }

    private let bytes: [UInt8]
    private var index = 0

    init(_ value: String) { bytes = Array(value.utf8) }

    /// The name of the next extension, or nil at the end. Its parameters, all of them, are to be read before the next
    /// one. Empty elements are left out (RFC 9110 §5.6.1.2).
    mutating func nextName() throws(Malformed) -> ArraySlice<UInt8>? {
        skipWhitespace()
        while takes(UInt8(ascii: ",")) { skipWhitespace() }
        guard index < bytes.count else { return nil }
        return try token()
    }

    /// The next parameter of the current extension, or nil after its last one.
    mutating func nextParameter() throws(Malformed) -> Parameter? {
        skipWhitespace()
        guard index < bytes.count, bytes[index] != UInt8(ascii: ",") else { return nil }
        guard takes(UInt8(ascii: ";")) else { throw Malformed() }
        skipWhitespace()
        let name = try token()
        skipWhitespace()
        guard takes(UInt8(ascii: "=")) else { return Parameter(name: name, value: nil) }
        skipWhitespace()
        return Parameter(name: name, value: takes(UInt8(ascii: "\"")) ? try quoted() : try token())
    }

    private mutating func token() throws(Malformed) -> ArraySlice<UInt8> {
        let start = index
        while index < bytes.count, bytes[index].isTokenCharacter { index += 1 }
        guard index > start else { throw Malformed() }
        return bytes[start..<index]
    }

    /// The rest of a quoted string. What it quotes must be a token, too (RFC 6455 §9.1).
    private mutating func quoted() throws(Malformed) -> ArraySlice<UInt8> {
        var content: [UInt8] = []
        while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
            if bytes[index] == UInt8(ascii: "\\") { index += 1 }
            guard index < bytes.count, bytes[index].isTokenCharacter else { throw Malformed() }
            content.append(bytes[index])
            index += 1
        }
        guard takes(UInt8(ascii: "\"")), !content.isEmpty else { throw Malformed() }
        return content[...]
    }

    private mutating func takes(_ byte: UInt8) -> Bool {
        guard index < bytes.count, bytes[index] == byte else { return false }
        index += 1
        return true
    }

    private mutating func skipWhitespace() {
        while index < bytes.count, bytes[index].isOptionalWhitespace { index += 1 }
    }
}
