import RoostHTTP

/// PROXY headers (proxy-protocol.txt): no bytes trap the parser, it never looks beyond the header, and what the bytes
/// mean does not depend on how they arrive. What no header starts with is refused at its first wrong byte.
func fuzzProxy(_ start: UnsafePointer<UInt8>?, _ byteCount: Int) -> CInt {
    // Safe: libFuzzer lends `byteCount` bytes at `start` for the duration of the call.
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: byteCount))
    let whole = parse(bytes)
    // Byte by byte, every prefix in a buffer of exactly its size, so that the sanitizer sees what lies outside.
    // Behind the fixed part of a version 2 header only its length counts; those prefixes are sampled.
    var firstOutcome: ProxyHeader.Outcome?
    for end in 0...bytes.count where end <= 128 || end % 61 == 0 || end == bytes.count {
        let outcome = parse(Array(bytes[..<end]))
        checkEarliness(bytes[..<end], outcome)
        guard outcome != .needsMoreBytes else { continue }
        firstOutcome = outcome
        break
    }
    precondition(
        (firstOutcome ?? .needsMoreBytes) == whole, "the pieces of a header mean something else than the whole")
    check(whole, bytes)
    return 0
}

private func parse(_ bytes: [UInt8]) -> ProxyHeader.Outcome {
    // Safe: the buffer is used during the call only.
    unsafe bytes.withUnsafeBytes { unsafe ProxyHeader.parse($0) }
}

private let starts = [Array("PROXY ".utf8), [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]]

private func checkEarliness(_ prefix: ArraySlice<UInt8>, _ outcome: ProxyHeader.Outcome) {
    let mayBecomeHeader = starts.contains { zip($0, prefix).allSatisfy { $0 == $1 } }
    precondition(mayBecomeHeader == (outcome != .failure(.missing)), "refuses too late, or too early")
    precondition(prefix.count < ProxyHeader.byteCountMax || outcome != .needsMoreBytes, "wants more than the limit")
}

private func check(_ outcome: ProxyHeader.Outcome, _ bytes: [UInt8]) {
    switch outcome {
    case .needsMoreBytes: break
    case .failure(let error): precondition(!error.description.isEmpty, "refusal without a reason")
    case .header(let address, let consumedByteCount):
        precondition(consumedByteCount <= min(bytes.count, ProxyHeader.byteCountMax), "consumed more than allowed")
        precondition(parse(Array(bytes[..<consumedByteCount])) == outcome, "it depends on what follows the header")
        precondition(parse(Array(bytes[..<(consumedByteCount - 1)])) == .needsMoreBytes, "it was whole before")
        if let ipAddress = address.ipAddress {
            precondition(IPAddress(ipAddress.description) == ipAddress, "an address is not read as it is written")
            precondition(ipAddress.limitKey.limitKey == ipAddress.limitKey, "a limit's key has another key")
        }
    }
}
