import RoostHTTP

/// What a decoder makes of a body, in a form that can be compared.
struct DecodedBody: Equatable {
    enum End: Equatable {
        case none
        /// Bytes of the stream up to the end of the body.
        case end(consumedByteCount: Int)
        case failure(HTTPError)
    }

    var data: [UInt8] = []
    var end = End.none

    var text: String { String(decoding: data, as: UTF8.self) }
    var error: HTTPError? { if case .failure(let error) = end { error } else { nil } }
    var isEnded: Bool { if case .end = end { true } else { false } }
}

/// What a new decoder makes of `bytes` that arrive in pieces which end at `ends`, all at once if there are none.
func decodeBody(
    _ bytes: [UInt8], pieceEnds: [Int] = [], bodyByteCountMax: Int = 1_000, extensionByteCountMax: Int = 100,
    limits: HTTPLimits = HTTPLimits()
) -> DecodedBody {
    var decoder = ChunkedBodyDecoder(
        bodyByteCountMax: bodyByteCountMax, extensionByteCountMax: extensionByteCountMax, limits: limits)
    var body = DecodedBody()
    var start = 0
    for end in pieceEnds.isEmpty ? [bytes.count] : pieceEnds {
        var needsMoreBytes = false
        while !needsMoreBytes {
            let event = decoder.decode(bytes.span.extracting(start..<end))
            precondition(start + event.consumedByteCount <= end, "consumed more than there is")
            switch event {
            case .needsMoreBytes: needsMoreBytes = true
            case .data(let offset, let byteCount, let consumedByteCount):
                precondition(byteCount > 0 && offset + byteCount <= consumedByteCount, "data that was not consumed")
                body.data += bytes[start + offset..<start + offset + byteCount]
            case .end(let consumedByteCount):
                body.end = .end(consumedByteCount: start + consumedByteCount)
                return body
            case .failure(let error):
                body.end = .failure(error)
                return body
            }
            start += event.consumedByteCount
        }
    }
    return body
}

func decodeBody(
    _ text: String, bodyByteCountMax: Int = 1_000, extensionByteCountMax: Int = 100, limits: HTTPLimits = HTTPLimits()
) -> DecodedBody {
    decodeBody(
        Array(text.utf8), bodyByteCountMax: bodyByteCountMax, extensionByteCountMax: extensionByteCountMax,
        limits: limits)
}
