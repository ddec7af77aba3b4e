// SPDX-License-Identifier: Apache-2.0

internal import CSSL

/// Messages of one direction of a session, each with an HMAC-SHA-256 (RFC 2104) of its number and its bytes behind it:
/// what was changed, left out, repeated or put in on its way is noticed. Nothing is hidden.
package struct FrameSeal: Sendable {
    package static let tagByteCount = 32
    private let key: [UInt8]
    /// Messages so far.
    private var count: UInt64 = 0

    init(key: [UInt8]) { self.key = key }

    /// The next message, with its tag.
    package mutating func seal(_ message: [UInt8]) -> [UInt8] { message + nextTag(message[...]) }

    /// What the next message was, without its tag.
    package mutating func open(_ bytes: [UInt8]) throws(WireError) -> [UInt8] {
        guard bytes.count >= Self.tagByteCount else { throw .forged }
        let message = bytes.dropLast(Self.tagByteCount)
        guard SecretDigest.isEqual(nextTag(message), Array(bytes.suffix(Self.tagByteCount))) else { throw .forged }
        return Array(message)
    }

    private mutating func nextTag(_ message: ArraySlice<UInt8>) -> [UInt8] {
        let number = (0..<8).map { UInt8(truncatingIfNeeded: count >> (56 - 8 * $0)) }
        count += 1
        return SecretDigest.of(number + message, key: key)
    }
}

/// The seals of one end of a session.
package struct SessionSeals: Sendable {
    package var sending: FrameSeal
    package var receiving: FrameSeal
}

/// HMAC-SHA-256 (RFC 2104).
enum SecretDigest {
    static let byteCount = 32

    static func of(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: byteCount)
        var writtenByteCount: UInt32 = 0
        // Safe: key and message with their counts; the digest has SHA-256's 32 bytes.
        let result = unsafe HMAC(
            EVP_sha256(), key, CInt(key.count), message, message.count, &digest, &writtenByteCount)
        // A digest of zeros would be everybody's.
        guard unsafe result != nil, writtenByteCount == UInt32(byteCount) else {
            preconditionFailure("HMAC-SHA-256 is not to be had from OpenSSL; is it allowed in its configuration?")
        }
        return digest
    }

    /// Takes as long wherever they differ.
    static func isEqual(_ first: [UInt8], _ second: [UInt8]) -> Bool {
        // Safe: both have so many bytes.
        guard first.count == second.count else { return false }
        return unsafe CRYPTO_memcmp(first, second, first.count) == 0
    }
}
