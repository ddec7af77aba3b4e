/// Writes frame headers and close payloads (RFC 6455 §5.2). The payload itself the caller puts behind the header.
package enum FrameEncoder {
    /// Bytes that a header never exceeds: two, a 64-bit length, a masking key.
    package static let headerByteCountMax = 14
    /// Bytes that a control frame's payload never exceeds (RFC 6455 §5.5).
    package static let controlPayloadByteCountMax = 125
    /// Bytes of a close frame's reason: what the code leaves of a control frame's payload.
    package static let closeReasonByteCountMax = 123

    /// Bytes of the header of a frame with `payloadByteCount` bytes of payload.
    @inline(__always)
    package static func headerByteCount(payloadByteCount: Int, isMasked: Bool) -> Int {
        let lengthEnd = payloadByteCount <= 125 ? 2 : payloadByteCount <= 65_535 ? 4 : 10
        return lengthEnd &+ (isMasked ? 4 : 0)
    }

    /// Writes the header of an unmasked frame (the server's) at the start of `buffer` and returns its size.
    ///
    /// `isCompressed` says that the message which the frame starts is DEFLATE data (RFC 7692 §6). Traps if `buffer` is
    /// too small, a control frame would be too long or fragmented, or a control or continuation frame is compressed.
    package static func writeHeader(
        _ opcode: Opcode, isFinal: Bool = true, isCompressed: Bool = false, payloadByteCount: Int,
        to buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        // Safe: sizes are compared before anything is written.
        unsafe writeHeader(
            opcode, isFinal: isFinal, isCompressed: isCompressed, payloadByteCount: payloadByteCount, maskBit: 0,
            to: buffer)
    }

    /// Writes the header of a masked frame (the client's) at the start of `buffer` and returns its size. The caller
    /// masks the payload with `key.apply(to:)`.
    ///
    /// Traps as the unmasked form does.
    package static func writeHeader(
        _ opcode: Opcode, isFinal: Bool = true, isCompressed: Bool = false, payloadByteCount: Int, key: MaskingKey,
        to buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        // Safe: as in the unmasked form; the size compared includes the key.
        let keyOffset = unsafe writeHeader(
            opcode, isFinal: isFinal, isCompressed: isCompressed, payloadByteCount: payloadByteCount, maskBit: 0x80,
            to: buffer)
        unsafe buffer.storeBytes(of: key.bits.littleEndian, toByteOffset: keyOffset, as: UInt32.self)
        return keyOffset &+ 4
    }

    /// Writes the payload of a close frame and returns its size: none without a code (RFC 6455 §5.5.1).
    ///
    /// A reason of more than 123 bytes is cut after its last character that fits. Traps if `code` may not stand in
    /// a frame, or `buffer` has less than 125 bytes.
    package static func writeClosePayload(_ payload: ClosePayload, to buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let code = payload.code else { return 0 }
        precondition(code.isValidOnWire, "FrameEncoder.writeClosePayload: close code \(code) may not be sent")
        precondition(
            buffer.count >= controlPayloadByteCountMax,
            "FrameEncoder.writeClosePayload: buffer of \(buffer.count) bytes; give 125")
        // Safe: the buffer has 125 bytes or more.
        unsafe buffer.storeBytes(of: code.rawValue.bigEndian, as: UInt16.self)
        var byteCount = 2
        for scalar in payload.reason.unicodeScalars {
            let utf8 = UTF8.encode(scalar)
            guard let utf8, byteCount + utf8.count <= controlPayloadByteCountMax else { break }
            for byte in utf8 {
                // Safe: `byteCount` stays below 125, and the buffer has that many bytes.
                unsafe buffer.storeBytes(of: byte, toByteOffset: byteCount, as: UInt8.self)
                byteCount += 1
            }
        }
        return byteCount
    }

    @inline(__always)
    private static func writeHeader(
        _ opcode: Opcode, isFinal: Bool, isCompressed: Bool, payloadByteCount: Int, maskBit: UInt8,
        to buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        precondition(payloadByteCount >= 0, "FrameEncoder.writeHeader: payload of \(payloadByteCount) bytes")
        precondition(
            buffer.count >= headerByteCount(payloadByteCount: payloadByteCount, isMasked: maskBit != 0),
            "FrameEncoder.writeHeader: buffer is smaller than the header")
        precondition(
            !opcode.isControl || isFinal && payloadByteCount <= controlPayloadByteCountMax,
            "FrameEncoder.writeHeader: control frames are whole and have at most 125 bytes (RFC 6455 §5.5)")
        precondition(
            !isCompressed || !opcode.isControl && opcode != .continuation,
            "FrameEncoder.writeHeader: RSV1 stands on the first frame of a message alone (RFC 7692 §6)")
        let first = opcode.rawValue | (isFinal ? 0x80 : 0) | (isCompressed ? 0x40 : 0)
        // Safe: the size of the buffer was compared with that of the header.
        unsafe buffer.storeBytes(of: first, as: UInt8.self)
        if payloadByteCount <= 125 {
            unsafe buffer.storeBytes(of: UInt8(payloadByteCount) | maskBit, toByteOffset: 1, as: UInt8.self)
            return 2
        }
        if payloadByteCount <= 65_535 {
            unsafe buffer.storeBytes(of: 126 | maskBit, toByteOffset: 1, as: UInt8.self)
            unsafe buffer.storeBytes(of: UInt16(payloadByteCount).bigEndian, toByteOffset: 2, as: UInt16.self)
            return 4
        }
        unsafe buffer.storeBytes(of: 127 | maskBit, toByteOffset: 1, as: UInt8.self)
        unsafe buffer.storeBytes(of: UInt64(payloadByteCount).bigEndian, toByteOffset: 2, as: UInt64.self)
        return 10
    }
}
