// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Random words of the kernel's, drawn in bulk.
///
/// Every frame of a client needs a key that nobody can predict (RFC 6455 §5.3); a system call for each would cost more
/// than the frame.
package struct EntropyPool: ~Copyable {
    /// Words drawn in one call: as many as getentropy(3) gives.
    private static let wordCount = 64
    private var words: [UInt32] = []

    init() {}

    package mutating func next() -> UInt32 {
        if words.isEmpty { refill() }
        return words.removeLast()
    }

    private mutating func refill() {
        words.append(contentsOf: repeatElement(0, count: Self.wordCount))
        // Safe: the array's own bytes, with their count.
        let code = unsafe words.withUnsafeMutableBytes { unsafe getentropy($0.baseAddress!, $0.count) }
        guard code == 0 else { fatalError("getentropy failed: errno \(errno)") }
    }
}
