// SPDX-License-Identifier: Apache-2.0

/// Messages out of a stream: four bytes of length, most significant first, then so many bytes of JSON.
///
/// Pure: it reads nothing itself and takes the stream in any pieces.
package struct FrameReader {
    package static let headerByteCount = 4
    private var buffer: [UInt8] = []
    /// A longer message is refused before it is taken in.
    package var byteCountMax: Int

    package init(byteCountMax: Int) { self.byteCountMax = byteCountMax }

    /// What a message is sent as.
    package static func frame(_ message: [UInt8]) -> [UInt8] {
        let length = UInt32(message.count)
        return [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: length >> $0) } + message
    }

    package mutating func append(_ bytes: some Sequence<UInt8>) { buffer.append(contentsOf: bytes) }

    /// The next message; nil: it is not all there yet.
    package mutating func next() throws(WireError) -> [UInt8]? {
        guard buffer.count >= Self.headerByteCount else { return nil }
        let length = buffer[..<Self.headerByteCount].reduce(0) { $0 << 8 | Int($1) }
        guard length <= byteCountMax else { throw .tooLong(byteCount: length, limit: byteCountMax) }
        let end = Self.headerByteCount + length
        guard buffer.count >= end else { return nil }
        let message = Array(buffer[Self.headerByteCount..<end])
        buffer.removeSubrange(..<end)
        return message
    }
}

/// Why the other program of a run can no longer be talked to.
package enum WireError: Error, Equatable, CustomStringConvertible {
    case tooLong(byteCount: Int, limit: Int)
    case unreadable
    case outOfTurn
    case forged
    case ended
    case broken(String)
    case timedOut(seconds: Double)

    /// The stream still stands: what came on it was wrong.
    var isOfMessage: Bool {
        switch self {
        case .tooLong, .unreadable, .outOfTurn, .forged: true
        case .ended, .broken, .timedOut: false
        }
    }

    package var description: String {
        switch self {
        case .tooLong(let byteCount, let limit):
            "a message of \(byteCount) bytes came, and \(limit) are the most: is the other side this load tester?"
        case .unreadable: "a message came that cannot be read; use the same build of the load tester on both sides"
        case .outOfTurn: "an answer came that is none to what was asked"
        case .forged: "a message came that is not the other side's, or was changed on its way"
        case .ended: "the connection to it has ended"
        case .broken(let cause): "the connection to it broke: \(cause)"
        case .timedOut(let seconds): "it did not answer within \(Format.decimal(seconds, digits: 0)) s"
        }
    }
}
