/// How much of a message head is read before the peer is refused.
package struct HTTPLimits: Sendable, Equatable {
    /// The largest `headByteCountMax`: header positions are kept in 16 bits.
    package static let headByteCountCeiling = 65_535

    /// Bytes of the start line, the headers and the empty line together. Beyond it a request gets 431.
    ///
    /// The default of 8 KiB is what common proxies forward.
    package let headByteCountMax: Int

    /// Bytes of the request target. Beyond it a request gets 414.
    ///
    /// The default of 4 KiB leaves room for a token in the query and half of the head for headers.
    package let targetByteCountMax: Int

    /// Header lines. Beyond it a request gets 431.
    ///
    /// The default of 100 is far above what browsers and proxies send, and bounds the cost of a lookup.
    package let headerCountMax: Int

    package init(headByteCountMax: Int = 8_192, targetByteCountMax: Int = 4_096, headerCountMax: Int = 100) {
        precondition(
            (1...Self.headByteCountCeiling).contains(headByteCountMax),
            "HTTPLimits.headByteCountMax is \(headByteCountMax); use 1...\(Self.headByteCountCeiling)")
        precondition(targetByteCountMax > 0, "HTTPLimits.targetByteCountMax is \(targetByteCountMax); use 1 or more")
        precondition(headerCountMax > 0, "HTTPLimits.headerCountMax is \(headerCountMax); use 1 or more")
        self.headByteCountMax = headByteCountMax
        self.targetByteCountMax = targetByteCountMax
        self.headerCountMax = headerCountMax
    }
}
