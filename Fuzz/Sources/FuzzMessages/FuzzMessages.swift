import RoostHTTP
import RoostWebSocket

/// Compressed connections, from the negotiation (RFC 7692 §5.1) to the text of messages (§6.2): no bytes trap them, no
/// message is larger than the limit, and what they mean does not depend on how they arrive.
///
/// The first four bytes of the input choose role, context, limit, pieces and the policies of both ends; then comes a
/// line, taken for a Sec-WebSocket-Extensions header, and then the stream of frames.
func fuzzMessages(_ start: UnsafePointer<UInt8>?, _ byteCount: Int) -> CInt {
    guard byteCount >= 4 else { return 0 }
    // Safe: libFuzzer lends `byteCount` bytes at `start` for the duration of the call.
    let input = unsafe Array(UnsafeBufferPointer(start: start, count: byteCount))
    let parts = input.dropFirst(4).split(separator: 0x0A, maxSplits: 1, omittingEmptySubsequences: false)
    negotiate(String(decoding: parts[0], as: UTF8.self), policy(input[2]), policy(input[3]))
    guard parts.count == 2 else { return 0 }

    let role: FrameRole = input[0] & 1 == 0 ? .server : .client
    let keepsContext = input[0] & 2 != 0
    let limit = [0, 5, 200, 1 << 16][Int(input[0] >> 2 & 3)]
    var whole = Connection(role: role, limit: limit, keepsContext: keepsContext)
    whole.feed(parts[1])
    var pieces = Connection(role: role, limit: limit, keepsContext: keepsContext)
    var rest = parts[1]
    var pieceByteCount = Int(input[1] & 0x0F) + 1
    while !rest.isEmpty {
        pieces.feed(rest.prefix(pieceByteCount))
        rest = rest.dropFirst(pieceByteCount)
        pieceByteCount = (pieceByteCount * 5 + Int(input[1] >> 4)) % 37 + 1
    }
    precondition(whole.events == pieces.events, "the pieces mean something else than the whole")
    return 0
}

// MARK: Negotiation

private func policy(_ byte: UInt8) -> DeflatePolicy {
    DeflatePolicy(
        serverContextTakeover: byte & 1 != 0, clientContextTakeover: byte & 2 != 0,
        serverMaxWindowBits: 8 + byte >> 2 & 7, clientMaxWindowBits: 8 + byte >> 5)
}

/// The headers of a request with such a header, or nil if that cannot be sent.
private func headers(_ value: String) -> HeaderFields? {
    let bytes = Array("GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Extensions: \(value)\r\n\r\n".utf8)
    var parser = RequestHeadParser()
    guard case .head(let head, _) = parser.parse(bytes.span) else { return nil }
    return head.headers
}

private func negotiate(_ value: String, _ client: DeflatePolicy, _ server: DeflatePolicy) {
    // An offer of ours is always accepted, and the answer is what the client may get.
    guard let own = headers(DeflateNegotiation.offer(client)),
        let agreed = DeflateNegotiation.accept(own, policy: server)
    else { preconditionFailure("an offer of ours is not accepted") }
    expectSame(agreed.parameters, agreed.responseValue, offered: client)
    guard let given = headers(value) else { return }
    // As an offer: the answer obeys the rules, so that a client which takes anything takes it.
    let generous = DeflatePolicy(serverContextTakeover: true, clientContextTakeover: true)
    if let agreed = DeflateNegotiation.accept(given, policy: server) {
        precondition(agreed.parameters.serverMaxWindowBits <= server.serverMaxWindowBits, "a window above the policy")
        precondition(agreed.responseValue.utf8.count < 200, "a long answer")
        expectSame(agreed.parameters, agreed.responseValue, offered: generous)
    }
    // As an answer.
    guard let parameters = try? DeflateNegotiation.check(given, offered: client) else { return }
    precondition(
        parameters.serverMaxWindowBits <= client.serverMaxWindowBits
            && parameters.clientMaxWindowBits <= client.clientMaxWindowBits, "a window that was not offered")
    precondition(client.serverContextTakeover || parameters.serverNoContextTakeover, "context that was not offered")
}

