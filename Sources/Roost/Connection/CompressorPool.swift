// SPDX-License-Identifier: Apache-2.0

internal import RoostRuntime
internal import RoostWebSocket

/// What a deflater is made for.
struct DeflaterKey: Hashable, Sendable {
    let windowBits: UInt8
    let level: UInt8
    let memoryLevel: UInt8

    func makeDeflater() -> Deflater {
        Deflater(windowBits: Int(windowBits), level: Int(level), memoryLevel: Int(memoryLevel))
    }
}

/// The compressors of one scheduler, for messages without context takeover: a connection has one for as long as a
/// message takes, which may be several turns. Scheduler's thread.
final class CompressorPool {
    /// Compressors of a kind kept for the next message.
    private static let spareMax = 2
    /// Kinds of deflaters kept: each route may have its own.
    private static let kindMax = 16

    private var inflaters: [Inflater] = []
    private var deflaters: [DeflaterKey: [Deflater]] = [:]

    static func of(_ scheduler: SchedulerRef) -> CompressorPool { SchedulerAttachment.of(scheduler).compressors }

    /// One that inflates whatever window was agreed on.
    func takeInflater() -> Inflater { inflaters.popLast() ?? withoutOwner { Inflater(windowBits: 15) } }

    func giveBack(_ inflater: Inflater) {
        if inflaters.count < Self.spareMax { withoutOwner { inflaters.append(inflater) } }
    }

    func takeDeflater(_ key: DeflaterKey) -> Deflater {
        deflaters[key]?.popLast() ?? withoutOwner { key.makeDeflater() }
    }

    func giveBack(_ deflater: Deflater, _ key: DeflaterKey) {
        withoutOwner {
            if deflaters.count >= Self.kindMax, deflaters[key] == nil { deflaters.removeAll() }
            if deflaters[key, default: []].count < Self.spareMax { deflaters[key, default: []].append(deflater) }
        }
    }

    /// Compresses a message in one go; nil if it does not get smaller.
    func compress(_ bytes: [UInt8], _ key: DeflaterKey) -> [UInt8]? {
        let deflater = takeDeflater(key)
        defer { giveBack(deflater, key) }
        return withoutOwner {
            deflater.begin()
            unsafe bytes.withUnsafeBytes { bytes in
                for start in stride(from: 0, to: bytes.count, by: Deflater.pieceByteCountMax) {
                    let end = min(start + Deflater.pieceByteCountMax, bytes.count)
                    unsafe deflater.append(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
                }
            }
            let compressed = unsafe deflater.finish(keepsContext: false)
            let result = compressed.count < bytes.count ? unsafe Array(compressed) : nil
            deflater.releaseExcess()
            return result
        }
    }
}
