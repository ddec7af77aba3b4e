import RoostWebSocket
import Testing

extension Deflater {
    /// One message, its payload given in pieces of `pieceByteCount`.
    func message(_ payload: [UInt8], pieceByteCount: Int = pieceByteCountMax, keepsContext: Bool = false) -> [UInt8] {
        begin()
        var rest = payload[...]
        while !rest.isEmpty {
            // An allocation of exactly this size, so that a sanitizer sees what lies outside.
            // Safe: the buffer is used during the call only.
            unsafe Array(rest.prefix(pieceByteCount)).withUnsafeBytes { unsafe append($0) }
            rest = rest.dropFirst(pieceByteCount)
        }
        return unsafe Array(finish(keepsContext: keepsContext))
    }
}

/// What a compressed message came to.
enum Inflated: Equatable {
    case message([UInt8])
    case failure(FrameError)
}

extension Inflater {
    /// One message as a connection takes it: input in pieces of `pieceByteCount`, room in pieces of `roomByteCount`.
    /// Checks what the inflater promises about each step.
    func message(
        _ payload: [UInt8], limit: Int = 1 << 24, pieceByteCount: Int = .max, roomByteCount: Int = 4_096,
        keepsContext: Bool = false
    ) -> Inflated {
        begin(limit: limit)
        defer { finish(keepsContext: keepsContext) }
        var text: [UInt8] = []
        var rest = payload[...]
        var piece = Array(rest.prefix(pieceByteCount))
        rest = rest.dropFirst(piece.count)
        var room: [UInt8] = []  // asked for when the inflater wants it, not before
        while true {
            // Safe: the buffers are used during the call only.
            let step = unsafe room.withUnsafeMutableBytes { room in
                unsafe piece.withUnsafeBytes { unsafe inflate($0, isEnd: rest.isEmpty, into: room) }
            }
            switch step {
            case .needsInput(let byteCount):
                text += room[..<byteCount]
                room.removeFirst(byteCount)
                #expect(!rest.isEmpty, "wants more than the message has")
                piece = Array(rest.prefix(pieceByteCount))
                rest = rest.dropFirst(piece.count)
            case .needsOutput(let consumedByteCount, let byteCount):
                #expect(byteCount == room.count, "wants room though there is some")
                #expect(text.count + byteCount < limit, "wants room beyond the limit")
                text += room[..<byteCount]
                #expect(outputByteCountMax == limit - text.count)
                room = [UInt8](repeating: 0xEE, count: min(roomByteCount, outputByteCountMax))
                piece.removeFirst(consumedByteCount)
            case .end(let byteCount): return .message(text + room[..<byteCount])
            case .failure(let error): return .failure(error)
            }
        }
    }
}

/// Payloads that compress in different ways.
enum Sample: CaseIterable {
    case json, noise, zeros, repeats

    func bytes(count: Int, seed: UInt64) -> [UInt8] {
        var generator = SeededGenerator(seed: seed)
        switch self {
        case .zeros: return [UInt8](repeating: 0, count: count)
        case .noise: return Self.noise(count: count, using: &generator)
        case .json:
            var text: [UInt8] = []
            while text.count < count {
                let id = UInt32.random(in: 0...99_999, using: &generator)
                text += Array(#"{"id":\#(id),"user":"u\#(id % 97)","online":\#(id % 2 == 0)},"#.utf8)
            }
            return Array(text.prefix(count))
        case .repeats:
            // Noise of which pieces come again at every distance up to 40,000 bytes.
            var bytes = Self.noise(count: min(count, 300), using: &generator)
            while bytes.count < count {
                let distance = Int.random(in: 1...min(bytes.count, 40_000), using: &generator)
                let start = bytes.count - distance
                let end = min(bytes.count, start + Int.random(in: 4...300, using: &generator))
                bytes += bytes[start..<end]
                if generator.chance(1, in: 4) {
                    bytes += generator.bytes(count: Int.random(in: 1...200, using: &generator))
                }
            }
            return Array(bytes.prefix(count))
        }
    }

    /// Eight bytes at a time, as there may be a million.
    private static func noise(count: Int, using generator: inout SeededGenerator) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count {
            // Safe: the bytes of an integer are read while it exists.
            unsafe withUnsafeBytes(of: generator.next()) { unsafe bytes.append(contentsOf: $0) }
        }
        return Array(bytes.prefix(count))
    }
}
