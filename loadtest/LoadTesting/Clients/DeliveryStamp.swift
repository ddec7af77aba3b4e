// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// What a message of a fan-out begins with: whose it is, which, and when it was (to be) sent.
///
/// Letters only, so that it may be text, and is the same inside JSON: a marker of 8, then five words of 32 bits, 8
/// letters each.
struct DeliveryStamp: Equatable {
    static let byteCount = 48
    private static let wordCount = 5
    /// `RoostMsg`: found in what a server makes of the message.
    private static let marker: UInt64 = 0x6773_4D74_736F_6F52
    private static let markerStart: CInt = 0x52

    /// Among all of the fan-out. Below 2^31.
    var publisher: UInt32
    /// From 0 for each publisher. Below 2^48.
    var sequence: UInt64
    /// On the coordinator's monotonic clock, in nanoseconds.
    var time: UInt64
    /// No message: the publisher has sent `sequence` of them and sends no more.
    var isLast = false

    /// Writes `byteCount` bytes.
    @inline(__always)
    func write(to target: UnsafeMutableRawPointer) {
        let last: UInt32 = isLast ? 1 << 31 : 0
        let words: [5 of UInt32] = [
            publisher | last, UInt32(truncatingIfNeeded: sequence >> 32) & 0xFFFF | UInt32(checksum) << 16,
            UInt32(truncatingIfNeeded: sequence), UInt32(truncatingIfNeeded: time >> 32),
            UInt32(truncatingIfNeeded: time),
        ]
        // Safe: the caller has room for `byteCount` bytes.
        unsafe target.storeBytes(of: Self.marker.littleEndian, as: UInt64.self)
        for index in 0..<Self.wordCount {
            unsafe target.storeBytes(
                of: Self.letters(words[index]).littleEndian, toByteOffset: 8 + 8 * index, as: UInt64.self)
        }
    }

    /// Reads `byteCount` bytes behind a marker; nil where they are none that were written.
    @inline(__always)
    init?(reading source: UnsafeRawPointer) {
        var words: [5 of UInt32] = .init(repeating: 0)
        var strangers: UInt64 = 0
        for index in 0..<Self.wordCount {
            // Safe: the caller has `byteCount` bytes.
            let letters = unsafe UInt64(
                littleEndian: source.loadUnaligned(fromByteOffset: 8 + 8 * index, as: UInt64.self))
            let nibbles = letters &- 0x6161_6161_6161_6161
            strangers |= nibbles & 0xF0F0_F0F0_F0F0_F0F0
            words[index] = Self.bits(nibbles)
        }
        publisher = words[0] & ~(1 << 31)
        isLast = words[0] >> 31 == 1
        sequence = UInt64(words[1] & 0xFFFF) << 32 | UInt64(words[2])
        time = UInt64(words[3]) << 32 | UInt64(words[4])
        guard strangers == 0, checksum == UInt16(words[1] >> 16) else { return nil }
    }

    init(publisher: UInt32, sequence: UInt64, time: UInt64, isLast: Bool = false) {
        self.publisher = publisher
        self.sequence = sequence
        self.time = time
        self.isLast = isLast
    }

    /// Differs for certain where one letter does.
    private var checksum: UInt16 {
        var sum = (UInt64(publisher) << 1 | (isLast ? 1 : 0)) ^ sequence ^ time
        sum ^= sum >> 32
        sum ^= sum >> 16
        return UInt16(truncatingIfNeeded: sum)
    }

    /// Four bits in each of 8 letters, `a` to `p`.
    @inline(__always)
    private static func letters(_ bits: UInt32) -> UInt64 {
        var word = UInt64(bits)
        word = (word | word << 16) & 0x0000_FFFF_0000_FFFF
        word = (word | word << 8) & 0x00FF_00FF_00FF_00FF
        word = (word | word << 4) & 0x0F0F_0F0F_0F0F_0F0F
        return word &+ 0x6161_6161_6161_6161
    }

    @inline(__always)
    private static func bits(_ nibbles: UInt64) -> UInt32 {
        var word = nibbles & 0x0F0F_0F0F_0F0F_0F0F
        word = (word | word >> 4) & 0x00FF_00FF_00FF_00FF
        word = (word | word >> 8) & 0x0000_FFFF_0000_FFFF
        return UInt32(truncatingIfNeeded: word | word >> 16)
    }

    // MARK: Finding it

    /// Whether a marker with room for a stamp is at `offset`.
    @inline(__always)
    static func isAt(_ offset: Int, of bytes: UnsafeRawBufferPointer) -> Bool {
        guard offset &+ byteCount <= bytes.count else { return false }
        // Safe: 8 bytes at `offset` lie within the buffer.
        return unsafe UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) == marker
    }

    /// The first marker with room for a stamp, from `start` on.
    static func find(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        var offset = start
        while bytes.count - offset >= byteCount, let base = bytes.baseAddress {
            // Safe: looks at no more than the buffer has from `offset` on.
            guard let found = unsafe memchr(base + offset, markerStart, bytes.count - offset) else { return nil }
            offset = unsafe UnsafeRawPointer(found) - base
            if unsafe isAt(offset, of: bytes) { return offset }
            offset += 1
        }
        return nil
    }
}

extension MessagePattern {
    /// Lends a message of `byteCount` bytes that begins with `stamp`, for the duration of `body`.
    @inline(__always)
    func withMessage<Result>(
        _ stamp: DeliveryStamp, byteCount: Int, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        precondition(
            unsafe byteCount >= DeliveryStamp.byteCount && byteCount <= storage.count, "a message without a stamp")
        // Safe: the storage has `byteCount` bytes or more.
        unsafe stamp.write(to: storage.baseAddress!)
        return unsafe body(UnsafeRawBufferPointer(rebasing: storage[..<byteCount]))
    }

    /// Whether what follows the stamp at `offset` is what follows it in a message of `byteCount` bytes.
    @inline(__always)
    func matchesBehindStamp(_ bytes: UnsafeRawBufferPointer, at offset: Int, byteCount: Int) -> Bool {
        guard bytes.count &- offset >= byteCount, unsafe byteCount <= storage.count else { return false }
        let start = DeliveryStamp.byteCount
        // Safe: both have `byteCount` bytes from there, and `byteCount` is no less than a stamp's.
        return unsafe memcmp(
            bytes.baseAddress! + offset + start, storage.baseAddress! + start, byteCount - start) == 0
    }
}
