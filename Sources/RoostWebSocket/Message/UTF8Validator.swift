/// Checks UTF-8 that arrives in pieces, and refuses it at the first byte that cannot be right (RFC 3629 §4).
///
/// Overlong forms, surrogates and what lies above U+10FFFF are refused. A piece may end inside a character.
package struct UTF8Validator: Sendable, Equatable {
    /// Bytes of the current character that are still to come.
    private var missingByteCount: UInt8 = 0
    /// What the next byte of the current character may be. Narrower than a continuation byte after E0, ED, F0, F4.
    private var nextMin: UInt8 = 0x80
    private var nextMax: UInt8 = 0xBF

    package init() {}

    /// False while a character is only partly there: text may not end here.
    package var isAtCharacterEnd: Bool { missingByteCount == 0 }

    /// True if `bytes` is valid text by itself.
    package static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var validator = UTF8Validator()
        // Safe: `accepts` stays within the buffer.
        return unsafe validator.accepts(bytes) && validator.isAtCharacterEnd
    }

    /// Takes the next piece of text. False: this piece holds a byte that makes the text invalid, and the validator
    /// is of no more use.
    package mutating func accepts(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let base = bytes.baseAddress else { return true }
        let count = bytes.count
        var index = 0
        while missingByteCount != 0, index < count {
            // Safe: `index` is below `count`, the size of the buffer.
            guard acceptsByte(unsafe base.load(fromByteOffset: index, as: UInt8.self)) else { return false }
            index &+= 1
        }
        // Safe: `count` is the size of the buffer.
        index = unsafe Self.asciiEnd(base, from: index, count: count)
        guard index < count else { return true }
        // The block step looks back three bytes and starts between characters.
        while index < count, index < 3 || missingByteCount != 0 {
            // Safe: as above.
            guard acceptsByte(unsafe base.load(fromByteOffset: index, as: UInt8.self)) else { return false }
            index &+= 1
        }
        if count &- index >= Self.blockByteCount {
            // Safe: the loop before left `index` at 3 or more.
            guard let end = unsafe Self.validBlocksEnd(base, from: index, count: count) else { return false }
            index = end
        }
        while index < count {
            // Safe: as above.
            guard acceptsByte(unsafe base.load(fromByteOffset: index, as: UInt8.self)) else { return false }
            index &+= 1
        }
        return true
    }

    /// One step of the table in RFC 3629 §4.
    @inline(__always)
    private mutating func acceptsByte(_ byte: UInt8) -> Bool {
        guard missingByteCount == 0 else {
            guard byte >= nextMin, byte <= nextMax else { return false }
            nextMin = 0x80
            nextMax = 0xBF
            missingByteCount &-= 1
            return true
        }
        switch byte {
        case 0x00...0x7F: return true
        case 0xC2...0xDF: missingByteCount = 1
        case 0xE0...0xEF:
            missingByteCount = 2
            if byte == 0xE0 { nextMin = 0xA0 }
            if byte == 0xED { nextMax = 0x9F }
        case 0xF0...0xF4:
            missingByteCount = 3
            if byte == 0xF0 { nextMin = 0x90 }
            if byte == 0xF4 { nextMax = 0x8F }
        default: return false
        }
        return true
    }
}

// MARK: - Vector steps

extension UTF8Validator {
    private static var blockByteCount: Int { 32 }
    private static var highBits: UInt64 { 0x8080_8080_8080_8080 }

    /// The first position from `start` on that is near a byte above ASCII (at most 7 bytes before it), or `count`.
    @inline(__always)
    private static func asciiEnd(_ base: UnsafeRawPointer, from start: Int, count: Int) -> Int {
        var index = start
        // Safe: each load lies below `count`, the size of the buffer; the last one also above 0.
        while count &- index >= 64 {
            let low = unsafe base.loadUnaligned(fromByteOffset: index, as: SIMD4<UInt64>.self)
            let high = unsafe base.loadUnaligned(fromByteOffset: index &+ 32, as: SIMD4<UInt64>.self)
            guard hasOnlyASCII(low | high) else { break }
            index &+= 64
        }
        while count &- index >= 8 {
            let word = unsafe base.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            guard word & highBits == 0 else { return index }
            index &+= 8
        }
        if index < count, count >= 8 {
            // The last word overlaps what was checked, which costs less than single bytes.
            let word = unsafe base.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
            if word & highBits == 0 { return count }
        }
        return index
    }

