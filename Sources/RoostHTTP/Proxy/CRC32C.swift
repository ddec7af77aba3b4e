/// The checksum of SCTP and iSCSI (RFC 9260 Appendix A), which PROXY headers may carry.
enum CRC32C {
    /// The polynomial 0x1EDC6F41, its bits reversed.
    private static let polynomial: UInt32 = 0x82F6_3B78

    /// Of `bytes` as if those in `zeroing` were zero. Bit by bit: it is run once for a connection at most, over a few
    /// hundred bytes.
    static func checksum(of bytes: Span<UInt8>, zeroing: Range<Int>) -> UInt32 {
        var remainder = UInt32.max
        for index in 0..<bytes.count {
            remainder ^= zeroing.contains(index) ? 0 : UInt32(bytes[index])
            for _ in 0..<8 { remainder = remainder & 1 == 0 ? remainder >> 1 : remainder >> 1 ^ polynomial }
        }
        return ~remainder
    }
}
