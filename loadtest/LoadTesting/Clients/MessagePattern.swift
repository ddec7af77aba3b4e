// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The messages of a test: of any size up to one, each with a number of its own, so that one that comes back changed,
/// twice or out of order shows.
///
/// The number is in the first 8 bytes, 6 bits in each, as printable ASCII: messages are valid text too. The rest is the
/// same in all. One per scheduler: a message is made in place.
@safe final class MessagePattern {
    private static let numberByteCount = 8
    let storage: UnsafeMutableRawBufferPointer

    /// `byteCount`: of the largest message.
    init(byteCount: Int) {
        // Room for a whole number even where messages are shorter.
        let room = max(byteCount, Self.numberByteCount)
        unsafe storage = .allocate(byteCount: room, alignment: 16)
        for index in 0..<room { unsafe storage[index] = UInt8(ascii: "a") + UInt8(index % 26) }
    }

    deinit { unsafe storage.deallocate() }

    /// Lends message `number`, of `byteCount` bytes, for the duration of `body`.
    @inline(__always)
    func withMessage<Result>(_ number: UInt64, byteCount: Int, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        // Safe: the storage has 8 bytes or more, and at least `byteCount`; it lives as long as this object.
        unsafe storage.storeBytes(of: Self.digits(number).littleEndian, as: UInt64.self)
        return unsafe body(UnsafeRawBufferPointer(rebasing: storage[..<byteCount]))
    }

    /// Whether `bytes` are message `number`, of `byteCount` bytes.
    @inline(__always)
    func matches(_ bytes: UnsafeRawBufferPointer, _ number: UInt64, byteCount: Int) -> Bool {
        guard bytes.count == byteCount else { return false }
        guard byteCount >= Self.numberByteCount else {
            return unsafe withMessage(number, byteCount: byteCount) { unsafe $0.elementsEqual(bytes) }
        }
        // Safe: both have at least 8 bytes, and `byteCount` in all.
        guard unsafe UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)) == Self.digits(number) else {
            return false
        }
        let offset = Self.numberByteCount
        return unsafe memcmp(bytes.baseAddress! + offset, storage.baseAddress! + offset, byteCount - offset) == 0
    }

    /// The low 48 bits of the number in a message; nil where there is none.
    static func number(of bytes: UnsafeRawBufferPointer) -> UInt64? {
        guard bytes.count >= numberByteCount else { return nil }
        // Safe: there are 8 bytes.
        let word = unsafe UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        var number: UInt64 = 0
        for index: UInt64 in 0..<8 {
            let digit = (word >> (8 &* index) & 0xFF) &- 0x30
            guard digit < 0x40 else { return nil }
            number |= digit << (6 &* index)
        }
        return number
    }

    /// The low 48 bits of `number`, lowest 6 first, each plus `0`.
    @inline(__always)
    private static func digits(_ number: UInt64) -> UInt64 {
        // Halves are moved apart: 24 bits in each 32, then 12 in each 16, then 6 in each 8.
        var word = number & 0xFF_FFFF | (number & 0xFFFF_FF00_0000) << 8
        word = word & 0x0000_0FFF_0000_0FFF | (word & 0x00FF_F000_00FF_F000) << 4
        word = word & 0x003F_003F_003F_003F | (word & 0x0FC0_0FC0_0FC0_0FC0) << 2
        return word &+ 0x3030_3030_3030_3030
    }
}
