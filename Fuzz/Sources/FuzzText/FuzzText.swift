import RoostWebSocket

/// UTF-8 (RFC 3629): whole or in two pieces, text is judged as the standard library does.
///
/// The first byte of the input says where the second piece starts, the rest is the text.
func fuzzText(_ start: UnsafePointer<UInt8>?, _ byteCount: Int) -> CInt {
    guard byteCount >= 1 else { return 0 }
    // Safe: libFuzzer lends `byteCount` bytes at `start` for the duration of the call.
    let input = unsafe Array(UnsafeBufferPointer(start: start, count: byteCount))
    let text = Array(input.dropFirst())
    let expected = String(validating: text, as: UTF8.self) != nil
    // Safe: the buffers are used during the calls only.
    let whole = unsafe text.withUnsafeBytes { unsafe UTF8Validator.isValid($0) }
    precondition(whole == expected, "judged wrongly as a whole")

    let split = min(Int(input[0]), text.count)
    var validator = UTF8Validator()
    var isAccepted = true
    for piece in [Array(text[..<split]), Array(text[split...])] where isAccepted {
        // Safe: as above.
        isAccepted = unsafe piece.withUnsafeBytes { unsafe validator.accepts($0) }
    }
    precondition((isAccepted && validator.isAtCharacterEnd) == expected, "judged wrongly in pieces")
    return 0
}
