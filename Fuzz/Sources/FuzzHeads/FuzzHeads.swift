import RoostHTTP
import RoostWebSocket

/// Heads and chunked bodies (RFC 9112), the opening handshake (RFC 6455 §4), forwarded addresses and origins: no bytes
/// trap a parser or what uses its result, and what they mean does not depend on how they arrive.
///
/// The first byte of the input chooses the sizes of the pieces, the rest is a head with what follows it. It is read as
/// a body too, as it is.
func fuzzHeads(_ start: UnsafePointer<UInt8>?, _ byteCount: Int) -> CInt {
    guard byteCount >= 1 else { return 0 }
    // Safe: libFuzzer lends `byteCount` bytes at `start` for the duration of the call.
    let input = unsafe Array(UnsafeBufferPointer(start: start, count: byteCount))
    let bytes = Array(input.dropFirst())
    let ends = pieceEnds(byteCount: bytes.count, choice: Int(input[0]))
    precondition(
        describeRequest(bytes, ends: [bytes.count]) == describeRequest(bytes, ends: ends),
        "the pieces of a request mean something else than the whole")
    precondition(
        describeResponse(bytes, ends: [bytes.count]) == describeResponse(bytes, ends: ends),
        "the pieces of a response mean something else than the whole")
    for limit in [0, 20, 100_000] {
        precondition(
            describeBody(bytes, ends: [bytes.count], bodyByteCountMax: limit, limits: limits)
                == describeBody(bytes, ends: ends, bodyByteCountMax: limit, limits: limits),
            "the pieces of a body mean something else than the whole")
    }
    return 0
}

private let limits = HTTPLimits(headByteCountMax: 600, targetByteCountMax: 400, headerCountMax: 12)

private func pieceEnds(byteCount: Int, choice: Int) -> [Int] {
    var ends = Array(stride(from: choice & 0x1F, to: byteCount, by: (choice >> 5) + 1))
    ends.append(byteCount)
    return ends
}

/// Everything the server learns from `bytes`, as text.
private func describeRequest(_ bytes: [UInt8], ends: [Int]) -> String {
    var parser = RequestHeadParser(limits: limits)
    for end in ends {
        switch parser.parse(Array(bytes[..<end]).span) {
        case .needsMoreBytes: continue
        case .failure(let error): return "\(error.status) \(error)"
        case .head(let head, let consumedByteCount):
            precondition(consumedByteCount <= min(end, limits.headByteCountMax), "consumed more than allowed")
            return describe(head) + "\(consumedByteCount)" + describeContent(head, bytes, from: consumedByteCount, ends)
        }
    }
    return "incomplete"
}

/// What follows a head that announces chunks, in the pieces that it came in.
private func describeContent(_ head: RequestHead, _ bytes: [UInt8], from start: Int, _ ends: [Int]) -> String {
    guard head.bodyFraming == .chunked else { return "" }
    let contentEnds = ends.filter { $0 > start }.map { $0 - start } + [bytes.count - start]
    return describeBody(Array(bytes[start...]), ends: contentEnds, bodyByteCountMax: 300, limits: limits)
}

private func describe(_ head: RequestHead) -> String {
    let path = head.path
    precondition(path.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }, "a path with control characters")
    precondition(
        path.hasPrefix("/") && !path.split(separator: "/").contains { $0 == "." || $0 == ".." }, "a path that leads out"
    )
    var text = "\(head.method) \(path) \(head.encodedPath) \(head.query ?? "-") \(head.host ?? "-") \(head.version)"
    for item in head.queryItems { text += "\(item.name)=\(item.value)&" }
    for header in head.headers {
        precondition((try? HeaderField(header.name, header.value)) != nil, "a header that could not be sent on")
        text += "\(header.name): \(header.value);\(head.headers.contains(token: "upgrade", in: header.name))"
    }
    text += describeClient(head)
    switch ServerHandshake.evaluate(head, supportedSubprotocols: ["chat", "v1"], deflate: DeflatePolicy()) {
    case .refuse(let refusal): text += String(decoding: refusal.response(), as: UTF8.self)
    case .accept(let acceptance):
        let response = ServerHandshake.response(acceptance)
        var parser = ResponseHeadParser()
        guard case .head(let answer, response.count) = parser.parse(response.span), answer.statusCode == 101 else {
            preconditionFailure("the server's own response does not parse")
        }
        text += String(decoding: response, as: UTF8.self)
    }
    return text
}

/// Everything a client learns from `bytes`, as text.
private func describeResponse(_ bytes: [UInt8], ends: [Int]) -> String {
    guard
        let client = try? ClientHandshake(
            host: "h", target: "/", random: (1, 2), subprotocols: ["chat"], deflate: DeflatePolicy())
    else {
        preconditionFailure("a fixed request cannot be made")
    }
    var parser = ResponseHeadParser(limits: limits)
    for end in ends {
        switch parser.parse(Array(bytes[..<end]).span) {
        case .needsMoreBytes: continue
        case .failure(let error): return "\(error)"
        case .head(let head, let consumedByteCount):
            let fields = head.headers.map { "\($0.name): \($0.value)" }.joined(separator: "\n")
            do throws(ClientHandshakeError) {
                return "\(fields) \(consumedByteCount) \(try client.check(head))"
            } catch {
                return "\(fields) \(consumedByteCount) \(error)"
            }
        }
    }
    return "incomplete"
}
