// SPDX-License-Identifier: Apache-2.0

internal import RoostRuntime
internal import RoostWebSocket
internal import Synchronization

/// A message for many connections: made once, sent to each with `Connection.send`, compressed once for all that agreed
/// on the same compression (RFC 7692) without context takeover. Immutable; send it to the connections' processes.
public final class SharedMessage: Sendable {
    let opcode: Opcode
    let bytes: [UInt8]
    /// What it is compressed to, for each agreement; nil where it does not get smaller.
    private let variants = Mutex<[DeflaterKey: [UInt8]?]>([:])

    /// Larger ones are compressed outside the lock, at most once by each scheduler: nobody waits for so long.
    private static let lockedByteCountMax = 64 << 10

    /// A text message.
    public init(_ text: String) {
        opcode = .text
        bytes = Array(text.utf8)
    }

    /// A binary message.
    public init(binary bytes: [UInt8]) {
        opcode = .binary
        self.bytes = bytes
    }

    public var byteCount: Int { bytes.count }

    func compressed(_ key: DeflaterKey, _ compress: ([UInt8]) -> [UInt8]?) -> [UInt8]? {
        withoutPreemption {
            if bytes.count > Self.lockedByteCountMax {
                if let known = variants.withLock({ $0[key] }) { return known }
                let made = compress(bytes)
                return variants.withLock { variants in
                    if let known = variants[key] { return known }
                    variants[key] = .some(made)
                    return made
                }
            }
            return variants.withLock { variants in
                if let known = variants[key] { return known }
                let made = compress(bytes)
                variants[key] = .some(made)
                return made
            }
        }
    }
}
