import RoostWebSocket

/// Compression (RFC 7692 §7.2): no bytes trap the inflater, make it touch memory that is not its own or give more than
/// the limit, and what they mean does not depend on how they arrive. What the deflater writes inflates to what it read.
///
/// The first three bytes of the input choose windows, level, context, limit and the sizes of pieces; the rest is taken
/// for a compressed message, and for a message to compress.
func fuzzDeflate(_ start: UnsafePointer<UInt8>?, _ byteCount: Int) -> CInt {
    guard byteCount >= 3 else { return 0 }
    // Safe: libFuzzer lends `byteCount` bytes at `start` for the duration of the call.
    let input = unsafe Array(UnsafeBufferPointer(start: start, count: byteCount))
    let choice = Choice(input[0], input[1], input[2])
    let bytes = Array(input.dropFirst(3))
    inflateAnything(bytes, choice)
    roundTrip(bytes, choice)
    return 0
}

private struct Choice {
    let windowBits: Int
    let keepsContext: Bool
    let limit: Int
    let level: Int
    let memoryLevel: Int
    let pieceByteCount: Int
    let roomByteCount: Int

    init(_ first: UInt8, _ second: UInt8, _ third: UInt8) {
        windowBits = 8 + Int(first & 7)
        keepsContext = first & 8 != 0
        limit = [0, 1, 5, 100, 1_000, 4_096, 10_000, 40_000][Int(first >> 4 & 7)]
        level = Int(second & 15) % 10
        memoryLevel = Int(second >> 4) % 9 + 1
        pieceByteCount = Int(third & 15) + 1
        roomByteCount = [1, 2, 3, 5, 17, 64, 300, 4_096][Int(third >> 4 & 7)]
    }
}

/// The bytes twice, so that the second message meets what the first has left, as a whole and in pieces.
private func inflateAnything(_ bytes: [UInt8], _ choice: Choice) {
    let whole = Inflater(windowBits: choice.windowBits)
    let pieces = Inflater(windowBits: choice.windowBits)
    for _ in 0..<2 {
        let expected = inflate(
            bytes, whole, limit: choice.limit, pieceByteCount: .max, roomByteCount: .max,
            keepsContext: choice.keepsContext)
        let inflated = inflate(
            bytes, pieces, limit: choice.limit, pieceByteCount: choice.pieceByteCount,
            roomByteCount: choice.roomByteCount, keepsContext: choice.keepsContext)
        guard expected != inflated else { continue }
        // What is too large and no DEFLATE data either may be refused for both: zlib looks ahead as far as it can.
        if expected.isRefused, inflated.isRefused { return }
        // A distance beyond a small window is refused unless the bytes are still in the output at hand.
        precondition(
            choice.windowBits < 15
                && (expected == .failure(.compressedDataInvalid) || inflated == .failure(.compressedDataInvalid)),
            "the pieces mean something else than the whole")
        return
    }
}

private func roundTrip(_ bytes: [UInt8], _ choice: Choice) {
    let deflater = Deflater(windowBits: choice.windowBits, level: choice.level, memoryLevel: choice.memoryLevel)
    let inflater = Inflater(windowBits: choice.windowBits)
    for _ in 0..<2 {
        deflater.begin()
        var rest = bytes[...]
        while !rest.isEmpty {
            // A copy of exactly this size, so that the sanitizer sees what lies outside.
            // Safe: the buffer is used during the call only.
            unsafe Array(rest.prefix(choice.pieceByteCount)).withUnsafeBytes { unsafe deflater.append($0) }
            rest = rest.dropFirst(choice.pieceByteCount)
        }
        let message = unsafe Array(deflater.finish(keepsContext: choice.keepsContext))
        deflater.releaseExcess()
        let inflated = inflate(
            message, inflater, limit: bytes.count, pieceByteCount: choice.pieceByteCount,
            roomByteCount: choice.roomByteCount, keepsContext: choice.keepsContext)
        precondition(inflated == .message(bytes), "what was deflated does not come back")
    }
}

private enum Inflated: Equatable {
    case message([UInt8])
    case failure(FrameError)

    var isRefused: Bool {
        switch self {
        case .message: false
        case .failure: true
        }
    }
}

private func inflate(
    _ payload: [UInt8], _ inflater: Inflater, limit: Int, pieceByteCount: Int, roomByteCount: Int, keepsContext: Bool
) -> Inflated {
    inflater.begin(limit: limit)
    defer { inflater.finish(keepsContext: keepsContext) }
    var text: [UInt8] = []
    var rest = payload[...]
    var piece = Array(rest.prefix(pieceByteCount))
    rest = rest.dropFirst(piece.count)
    var room: [UInt8] = []
    while true {
        // Safe: the buffers are used during the call only.
        let step = unsafe room.withUnsafeMutableBytes { room in
            unsafe piece.withUnsafeBytes { unsafe inflater.inflate($0, isEnd: rest.isEmpty, into: room) }
        }
        switch step {
        case .needsInput(let byteCount):
            text += room[..<byteCount]
            room.removeFirst(byteCount)
            precondition(!rest.isEmpty, "wants more than the message has")
            piece = Array(rest.prefix(pieceByteCount))
            rest = rest.dropFirst(piece.count)
        case .needsOutput(let consumedByteCount, let byteCount):
            precondition(byteCount == room.count, "wants room though there is some")
            text += room[..<byteCount]
            precondition(text.count < limit, "wants room beyond the limit")
            room = [UInt8](repeating: 0, count: min(roomByteCount, inflater.outputByteCountMax))
            piece.removeFirst(consumedByteCount)
        case .end(let byteCount):
            text += room[..<byteCount]
            precondition(text.count <= limit, "gives more than the limit")
            return .message(text)
        case .failure(let error):
            precondition(error.closeCode == .invalidPayload || error.closeCode == .messageTooBig, "refused as \(error)")
            return .failure(error)
        }
    }
}
