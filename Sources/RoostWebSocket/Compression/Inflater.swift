import CZlib

/// Decompresses messages of permessage-deflate (RFC 7692 §7.2.2).
///
/// One message at a time: `begin`, `inflate` until it tells the end or a failure, `finish`. Input and output come in
/// pieces of any size; between calls the caller may do other work, or give the message up: `begin` starts afresh. All
/// memory is asked for once, at the start. Used by one thread at a time.
@safe
package final class Inflater {
    /// What a call of `inflate` came to.
    package enum Step: Equatable, Sendable {
        /// All input was taken. Call again with what follows it.
        case needsInput(producedByteCount: Int)
        /// The output is full and there is more. Call again with the input from `consumedByteCount` on (there may be
        /// none left) and with new room, of which at least one byte will be used.
        case needsOutput(consumedByteCount: Int, producedByteCount: Int)
        /// The message is whole.
        case end(producedByteCount: Int)
        /// The peer broke a rule: close with the error's code.
        case failure(FrameError)
    }

    /// Base-2 logarithm of the window.
    package let windowBits: Int
    /// zlib points back to it, so it may not move.
    private let stream: UnsafeMutablePointer<z_stream>
    private var limit = 0
    /// Bytes of the current message that were handed out.
    private var producedByteCount = 0
    /// A byte of the message that had no room. It is how a full output and a whole message are told apart.
    private var spilled: UInt8?
    /// Bytes of the tail that zlib has taken.
    private var tailOffset = 0
    /// A block, or a stream, may begin at the next byte of input.
    private var isBetweenBlocks = true
    private var state = State.idle

    private enum State { case idle, open, ended, failed }

    /// What the sender has removed from the end (RFC 7692 §7.2.2).
    private static let tail: UInt32 = 0xFFFF_0000

    /// Takes what was deflated with a window of at most `windowBits`, 8...15. A reference beyond the window is refused
    /// unless it lies in the room at hand, where zlib finds the bytes still. Traps outside 8...15, and if there is no
    /// memory.
    package init(windowBits: Int) {
        precondition(8...15 ~= windowBits, "Inflater: window of \(windowBits) bits; use 8...15 (RFC 7692 §7.1.2)")
        self.windowBits = windowBits
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        // Safe: the stream is zero, which asks for malloc and free, and stays where it is until `deinit`.
        var code = unsafe czlib_inflate_init(stream, Int32(windowBits))
        // zlib asks for the window when it first needs one; a dictionary makes that now.
        var dictionary: UInt8 = 0
        if code == Z_OK { code = unsafe inflateSetDictionary(stream, &dictionary, 1) }
        guard code == Z_OK else { fatalError("Inflater: zlib cannot start: code \(code); is there memory left?") }
        reset()
    }

    deinit {
        // Safe: the stream was initialised, and nothing points to it any more.
        unsafe inflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// Bytes of memory in use: zlib's own, as its manual gives them.
    package var byteCount: Int { Self.byteCount(windowBits: windowBits) }

    /// Bytes that zlib takes for such a stream, as its manual gives them (zconf.h).
    package static func byteCount(windowBits: Int) -> Int { 1 << windowBits + 7_168 }

    /// Starts a message that may inflate to `limit` bytes.
    package func begin(limit: Int) {
        precondition(limit >= 0, "Inflater.begin: limit of \(limit) bytes; use 0 or more")
        if state != .idle { reset() }
        self.limit = limit
        producedByteCount = 0
        spilled = nil
        tailOffset = 0
        state = .open
    }

    /// Bytes that the message may still inflate to. More room than that is never used.
    package var outputByteCountMax: Int { limit - producedByteCount }

    /// Inflates `bytes`, the next piece of the message's payload, into `output`. `isEnd` says that the payload ends
    /// with it. Room is wanted only when there is a byte for it, and never beyond the limit: a message that goes on
    /// there is refused. The work grows with the sizes of both buffers alone.
    package func inflate(
        _ bytes: UnsafeRawBufferPointer, isEnd: Bool, into output: UnsafeMutableRawBufferPointer
    ) -> Step {
        precondition(state == .open, "Inflater.inflate: no message was begun, or it has ended")
        precondition(bytes.count <= 1 << 30, "Inflater.inflate: \(bytes.count) bytes at once; give 1 GiB or less")
        var filled = 0
        if let spilled {
            guard output.count > 0 else { return .needsOutput(consumedByteCount: 0, producedByteCount: 0) }
            // Safe: there is room for a byte.
            unsafe output.storeBytes(of: spilled, as: UInt8.self)
            self.spilled = nil
            filled = 1
            producedByteCount += 1
        }
        // Safe: zlib reads `avail_in` bytes, which the caller lends until this function returns.
        unsafe stream.pointee.next_in = unsafe bytes.baseAddress?.assumingMemoryBound(to: Bytef.self)
        unsafe stream.pointee.avail_in = UInt32(bytes.count)
        // Safe: the output is the caller's for as long as this function runs.
        let outcome = unsafe run(output, &filled)
        let consumed = unsafe bytes.count - Int(stream.pointee.avail_in)
        switch outcome {
        case .outputFull: return .needsOutput(consumedByteCount: consumed, producedByteCount: filled)
        case .failed(let error): return fail(error)
        case .inputTaken: break
        }
        guard isEnd else { return .needsInput(producedByteCount: filled) }
        // Nothing is missing after a final block, or from a sender that left the tail on.
        if tailOffset == 0, isBetweenBlocks { return end(filled) }
        // Safe: as above.
        switch unsafe takeTail(output, &filled) {
        case .outputFull: return .needsOutput(consumedByteCount: consumed, producedByteCount: filled)
        case .failed(let error): return fail(error)
        case .inputTaken: return isBetweenBlocks ? end(filled) : fail(.compressedDataInvalid)
        }
    }

    /// The caller is done with the message, whether it has ended or not. The next one may refer to it if `keepsContext`
    /// and it has ended.
    package func finish(keepsContext: Bool) {
        precondition(state != .idle, "Inflater.finish: no message was begun")
        if !keepsContext || state != .ended { reset() }
        state = .idle
    }

    // MARK: Steps

    private enum Outcome {
        case inputTaken, outputFull
        case failed(FrameError)
    }

    /// Inflates until zlib has taken its input or a byte has no room.
    private func run(_ output: UnsafeMutableRawBufferPointer, _ filled: inout Int) -> Outcome {
        while true {
            let room = min(output.count - filled, outputByteCountMax, 1 << 30)
            guard room > 0 else { return probe() }
            // Safe: the room lies behind what is filled.
            unsafe stream.pointee.next_out = unsafe output.baseAddress?
                .assumingMemoryBound(to: Bytef.self).advanced(by: filled)
            guard step(room) else { return .failed(.compressedDataInvalid) }
            let left = unsafe Int(stream.pointee.avail_out)
            filled += room - left
            producedByteCount += room - left
            if left > 0, unsafe stream.pointee.avail_in == 0 { return .inputTaken }
        }
    }

    /// Goes on without room, until there is a byte that needs some.
    private func probe() -> Outcome {
        var byte: UInt8 = 0
        repeat {
            // Safe: zlib writes at most one byte, before `step` returns.
            let isValid = unsafe withUnsafeMutablePointer(to: &byte) { pointer in
                unsafe stream.pointee.next_out = unsafe pointer
                return step(1)
            }
            guard isValid else { return .failed(.compressedDataInvalid) }
            if unsafe stream.pointee.avail_out == 0 {
                guard outputByteCountMax > 0 else {
                    return .failed(.messageTooBig(byteCount: UInt64(limit) + 1, limit: UInt64(limit)))
                }
                spilled = byte
                return .outputFull
            }
        } while unsafe stream.pointee.avail_in > 0
        return .inputTaken
    }

    /// One call of zlib, which may write `room` bytes at `next_out`. False: this is no DEFLATE data.
    private func step(_ room: Int) -> Bool {
        // Safe: the callers have set buffers that hold these sizes.
        unsafe stream.pointee.avail_out = UInt32(room)
        let inputByteCount = unsafe stream.pointee.avail_in
        let code = unsafe CZlib.inflate(stream, Z_NO_FLUSH)
        // 128: zlib is between blocks, and no bit is left of the byte before (zlib.h, `data_type`). It forgets the
        // former when it is called with nothing to take.
        let hasEndedBlock = unsafe stream.pointee.data_type == 128
        if unsafe hasEndedBlock || stream.pointee.avail_in != inputByteCount { isBetweenBlocks = hasEndedBlock }
        switch code {
        case Z_OK, Z_BUF_ERROR: return true  // the latter: nothing to take, or no room
        case Z_STREAM_END:
            // After a final block another stream may follow (RFC 7692 §7.2.3.4). The window stays, as it does between
            // blocks and messages.
            unsafe inflateResetKeep(stream)
            isBetweenBlocks = true
            return true
        case Z_DATA_ERROR, Z_NEED_DICT: return false
        default: fatalError("Inflater: zlib failed with code \(code)")
        }
    }

    private func takeTail(_ output: UnsafeMutableRawBufferPointer, _ filled: inout Int) -> Outcome {
        // Safe: zlib reads what is left of the tail's four bytes while they are lent.
        unsafe withUnsafeBytes(of: Self.tail.littleEndian) { tail in
            unsafe stream.pointee.next_in = unsafe tail.baseAddress?
                .assumingMemoryBound(to: Bytef.self).advanced(by: tailOffset)
            unsafe stream.pointee.avail_in = UInt32(tail.count - tailOffset)
            let outcome = unsafe run(output, &filled)
            tailOffset = unsafe tail.count - Int(stream.pointee.avail_in)
            return outcome
        }
    }

    private func end(_ filled: Int) -> Step {
        state = .ended
        return .end(producedByteCount: filled)
    }

    private func fail(_ error: FrameError) -> Step {
        state = .failed
        return .failure(error)
    }

    private func reset() {
        // Safe: the stream is initialised.
        let code = unsafe inflateReset(stream)
        guard code == Z_OK else { fatalError("Inflater: zlib cannot be reset: code \(code)") }
        isBetweenBlocks = true
    }
}
