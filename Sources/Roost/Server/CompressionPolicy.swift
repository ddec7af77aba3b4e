// SPDX-License-Identifier: Apache-2.0

internal import RoostWebSocket

/// How messages are compressed where the client offers it (permessage-deflate, RFC 7692).
public struct CompressionPolicy: Sendable, Equatable {
    public enum Mode: String, Sendable, CaseIterable {
        /// Never.
        case off
        /// Each message by itself: compressors belong to the scheduler, and a connection costs no memory for them. What
        /// all receivers of a broadcast get is compressed once.
        case noTakeover = "no-takeover"
        /// With what earlier messages had in common: smaller, for some 190 KiB of each connection (RFC 7692 §7.2.3.2).
        /// `windowBits` and `memoryLevel` bring that down.
        case takeover
    }

    public var mode = Mode.noTakeover
    /// 1, fastest, to 9, smallest.
    public var level = 1
    /// Messages of fewer bytes leave as they are: they would hardly get smaller.
    public var thresholdByteCount = 256
    /// log2 of the bytes that a message may refer back to, 8 to 15. A client may ask for fewer.
    public var windowBits = 15
    /// 1 to 9: how much memory the compressor takes beside its window, 2^(memoryLevel + 9) bytes (zlib's memLevel). 5
    /// is faster than zlib's own 8 where each message begins afresh, as less has to be cleared, and messages get hardly
    /// any larger.
    public var memoryLevel = 5

    public init(_ mode: Mode = .noTakeover) { self.mode = mode }

    /// No compression.
    public static let off = CompressionPolicy(.off)

    /// What is agreed to, or offered; nil: nothing is.
    var offered: DeflatePolicy? {
        guard mode != .off else { return nil }
        let keepsContext = mode == .takeover
        // Without context the peer's window costs nothing: inflaters are shared.
        return DeflatePolicy(
            serverContextTakeover: keepsContext, clientContextTakeover: keepsContext,
            serverMaxWindowBits: UInt8(windowBits), clientMaxWindowBits: keepsContext ? UInt8(windowBits) : 15)
    }

    func validate(_ name: String, _ problems: inout [String]) {
        func check(_ key: String, _ value: Int, _ range: ClosedRange<Int>) {
            if !range.contains(value) {
                problems.append("\(name).\(key) is \(value); use \(range.lowerBound)...\(range.upperBound)")
            }
        }
        check("compression.level", level, 1...9)
        check("compression.threshold", thresholdByteCount, 0...1 << 30)
        check("compression.window-bits", windowBits, 8...15)
        check("compression.memory-level", memoryLevel, 1...9)
    }
}
