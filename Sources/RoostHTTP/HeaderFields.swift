/// The headers of a received message: one copy of the head's bytes and the positions of names and values in it.
public struct HeaderFields: Sendable {
    /// Positions of one header. 16 bits suffice: `HTTPLimits` bounds the head.
    struct Position: Sendable, Equatable {
        let nameStart: UInt16
        let nameEnd: UInt16
        let valueStart: UInt16
        let valueEnd: UInt16

        var name: Range<Int> { Int(nameStart)..<Int(nameEnd) }
        var value: Range<Int> { Int(valueStart)..<Int(valueEnd) }
    }

    /// The whole head, start line included.
    let bytes: [UInt8]
    let positions: [Position]

    /// The value of the first header called `name` (in any case), or nil.
    public func first(_ name: String) -> String? {
        guard let position = positions.first(where: { isNamed($0, name) }) else { return nil }
        return string(in: position.value)
    }

    /// The values of all headers called `name` (in any case), in the order received.
    public func all(_ name: String) -> [String] {
        positions.filter { isNamed($0, name) }.map { string(in: $0.value) }
    }

    /// How many headers are called `name` (in any case).
    public func count(of name: String) -> Int {
        positions.reduce(0) { isNamed($1, name) ? $0 + 1 : $0 }
    }

    /// True if `token` is, in any case, an element of the comma-separated list that the headers called `name` make
    /// up, as in `Connection: keep-alive, Upgrade` (RFC 9110 §5.6.1).
    public func contains(token: String, in name: String) -> Bool {
        var isFound = false
        forEachListElement(of: name) { isFound = isFound || equalsIgnoringCase($0, token) }
        return isFound
    }

    /// Positions in `bytes` of the elements of the comma-separated list that the headers called `name` make up.
    ///
    /// Empty elements are left out (RFC 9110 §5.6.1.2).
    package func listElements(of name: String) -> [Range<Int>] {
        var elements: [Range<Int>] = []
        forEachListElement(of: name) { elements.append($0) }
        return elements
    }

    /// The text at `range`; bytes that are not UTF-8 become U+FFFD.
    package func string(in range: Range<Int>) -> String {
        String(decoding: bytes[range], as: UTF8.self)
    }

    /// True if every byte in `range` is a token character and there is at least one.
    package func isToken(_ range: Range<Int>) -> Bool {
        !range.isEmpty && bytes[range].allSatisfy(\.isTokenCharacter)
    }

    /// The position of the value of the only header called `name`; nil if there is none or more than one.
    package func only(_ name: String) -> Range<Int>? {
        var found: Range<Int>?
        for position in positions where isNamed(position, name) {
            guard found == nil else { return nil }
            found = position.value
        }
        return found
    }

    /// The bytes in `range`.
    package func bytes(in range: Range<Int>) -> ArraySlice<UInt8> { bytes[range] }

    func isNamed(_ position: Position, _ name: String) -> Bool { equalsIgnoringCase(position.name, name) }

    package func equalsIgnoringCase(_ range: Range<Int>, _ text: String) -> Bool {
        let utf8 = text.utf8
        guard range.count == utf8.count else { return false }
        var index = range.lowerBound
        for byte in utf8 {
            guard bytes[index].asciiLowercased == byte.asciiLowercased else { return false }
            index += 1
        }
        return true
    }

    private func forEachListElement(of name: String, _ body: (Range<Int>) -> Void) {
        for position in positions where isNamed(position, name) {
            let value = position.value
            var start = value.lowerBound
            while start < value.upperBound {
                var end = start
                while end < value.upperBound, bytes[end] != UInt8(ascii: ",") { end += 1 }
                let element = trimmingWhitespace(start..<end)
                if !element.isEmpty { body(element) }
                start = end + 1
            }
        }
    }

    private func trimmingWhitespace(_ range: Range<Int>) -> Range<Int> {
        var start = range.lowerBound
        var end = range.upperBound
        while start < end, bytes[start].isOptionalWhitespace { start += 1 }
        while start < end, bytes[end - 1].isOptionalWhitespace { end -= 1 }
        return start..<end
    }
}

extension HeaderFields: RandomAccessCollection {
    public var startIndex: Int { 0 }
    public var endIndex: Int { positions.count }
    public subscript(index: Int) -> (name: String, value: String) {
        (string(in: positions[index].name), string(in: positions[index].value))
    }
}