/// The client's check of the server's answer comes to what the server means.
private func expectSame(_ parameters: DeflateParameters, _ answer: String, offered: DeflatePolicy) {
    guard let headers = headers(answer), let checked = try? DeflateNegotiation.check(headers, offered: offered) else {
        preconditionFailure("an answer of ours is refused: \(answer)")
    }
    precondition(
        checked.serverNoContextTakeover == parameters.serverNoContextTakeover
            && checked.clientNoContextTakeover == parameters.clientNoContextTakeover
            && checked.clientMaxWindowBits == parameters.clientMaxWindowBits
            && checked.serverMaxWindowBits >= parameters.serverMaxWindowBits, "both ends read '\(answer)' differently")
}

// MARK: Messages

/// A caller of decoder and inflater, as a connection is one.
private struct Connection {
    enum Event: Equatable {
        case message(MessageKind, [UInt8])
        case control(ControlKind, [UInt8])
        case failure(FrameError)
    }

    private var decoder: FrameDecoder
    private let inflater = Inflater(windowBits: 15)
    private let limit: Int
    private let keepsContext: Bool
    private var unconsumed: [UInt8] = []
    private var assembly: [UInt8] = []
    private var isFailed = false
    private(set) var events: [Event] = []

    init(role: FrameRole, limit: Int, keepsContext: Bool) {
        decoder = FrameDecoder(role: role, messageByteCountMax: limit, fragmentCountMax: 20, allowsCompression: true)
        self.limit = limit
        self.keepsContext = keepsContext
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
        case .needsMoreBytes: return false
        case .failure(let error): fail(error)
        case .message(let kind, let offset, let byteCount, let isCompressed):
            deliver(kind, Array(bytes[offset..<offset + byteCount]), isCompressed)
        case .control(let kind, let offset, let byteCount):
            events.append(.control(kind, Array(bytes[offset..<offset + byteCount])))
        case .chunk(let kind, let offset, let byteCount, let remaining, let isEnd, let isCompressed):
            assembly += bytes[offset..<offset + byteCount]
            let most = isCompressed ? FrameDecoder.compressedByteCountMax(limit) : limit
            precondition(assembly.count <= most - remaining, "gathers more than the limit")
            if isEnd {
                let payload = assembly
                assembly = []
                deliver(kind, payload, isCompressed)
            }
        }
        guard !isFailed else { return false }
        precondition(event.consumedByteCount > 0, "no progress")
        unconsumed.removeFirst(event.consumedByteCount)
        return !unconsumed.isEmpty
    }

    private mutating func deliver(_ kind: MessageKind, _ payload: [UInt8], _ isCompressed: Bool) {
        var content = payload
        if isCompressed {
            do throws(FrameError) {
                content = try inflated(payload)
            } catch {
                return fail(error)
            }
            // Safe: the buffer is used during the call only.
            let isText = unsafe content.withUnsafeBytes { unsafe UTF8Validator.isValid($0) }
            if kind == .text, !isText { return fail(.textNotUTF8) }
        }
        precondition(content.count <= limit, "message above the limit")
        if kind == .text { precondition(String(validating: content, as: UTF8.self) != nil, "text that is not UTF-8") }
        events.append(.message(kind, content))
    }

    private func inflated(_ payload: [UInt8]) throws(FrameError) -> [UInt8] {
        inflater.begin(limit: limit)
        defer { inflater.finish(keepsContext: keepsContext) }
        var content: [UInt8] = []
        var rest = payload
        var room: [UInt8] = []
        while true {
            // Safe: the buffers are used during the call only.
            let step = unsafe room.withUnsafeMutableBytes { room in
                unsafe rest.withUnsafeBytes { unsafe inflater.inflate($0, isEnd: true, into: room) }
            }
            switch step {
            case .needsInput: preconditionFailure("wants more than the message has")
            case .needsOutput(let consumedByteCount, let byteCount):
                content += room[..<byteCount]
                rest.removeFirst(consumedByteCount)
                room = [UInt8](repeating: 0, count: min(100, inflater.outputByteCountMax))
                precondition(!room.isEmpty, "wants room beyond the limit")
            case .end(let byteCount): return content + room[..<byteCount]
            case .failure(let error): throw error
            }
        }
    }

    private mutating func fail(_ error: FrameError) {
        precondition(error.closeCode.isValidOnWire && !error.description.isEmpty, "refusal without a code")
        events.append(.failure(error))
        isFailed = true
    }
}
