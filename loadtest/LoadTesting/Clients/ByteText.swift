// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Comparisons of messages.
enum ByteText {
    static func areEqual(_ first: Span<UInt8>, _ second: Span<UInt8>) -> Bool {
        first.count == second.count && isPart(second, of: first, at: 0)
    }

    static func contains(_ bytes: Span<UInt8>, _ part: Span<UInt8>) -> Bool {
        guard !part.isEmpty else { return true }
        guard part.count <= bytes.count else { return false }
        let first = part[0]
        for offset in 0...bytes.count - part.count
        where bytes[offset] == first && isPart(part, of: bytes, at: offset) {
            return true
        }
        return false
    }

    /// There are enough bytes from `offset` on.
    private static func isPart(_ part: Span<UInt8>, of bytes: Span<UInt8>, at offset: Int) -> Bool {
        guard !part.isEmpty else { return true }
        // Safe: the caller has checked the counts; both are looked at within the call only.
        return unsafe bytes.withUnsafeBytes { bytes in
            unsafe part.withUnsafeBytes { part in
                let start = unsafe bytes.baseAddress! + offset
                return unsafe memcmp(start, part.baseAddress!, part.count) == 0
            }
        }
    }
}
