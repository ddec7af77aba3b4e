package struct AddressRangeError: Error, Sendable, CustomStringConvertible { package var description: String { "" } }
package struct AddressRanges: Sendable {
    package init(_ texts: [String]) throws(AddressRangeError) {}
}
package struct OriginPatternError: Error, Sendable, CustomStringConvertible { package var description: String { "" } }
package struct OriginPattern: Sendable {
    let text: String
    package init(_ text: String) throws(OriginPatternError) { self.text = text }
    package func matches(origin: String, host: String?, isTLS: Bool) -> Bool { origin.lowercased() == text.lowercased() }
}
