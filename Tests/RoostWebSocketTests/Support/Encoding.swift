import RoostWebSocket

/// The frame that `FrameEncoder` writes, masked if there is a key.
func encode(
    _ opcode: Opcode, isFinal: Bool = true, isCompressed: Bool = false, _ payload: [UInt8], key: MaskingKey? = nil
) -> [UInt8] {
    let headerByteCount = FrameEncoder.headerByteCount(payloadByteCount: payload.count, isMasked: key != nil)
    var frame = [UInt8](repeating: 0, count: headerByteCount) + payload
    // Safe: the buffer has room for header and payload.
    unsafe frame.withUnsafeMutableBytes { buffer in
        guard let key else {
            _ = unsafe FrameEncoder.writeHeader(
                opcode, isFinal: isFinal, isCompressed: isCompressed, payloadByteCount: payload.count, to: buffer)
            return
        }
        _ = unsafe FrameEncoder.writeHeader(
            opcode, isFinal: isFinal, isCompressed: isCompressed, payloadByteCount: payload.count, key: key, to: buffer)
        unsafe key.apply(to: UnsafeMutableRawBufferPointer(rebasing: buffer[headerByteCount...]))
    }
    return frame
}
