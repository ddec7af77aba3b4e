/// The `name=value` pairs of a query, decoded one at a time as they are asked for (WHATWG URL §5.1).
public struct QueryItems: Sequence, Sendable {
    private let bytes: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    public func makeIterator() -> Iterator { Iterator(remaining: bytes) }

    /// The value of the first item called `name`, or nil.
    public func first(_ name: String) -> String? { first { $0.name == name }?.value }

    public struct Iterator: IteratorProtocol {
        fileprivate var remaining: ArraySlice<UInt8>

        public mutating func next() -> (name: String, value: String)? {
            while !remaining.isEmpty {
                let item = remaining.prefix { $0 != UInt8(ascii: "&") }
                remaining = remaining[item.endIndex...].dropFirst()
                guard !item.isEmpty else { continue }
                let name = item.prefix { $0 != UInt8(ascii: "=") }
                let value = item[name.endIndex...].dropFirst()
                return (
                    PercentEncoding.decodeQueryComponent(name), PercentEncoding.decodeQueryComponent(value)
                )
            }
            return nil
        }
    }
}
