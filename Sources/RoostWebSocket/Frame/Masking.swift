/// The key a client masks a frame's payload with, turned so that its next byte comes first (RFC 6455 §5.3).
package struct MaskingKey: Sendable, Hashable {
    /// The byte to be used next is the lowest.
    private(set) var bits: UInt32

    /// A key whose first byte on the wire is the lowest byte of `bits`.
    package init(bits: UInt32) { self.bits = bits }

    /// The key as seen `byteCount` payload bytes further on.
    package func advanced(by byteCount: Int) -> MaskingKey {
        let shift = UInt32(truncatingIfNeeded: byteCount & 3) &* 8
        return MaskingKey(bits: shift == 0 ? bits : bits >> shift | bits << (32 &- shift))
    }

    /// Masks or unmasks `bytes` in place: both are the same exclusive or.
    ///
    /// The first byte meets the key's first byte; for a later piece of a payload use `advanced(by:)`.
    package func apply(to bytes: UnsafeMutableRawBufferPointer) {
        guard var cursor = bytes.baseAddress else { return }
        var remaining = bytes.count
        let word = UInt64(bits) << 32 | UInt64(bits)
        let pattern = SIMD4<UInt64>(repeating: word.littleEndian)
        // Safe: each step touches as many bytes as it takes off `remaining`, which starts as the buffer's size.
        while remaining >= 64 {
            unsafe Self.combine(pattern, at: cursor)
            unsafe Self.combine(pattern, at: cursor + 32)
            unsafe cursor += 64
            remaining &-= 64
        }
        if remaining >= 32 {
            unsafe Self.combine(pattern, at: cursor)
            unsafe cursor += 32
            remaining &-= 32
        }
        while remaining >= 8 {
            unsafe Self.combine(word.littleEndian, at: cursor)
            unsafe cursor += 8
            remaining &-= 8
        }
        if remaining >= 4 {
            unsafe Self.combine(bits.littleEndian, at: cursor)
            unsafe cursor += 4
            remaining &-= 4
        }
        var key = bits
        while remaining > 0 {
            unsafe Self.combine(UInt8(truncatingIfNeeded: key), at: cursor)
            key >>= 8
            unsafe cursor += 1
            remaining &-= 1
        }
    }

    @inline(__always)
    private static func combine(_ pattern: SIMD4<UInt64>, at cursor: UnsafeMutableRawPointer) {
        // Safe: `apply` passes a cursor with at least the pattern's size left behind it.
        let masked = unsafe cursor.loadUnaligned(as: SIMD4<UInt64>.self) ^ pattern
        unsafe cursor.storeBytes(of: masked, as: SIMD4<UInt64>.self)
    }

    @inline(__always)
    private static func combine<I: FixedWidthInteger & BitwiseCopyable>(
        _ pattern: I, at cursor: UnsafeMutableRawPointer
    ) {
        // Safe: `apply` passes a cursor with at least the pattern's size left behind it.
        let masked = unsafe cursor.loadUnaligned(as: I.self) ^ pattern
        unsafe cursor.storeBytes(of: masked, as: I.self)
    }
}