    @inline(__always)
    private static func hasOnlyASCII(_ words: SIMD4<UInt64>) -> Bool {
        (words[0] | words[1] | words[2] | words[3]) & highBits == 0
    }

    /// Checks whole blocks from `start` on, where a character starts and at least three bytes precede.
    ///
    /// Returns the start of the first character that is not complete within the blocks, or nil if there is an error.
    private static func validBlocksEnd(_ base: UnsafeRawPointer, from start: Int, count: Int) -> Int? {
        var index = start
        while count &- index >= blockByteCount {
            // Safe: a block ends at or below `count`, and it looks back three bytes from `start`, which is 3 or more.
            let words = unsafe base.loadUnaligned(fromByteOffset: index, as: SIMD4<UInt64>.self)
            if hasOnlyASCII(words), unsafe incompleteByteCount(base, before: index) == 0 {
                index &+= blockByteCount
                continue
            }
            let errors = unsafe errors(base, at: index) | errors(base, at: index &+ 16)
            guard errors[0] | errors[1] == 0 else { return nil }
            index &+= blockByteCount
        }
        // Safe: as above.
        return unsafe index &- incompleteByteCount(base, before: index)
    }

    /// Bytes right before `index` that begin a character which continues there.
    @inline(__always)
    private static func incompleteByteCount(_ base: UnsafeRawPointer, before index: Int) -> Int {
        // Safe: the caller's index is 3 or more.
        if unsafe base.load(fromByteOffset: index &- 1, as: UInt8.self) >= 0xC0 { return 1 }
        if unsafe base.load(fromByteOffset: index &- 2, as: UInt8.self) >= 0xE0 { return 2 }
        if unsafe base.load(fromByteOffset: index &- 3, as: UInt8.self) >= 0xF0 { return 3 }
        return 0
    }

    /// Non-zero if one of the 16 bytes at `index` may not follow the three bytes before it.
    ///
    /// Vectors on both sides of each operator: with a scalar on one side the compiler falls back to generic code.
    @inline(__always)
    private static func errors(_ base: UnsafeRawPointer, at index: Int) -> SIMD2<UInt64> {
        // Safe: the caller has 16 bytes from `index` on and three before it.
        let byte = unsafe base.loadUnaligned(fromByteOffset: index, as: SIMD16<UInt8>.self)
        let before1 = unsafe base.loadUnaligned(fromByteOffset: index &- 1, as: SIMD16<UInt8>.self)
        let before2 = unsafe base.loadUnaligned(fromByteOffset: index &- 2, as: SIMD16<UInt8>.self)
        let before3 = unsafe base.loadUnaligned(fromByteOffset: index &- 3, as: SIMD16<UInt8>.self)
        // A byte continues a character exactly when one of the three before it began one that is long enough.
        let continues = (byte & all(0xC0)) .== all(0x80)
        let mustContinue = (before1 .>= all(0xC0)) .| (before2 .>= all(0xE0)) .| (before3 .>= all(0xF0))
        // Never valid: C0, C1 and F5 to FF.
        let neverValid = ((byte & all(0xFE)) .== all(0xC0)) .| (byte .>= all(0xF5))
        // Second bytes with a narrower range: overlong forms, surrogates, above U+10FFFF.
        let overlong3 = (before1 .== all(0xE0)) .& (byte .< all(0xA0))
        let surrogate = (before1 .== all(0xED)) .& (byte .> all(0x9F))
        let overlong4 = (before1 .== all(0xF0)) .& (byte .< all(0x90))
        let tooHigh = (before1 .== all(0xF4)) .& (byte .> all(0x8F))
        let wrong =
            (continues .^ mustContinue) .| neverValid .| (overlong3 .| surrogate) .| (overlong4 .| tooHigh)
        // Safe: a mask of 16 bytes is 16 plain bytes, each 0 or 0xFF.
        return unsafe unsafeBitCast(wrong, to: SIMD2<UInt64>.self)
    }

    @inline(__always)
    private static func all(_ byte: UInt8) -> SIMD16<UInt8> { SIMD16(repeating: byte) }
}
