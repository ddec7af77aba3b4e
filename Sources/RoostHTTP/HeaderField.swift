/// A header to be sent. It cannot hold what would end the line or the head: a value of this type is safe to write.
public struct HeaderField: Hashable, Sendable, CustomStringConvertible {
    public let name: String
    public let value: String

    /// Throws if `name` is not a token or `value` holds a control character, such as CR, LF or NUL (RFC 9110 §5).
    public init(_ name: String, _ value: String) throws(HeaderFieldError) {
        guard !name.isEmpty, name.utf8.allSatisfy(\.isTokenCharacter) else { throw .invalidName(name) }
        guard value.utf8.allSatisfy(\.isFieldValueCharacter) else { throw .invalidValue(name: name) }
        self.name = name
        self.value = value
    }

    /// For a header whose name and value are constants of this code base or were checked before.
    ///
    /// Checked again in debug builds only.
    package init(known name: String, _ value: String) {
        assert((try? HeaderField(name, value)) != nil, "HeaderField(known:) cannot be written: \(name)")
        self.name = name
        self.value = value
    }

    public var description: String { "\(name): \(value)" }
}

/// Why a header cannot be written.
public enum HeaderFieldError: Error, Equatable, Sendable, CustomStringConvertible {
    case invalidName(String)
    case invalidValue(name: String)

    public var description: String {
        switch self {
        case .invalidName(let name):
            "header name '\(name)' is not a token; use letters, digits and '-' (RFC 9110 §5.1)"
        case .invalidValue(let name):
            "value of header '\(name)' has a control character; remove CR, LF, NUL and the like (RFC 9110 §5.5)"
        }
    }
}
