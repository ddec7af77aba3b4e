import RoostWebSocket
import Testing

/// What a connection got from its decoder.
enum Received: Equatable {
    case message(MessageKind, [UInt8])
    /// DEFLATE data, as it was sent.
    case compressed(MessageKind, [UInt8])
    case control(ControlKind, [UInt8])
    case failure(FrameError)
}

/// A caller of `FrameDecoder` as a connection is one: keeps what was not consumed, gathers chunks. It also checks
/// what the decoder promises about each event.
struct Receiver {
    var decoder: FrameDecoder
    private(set) var received: [Received] = []
    private(set) var unconsumed: [UInt8] = []
    /// Payload of the message that is not whole yet.
    private(set) var assembly: [UInt8] = []
    private(set) var isFailed = false

    init(
        role: FrameRole = .server, messageByteCountMax: Int = 1 << 20, fragmentCountMax: UInt32 = 65_536,
        allowsCompression: Bool = false
    ) {
        decoder = FrameDecoder(
            role: role, messageByteCountMax: messageByteCountMax, fragmentCountMax: fragmentCountMax,
            allowsCompression: allowsCompression)
    }

    mutating func feed(_ bytes: some Sequence<UInt8>) {
        unconsumed += bytes
        while !isFailed, step() {}
    }

    /// False when the decoder wants more bytes or has failed.
    private mutating func step() -> Bool {
        // An allocation of exactly this size, so that a sanitizer sees what lies outside.
        var bytes = unconsumed
        let event = decoder.decode(array: &bytes)
        if bytes.count < 2_000 { expectUntouchedOutsidePayload(bytes, before: unconsumed, event) }
        let consumed = event.consumedByteCount
        #expect(consumed <= bytes.count)
        switch event {
        case .needsMoreBytes:
            #expect(bytes.count < 139, "139 bytes hold any header and any control frame")
            return false
        case .failure(let error):
            received.append(.failure(error))
            isFailed = true
            return false
        case .message(let kind, let offset, let byteCount, let isCompressed):
            #expect(assembly.isEmpty)
            append(kind, Array(bytes[offset..<offset + byteCount]), isCompressed)
        case .control(let kind, let offset, let byteCount):
            #expect(byteCount <= 125)
            received.append(.control(kind, Array(bytes[offset..<offset + byteCount])))
        case .chunk(let kind, let offset, let byteCount, let remaining, let isEnd, let isCompressed):
            assembly += bytes[offset..<offset + byteCount]
            #expect(!isEnd || remaining == 0)
            #expect(remaining == 0 || consumed == bytes.count, "a piece holds all that is there")
            #expect(decoder.isInsideMessage == !isEnd)
            if isEnd {
                append(kind, assembly, isCompressed)
                assembly = []
            }
        }
        #expect(consumed > 0, "an event without progress would loop for ever")
        unconsumed.removeFirst(consumed)
        return !unconsumed.isEmpty
    }

    private mutating func append(_ kind: MessageKind, _ payload: [UInt8], _ isCompressed: Bool) {
        received.append(isCompressed ? .compressed(kind, payload) : .message(kind, payload))
    }

    private func expectUntouchedOutsidePayload(
        _ after: [UInt8], before: [UInt8], _ event: FrameDecoder.Event
    ) {
        var payload = 0..<0
        switch event {
        case .message(_, let offset, let byteCount, _), .control(_, let offset, let byteCount):
            payload = offset..<offset + byteCount
        case .chunk(_, let offset, let byteCount, _, _, _): payload = offset..<offset + byteCount
        case .needsMoreBytes: break
        case .failure: return
        }
        let isUntouched = before.indices.allSatisfy { payload.contains($0) || after[$0] == before[$0] }
        #expect(isUntouched)
    }
}

/// Everything received when `bytes` arrives in one piece.
func receive(
    _ bytes: [UInt8], role: FrameRole = .server, messageByteCountMax: Int = 1 << 20, allowsCompression: Bool = false
)
    -> [Received]
{
    var receiver = Receiver(
        role: role, messageByteCountMax: messageByteCountMax, allowsCompression: allowsCompression)
    receiver.feed(bytes)
    return receiver.received
}

extension FrameDecoder {
    /// Decodes what `bytes` begins with, in place.
    mutating func decode(array bytes: inout [UInt8]) -> Event {
        // Safe: the buffer is used during the call only.
        unsafe bytes.withUnsafeMutableBytes { unsafe decode($0) }
    }
}
