import RoostWebSocket
import Testing

/// RFC 6455 §5.3, against the formula in its text: octet i meets octet i modulo 4 of the key.
@Suite struct MaskingTests {
    static let keyBytes: [UInt8] = [0x11, 0xE2, 0x43, 0xB4]
    static let key = MaskingKey(bits: 0xB443_E211)

    static func apply(_ key: MaskingKey, to bytes: inout [UInt8], in range: Range<Int>) {
        // Safe: `range` lies within the array.
        unsafe bytes.withUnsafeMutableBytes {
            unsafe key.apply(to: UnsafeMutableRawBufferPointer(rebasing: $0[range]))
        }
    }

    @Test("every length up to 200 at every alignment agrees with the formula and touches nothing else")
    func agreesWithTheFormula() {
        let original = (0..<240).map { UInt8(truncatingIfNeeded: $0 &* 53 &+ 9) }
        for start in 0..<17 {
            for byteCount in 0...200 {
                var bytes = original
                Self.apply(Self.key, to: &bytes, in: start..<start + byteCount)
                let expected = original.enumerated().map { index, byte in
                    (start..<start + byteCount).contains(index) ? byte ^ Self.keyBytes[(index - start) % 4] : byte
                }
                #expect(bytes == expected, "start \(start), \(byteCount) bytes")
            }
        }
    }

    @Test("a payload may be unmasked in pieces: the key advances by each piece's size", arguments: 0...9)
    func advances(firstByteCount: Int) {
        let original = (0..<150).map { UInt8($0) }
        var whole = original
        Self.apply(Self.key, to: &whole, in: 0..<150)
        var pieces = original
        Self.apply(Self.key, to: &pieces, in: 0..<firstByteCount)
        Self.apply(Self.key.advanced(by: firstByteCount), to: &pieces, in: firstByteCount..<100)
        Self.apply(Self.key.advanced(by: firstByteCount).advanced(by: 100 - firstByteCount), to: &pieces, in: 100..<150)
        #expect(pieces == whole)
        #expect(whole != original)
        #expect(Self.key.advanced(by: 4 * firstByteCount) == Self.key)
    }

    @Test("masking twice gives the original", arguments: [1, 64, 1_000, 4_097])
    func isItsOwnInverse(byteCount: Int) {
        let original = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0) }
        var bytes = original
        Self.apply(Self.key, to: &bytes, in: 0..<byteCount)
        #expect(bytes != original)
        Self.apply(Self.key, to: &bytes, in: 0..<byteCount)
        #expect(bytes == original)
    }
}
