import CZlib

/// Compresses messages for permessage-deflate (RFC 7692 §7.2.1).
///
/// One message at a time: `begin`, `append` its pieces, `finish`. Between these calls the caller may do other work, or
/// give the message up: `begin` starts afresh. zlib's memory is asked for once, at the start; the output grows with the
/// message. Used by one thread at a time.
@safe
package final class Deflater {
    /// Bytes given to `append` at once, at most: some hundred microseconds of work at the usual levels.
    package static let pieceByteCountMax = 65_536
    /// Output memory that `releaseExcess` leaves.
    package static let keptOutputByteCountMax = 65_536

    /// Base-2 logarithm of the window that a receiver needs.
    package let windowBits: Int
    package let memoryLevel: Int
    /// zlib points back to it, so it may not move.
    private let stream: UnsafeMutablePointer<z_stream>
    private var output = unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0)
    /// Bytes of `output` that hold the current message.
    private var outputByteCount = 0
    /// The current message has at least one byte.
    private var hasInput = false
    /// The stream has taken input since its last reset.
    private var hasContext = false
    /// Between `begin` and `finish`.
    private var isInsideMessage = false

    /// `windowBits` is 8...15, `level` 0...9 (none, fastest...best), `memoryLevel` 1...9: how much memory zlib takes
    /// for its hash table and for a block's symbols; a reset clears the former. Traps outside these, and if there is
    /// no memory.
    package init(windowBits: Int, level: Int, memoryLevel: Int) {
        precondition(8...15 ~= windowBits, "Deflater: window of \(windowBits) bits; use 8...15 (RFC 7692 §7.1.2)")
        precondition(0...9 ~= level, "Deflater: level \(level); use 0...9")
        precondition(1...9 ~= memoryLevel, "Deflater: memory level \(memoryLevel); use 1...9")
        self.windowBits = windowBits
        self.memoryLevel = memoryLevel
        // zlib has no raw stream of 8 bits. Of 9 bits it has one; with run-length encoding that refers to the byte
        // before and to no other, which fits any window.
        let strategy = windowBits == 8 ? Z_RLE : Z_DEFAULT_STRATEGY
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        // Safe: the stream is zero, which asks for malloc and free, and stays where it is until `deinit`.
        let code = unsafe czlib_deflate_init(
            stream, Int32(level), Int32(max(9, windowBits)), Int32(memoryLevel), strategy)
        guard code == Z_OK else { fatalError("Deflater: zlib cannot start: code \(code); is there memory left?") }
    }

    deinit {
        // Safe: the stream was initialised, and nothing points to it or to the output any more.
        unsafe deflateEnd(stream)
        unsafe stream.deallocate()
        unsafe output.deallocate()
    }

    /// Bytes of memory in use: zlib's own, as its manual gives them, and the output.
    package var byteCount: Int {
        unsafe Self.byteCount(windowBits: windowBits, memoryLevel: memoryLevel) + output.count
    }

    /// Bytes that zlib takes for such a stream, as its manual gives them (zconf.h).
    package static func byteCount(windowBits: Int, memoryLevel: Int) -> Int {
        1 << (max(9, windowBits) + 2) + 1 << (memoryLevel + 9) + smallObjectsByteCount
    }

    /// "Plus a few kilobytes for small objects" (zconf.h): the state itself, with its trees.
    private static let smallObjectsByteCount = 6_144

    /// Starts a message. What the last `finish` returned is no longer valid.
    package func begin() {
        if isInsideMessage { reset() }
        outputByteCount = 0
        hasInput = false
        isInsideMessage = true
    }

    /// Compresses the next piece of the message: at most `pieceByteCountMax` bytes, which may be freed afterwards.
    package func append(_ bytes: UnsafeRawBufferPointer) {
        precondition(isInsideMessage, "Deflater.append: no message was begun")
        precondition(
            bytes.count <= Self.pieceByteCountMax, "Deflater.append: piece of \(bytes.count) bytes; give 65,536 or less"
        )
        guard bytes.count > 0 else { return }
        hasInput = true
        hasContext = true
        // Safe: zlib reads `avail_in` bytes, which the caller lends until this function returns.
        unsafe stream.pointee.next_in = unsafe bytes.baseAddress?.assumingMemoryBound(to: Bytef.self)
        unsafe stream.pointee.avail_in = UInt32(bytes.count)
        while unsafe stream.pointee.avail_in > 0 { step(Z_NO_FLUSH) }
        unsafe stream.pointee.next_in = nil
    }

    /// Ends the message and returns its payload, valid until the next `begin`.
    ///
    /// The next message may refer to this one if `keepsContext`; the receiver must have been told so.
    package func finish(keepsContext: Bool) -> UnsafeRawBufferPointer {
        precondition(isInsideMessage, "Deflater.finish: no message was begun")
        if hasInput { flush() } else { appendEmptyBlock() }
        isInsideMessage = false
        if !keepsContext, hasContext { reset() }
        // Safe: the first `outputByteCount` bytes were written.
        return unsafe UnsafeRawBufferPointer(rebasing: output[..<outputByteCount])
    }

    /// Frees output memory of more than `keptOutputByteCountMax` bytes. What `finish` returned is no longer valid then.
    package func releaseExcess() {
        guard unsafe output.count > Self.keptOutputByteCountMax else { return }
        precondition(!isInsideMessage, "Deflater.releaseExcess: inside a message")
        // Safe: nobody may look at the output any more; the next message asks for memory of its own.
        unsafe output.deallocate()
        unsafe output = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        outputByteCount = 0
    }

    // MARK: Steps

    /// Ends on a byte boundary with an empty block, whose last four bytes are not sent (RFC 7692 §7.2.1).
    private func flush() {
        repeat { step(Z_SYNC_FLUSH) } while unsafe stream.pointee.avail_out == 0
        let tailStart = outputByteCount - Self.tailByteCount
        // Safe: the output ends with what `flush` wrote, at least the empty block.
        precondition(
            unsafe tailStart > 0
                && output.loadUnaligned(fromByteOffset: tailStart, as: UInt32.self).littleEndian == 0xFFFF_0000,
            "Deflater: zlib's flush does not end with 00 00 FF FF")
        outputByteCount = tailStart
    }

    /// An empty message is the header of an empty block (RFC 7692 §7.2.3.6). zlib writes nothing for it if its last
    /// message ended with a flush.
    private func appendEmptyBlock() {
        reserve()
        // Safe: there is room.
        unsafe output.storeBytes(of: 0, as: UInt8.self)
        outputByteCount = 1
    }

    /// One call of zlib, with room for what it writes.
    private func step(_ mode: Int32) {
        reserve()
        let room = unsafe min(output.count - outputByteCount, 1 << 30)
        // Safe: the room begins where the message ends so far, and zlib writes no more than `avail_out` bytes.
        unsafe stream.pointee.next_out = unsafe output.baseAddress?
            .assumingMemoryBound(to: Bytef.self).advanced(by: outputByteCount)
        unsafe stream.pointee.avail_out = UInt32(room)
        let code = unsafe deflate(stream, mode)
        // Z_BUF_ERROR: there was nothing left to do.
        guard code == Z_OK || code == Z_BUF_ERROR else { fatalError("Deflater: zlib failed with code \(code)") }
        outputByteCount += room - Int(unsafe stream.pointee.avail_out)
    }

    /// Room for more: enough that a flush is not repeated (zlib asks for more than 6 bytes).
    private func reserve() {
        guard unsafe output.count - outputByteCount < Self.roomByteCountMin else { return }
        let grown = unsafe UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(Self.firstOutputByteCount, output.count * 2), alignment: 16)
        // Safe: the new buffer is larger than what is copied.
        unsafe grown.copyMemory(from: UnsafeRawBufferPointer(rebasing: output[..<outputByteCount]))
        unsafe output.deallocate()
        unsafe output = grown
    }

    private func reset() {
        // Safe: the stream is initialised.
        let code = unsafe deflateReset(stream)
        guard code == Z_OK else { fatalError("Deflater: zlib cannot be reset: code \(code)") }
        hasContext = false
    }

    private static let firstOutputByteCount = 1_024
    private static let roomByteCountMin = 64
    private static let tailByteCount = 4
}
