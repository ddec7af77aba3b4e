import RoostHTTP

/// What the server makes of what follows a head, and of the headers that tell who asks. All as text.

/// Everything that a decoder makes of the chunked body that `bytes` begins with, in pieces which end at `ends`.
func describeBody(_ bytes: [UInt8], ends: [Int], bodyByteCountMax: Int, limits: HTTPLimits) -> String {
    var decoder = ChunkedBodyDecoder(
        bodyByteCountMax: bodyByteCountMax, extensionByteCountMax: 40, limits: limits)
    var data: [UInt8] = []
    var start = 0
    for end in ends {
        var needsMoreBytes = false
        while !needsMoreBytes {
            // A copy of exactly this size, so that the sanitizer sees what lies outside.
            let piece = Array(bytes[start..<end])
            // Safe: the buffer is used during the call only.
            let event = unsafe piece.withUnsafeBytes { unsafe decoder.decode($0) }
            precondition(event.consumedByteCount <= piece.count, "consumed more than there is")
            switch event {
            case .needsMoreBytes(let byteCount):
                precondition(piece.count - byteCount < limits.headByteCountMax, "has a caller keep more than a head")
                needsMoreBytes = true
            case .data(let offset, let byteCount, let consumedByteCount):
                precondition(byteCount > 0 && offset + byteCount <= consumedByteCount, "data that was not consumed")
                data += piece[offset..<offset + byteCount]
                precondition(data.count <= bodyByteCountMax, "body above the limit")
            case .end(let consumedByteCount): return "\(data) \(start + consumedByteCount)"
            case .failure(let error):
                precondition(error.status.rawValue >= 400 && !error.description.isEmpty, "refusal without a status")
                return "\(data) \(error.status) \(error)"
            }
            start += event.consumedByteCount
        }
    }
    return "\(data) incomplete"
}

private let ranges: AddressRanges = {
    guard let ranges = try? AddressRanges(["10.0.0.0/8", "fd00::/8", "unix"]) else {
        preconditionFailure("fixed ranges are refused")
    }
    return ranges
}()

private let patterns: [OriginPattern] = [
    "https://example.com", "http://localhost:8080", "https://*.example.com", "null", "same",
].map { text in
    guard let pattern = try? OriginPattern(text) else { preconditionFailure("the pattern \(text) is refused") }
    return pattern
}

/// Whose request this is and what it asks of the connection.
func describeClient(_ head: RequestHead) -> String {
    var text = "\(head.keepsAlive) \(head.expectsContinue) \(head.wantsUpgrade)"
    for header in [ForwardedFor.Header.forwarded, .xForwardedFor] {
        let client = ForwardedFor.client(in: head.headers, header: header, peer: nil, trusted: ranges)
        if let client {
            precondition(IPAddress(client.description) == client, "an address is not read as it is written")
        }
        text += " \(client?.description ?? "-")"
    }
    for header in head.headers {
        // Any value will do as an origin and, if it is one, as a pattern that holds for itself.
        if let pattern = try? OriginPattern(header.value), header.value != "same", !header.value.contains("*") {
            precondition(
                pattern.matches(origin: header.value, host: head.host, isTLS: false),
                "an origin does not match itself")
        }
        for pattern in patterns {
            let matches = pattern.matches(origin: header.value, host: head.host, isTLS: true)
            precondition(
                !matches || header.value == "null" || (try? OriginPattern(header.value)) != nil,
                "a malformed origin matches")
            text += matches ? "+" : "-"
        }
        text += (try? AddressRanges([header.value])) == nil ? "-" : "+"
    }
    return text
}
