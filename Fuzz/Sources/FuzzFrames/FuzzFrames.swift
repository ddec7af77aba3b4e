import RoostWebSocket

/// Frames (RFC 6455 §5): no bytes trap the decoder or make it touch memory that is not its own, and what they mean
/// does not depend on how they arrive.
///
/// The first byte of the input chooses role and limits, the second the sizes of the pieces, the rest is the stream.
func fuzzFrames(_ start: UnsafePointer<UInt8>?, _ byteCount: Int) -> CInt {
    guard byteCount >= 2 else { return 0 }
    // Safe: libFuzzer lends `byteCount` bytes at `start` for the duration of the call.
    let input = unsafe Array(UnsafeBufferPointer(start: start, count: byteCount))
    let role: FrameRole = input[0] & 1 == 0 ? .server : .client
    let limit = [0, 5, 200, 1 << 20][Int(input[0] >> 1 & 3)]
    let stream = input.dropFirst(2)

    var whole = Connection(role: role, messageByteCountMax: limit)
    whole.feed(stream)
    var pieces = Connection(role: role, messageByteCountMax: limit)
    var rest = stream
    var pieceByteCount = Int(input[1] & 0x0F) + 1
    while !rest.isEmpty {
        pieces.feed(rest.prefix(pieceByteCount))
        rest = rest.dropFirst(pieceByteCount)
        pieceByteCount = (pieceByteCount * 5 + Int(input[1] >> 4)) % 37 + 1
    }
    precondition(whole.events == pieces.events, "the pieces mean something else than the whole")
    return 0
}

/// A caller of the decoder, as a connection is one.
private struct Connection {
    enum Event: Equatable {
        case message(MessageKind, [UInt8])
        case control(ControlKind, [UInt8])
        case close(ClosePayload?)
        case failure(FrameError)
    }

    private var decoder: FrameDecoder
    private let messageByteCountMax: Int
    private var unconsumed: [UInt8] = []
    private var assembly: [UInt8] = []
    private var isFailed = false
    private(set) var events: [Event] = []

    init(role: FrameRole, messageByteCountMax: Int) {
        decoder = FrameDecoder(role: role, messageByteCountMax: messageByteCountMax, fragmentCountMax: 20)
        self.messageByteCountMax = messageByteCountMax
    }

    mutating func feed(_ bytes: ArraySlice<UInt8>) {
        unconsumed += bytes
        while !isFailed, step() {}
    }

    private mutating func step() -> Bool {
        // A copy of exactly this size, so that the sanitizer sees what lies outside.
        var bytes = Array(unconsumed)
        // Safe: the buffer is used during the call only.
        let event = unsafe bytes.withUnsafeMutableBytes { unsafe decoder.decode($0) }
        precondition(event.consumedByteCount <= bytes.count, "consumed more than there is")
        switch event {
        case .needsMoreBytes:
            precondition(bytes.count < 139, "wants more than a control frame can need")
            return false
        case .failure(let error):
            precondition(error.closeCode.isValidOnWire && !error.description.isEmpty, "refusal without a code")
            events.append(.failure(error))
            isFailed = true
            return false
        case .message(let kind, let offset, let byteCount, _):
            deliver(kind, Array(bytes[offset..<offset + byteCount]))
        case .control(let kind, let offset, let byteCount):
            deliver(kind, Array(bytes[offset..<offset + byteCount]))
        case .chunk(let kind, let offset, let byteCount, let remaining, let isEnd, _):
            assembly += bytes[offset..<offset + byteCount]
            precondition(assembly.count <= messageByteCountMax - remaining, "gathers more than the limit")
            precondition(!isEnd || remaining == 0, "ended inside a frame")
            if isEnd {
                deliver(kind, assembly)
                assembly = []
            }
        }
        precondition(event.consumedByteCount > 0, "no progress")
        unconsumed.removeFirst(event.consumedByteCount)
        return !unconsumed.isEmpty
    }

    private mutating func deliver(_ kind: MessageKind, _ payload: [UInt8]) {
        precondition(payload.count <= messageByteCountMax, "message above the limit")
        if kind == .text {
            precondition(String(validating: payload, as: UTF8.self) != nil, "text that is not UTF-8")
        }
        events.append(.message(kind, payload))
    }

    private mutating func deliver(_ kind: ControlKind, _ payload: [UInt8]) {
        events.append(.control(kind, payload))
        guard kind == .close else { return }
        // Safe: the buffer is used during the call only.
        let parsed = unsafe payload.withUnsafeBytes { unsafe try? ClosePayload(parsing: $0) }
        events.append(.close(parsed))
        guard let parsed else { return }
        var written = [UInt8](repeating: 0, count: 125)
        // Safe: as above.
        let byteCount = unsafe written.withUnsafeMutableBytes {
            unsafe FrameEncoder.writeClosePayload(parsed, to: $0)
        }
        precondition(Array(written[..<byteCount]) == payload, "a close payload is not written as it was read")
    }
}
