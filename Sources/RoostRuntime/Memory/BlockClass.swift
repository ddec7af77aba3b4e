// SPDX-License-Identifier: Apache-2.0

/// The sizes that blocks come in: every 16 bytes up to 512, where most blocks are, then four to a doubling.
enum BlockClass {
    static let largest = 32_768
    static let count = 31 + 24

    /// The smallest class that holds `byteCount`, which is at most `largest`.
    @inline(__always)
    static func index(for byteCount: Int) -> Int {
        if byteCount <= 512 { return max(0, (byteCount &+ 15) / 16 &- 2) }
        // Above 512 there are four classes to each doubling: 1.25, 1.5, 1.75 and 2 times a power of two.
        let exponent = Int.bitWidth &- 1 &- (byteCount &- 1).leadingZeroBitCount
        let quarter = (byteCount &- 1 &- (1 &<< exponent)) &>> (exponent &- 2)
        return 31 &+ (exponent &- 9) &* 4 &+ quarter
    }

    @inline(__always)
    static func byteCount(_ index: Int) -> Int {
        if index < 31 { return (index &+ 2) &* 16 }
        let exponent = 9 &+ (index &- 31) / 4
        return (1 &<< exponent) &+ ((index &- 31) % 4 &+ 1) &* (1 &<< (exponent &- 2))
    }
}
