// SPDX-License-Identifier: Apache-2.0

internal import CZlib
internal import FoundationEssentials
internal import Histogram

/// Histograms as HdrHistogram's tools in every language write and read them: the compressed "V2" encoding.
///
/// A header of two numbers and a zlib stream, in which there are a header of the histogram's limits and, as ZigZag
/// LEB128 numbers, the counts of its slots from the lowest on; a negative number stands for that many empty slots.
/// All other numbers are big-endian. The encoding keeps values as exact as slots are, and so do the lowest and the
/// highest value once it is decoded.
package enum HistogramCodec {
    private static let compressedCookie: UInt32 = 0x1c84_9304
    private static let payloadCookie: UInt32 = 0x1c84_9303
    /// Where a cookie tells the width of counts: 1 stands for LEB128.
    private static let widthMask: UInt32 = 0xf0
    private static let variableWidth: UInt32 = 0x10
    private static let outerByteCount = 8
    private static let headerByteCount = 40
    /// An LEB128 number takes no more: the ninth byte has eight bits of it.
    private static let numberByteCountMax = 9
    /// 8 MiB of counts. Three digits over all values take 55,296 slots, four up to an hour in nanoseconds 475,136.
    private static let slotCountMax = 1 << 20
    /// Of the encoded histogram, that no bytes may exceed; deflate does not make numbers much longer.
    private static let byteCountMax = slotCountMax * numberByteCountMax * 2

    // MARK: Encoding

    package static func base64(_ histogram: NanosecondHistogram) -> String { base64(encode(histogram)) }

    static func base64(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }

    package static func encode(_ histogram: NanosecondHistogram) -> [UInt8] {
        let counts = encodedCounts(histogram)
        var payload: [UInt8] = []
        payload.reserveCapacity(headerByteCount + counts.count)
        append(payloadCookie | variableWidth, to: &payload)
        append(UInt32(counts.count), to: &payload)
        append(UInt32(0), to: &payload)  // slots are not shifted
        append(UInt32(histogram.numberOfSignificantValueDigits.rawValue), to: &payload)
        append(histogram.lowestDiscernibleValue, to: &payload)
        append(histogram.highestTrackableValue, to: &payload)
        append((1.0).bitPattern, to: &payload)  // values are not scaled
        payload += counts
        let compressed = deflated(payload)
        var result: [UInt8] = []
        result.reserveCapacity(outerByteCount + compressed.count)
        append(compressedCookie | variableWidth, to: &result)
        append(UInt32(compressed.count), to: &result)
        return result + compressed
    }

    /// Whether `decode` takes what `encode` makes of it: sums of counts times values have to fit. They do where all
    /// values are as large as the largest.
    static func isReadable(_ histogram: NanosecondHistogram) -> Bool {
        let largest = histogram.highestEquivalentForValue(histogram.maxRecorded)
        return histogram.totalCount <= UInt64(Int64.max)
            && !largest.multipliedReportingOverflow(by: histogram.totalCount).overflow
    }

    private static func encodedCounts(_ histogram: NanosecondHistogram) -> [UInt8] {
        var result: [UInt8] = []
        var next = 0
        let slots = HistogramSlots(histogram)
        for (index, count) in slots.counts {
            appendEmpty(index - next, to: &result)
            appendNumber(Int64(clamping: count), to: &result)
            next = index + 1
        }
        // Where there is nothing, the slot of zero is told to be empty, as Java's encoder does.
        if next == 0 { appendNumber(0, to: &result) }
        return result
    }

    private static func appendEmpty(_ slotCount: Int, to bytes: inout [UInt8]) {
        if slotCount > 0 { appendNumber(slotCount == 1 ? 0 : -Int64(slotCount), to: &bytes) }
    }

    /// ZigZag, then LEB128 of at most nine bytes.
    private static func appendNumber(_ value: Int64, to bytes: inout [UInt8]) {
        var rest = UInt64(bitPattern: (value << 1) ^ (value >> 63))
        for _ in 1..<numberByteCountMax {
            guard rest > 0x7f else { return bytes.append(UInt8(rest)) }
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    private static func append<Number: FixedWidthInteger>(_ value: Number, to bytes: inout [UInt8]) {
        for shift in stride(from: Number.bitWidth - 8, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    private static func deflated(_ bytes: [UInt8]) -> [UInt8] {
        var byteCount = compressBound(uLong(bytes.count))
        var result = [UInt8](repeating: 0, count: Int(byteCount))
        // Safe: zlib reads and writes the arrays' own bytes, with their counts.
        let code = unsafe compress2(&result, &byteCount, bytes, uLong(bytes.count), Z_DEFAULT_COMPRESSION)
        // The room is what zlib asks for, so only memory can be missing.
        precondition(code == Z_OK, "HistogramCodec: zlib cannot compress: code \(code); is there memory left?")
        result.removeSubrange(Int(byteCount)...)
        return result
    }

    // MARK: Decoding

    /// `extremes`: the exact lowest and highest value where they are known; else they are as exact as slots.
    package static func decode(
        base64: String, extremes: ClosedRange<UInt64>? = nil
    ) throws(HistogramCodecError) -> NanosecondHistogram {
        try decode(bytes(base64: base64), extremes: extremes)
    }

    static func bytes(base64: String) throws(HistogramCodecError) -> [UInt8] {
        guard base64.utf8.count <= byteCountMax else { throw .tooLong(byteCount: base64.utf8.count) }
        guard let data = Data(base64Encoded: base64) else { throw .notBase64 }
        return Array(data)
    }

    /// Takes at most some 30 MB of memory, whatever the bytes are.
    package static func decode(
        _ bytes: [UInt8], extremes: ClosedRange<UInt64>? = nil
    ) throws(HistogramCodecError) -> NanosecondHistogram {
        guard bytes.count <= byteCountMax else { throw .tooLong(byteCount: bytes.count) }
        guard bytes.count > outerByteCount else { throw .tooShort(byteCount: bytes.count) }
        try check(number(bytes, at: 0), is: compressedCookie)
        let length: UInt32 = number(bytes, at: 4)
        guard Int(length) == bytes.count - outerByteCount else {
            throw .wrongLength(told: Int(length), found: bytes.count - outerByteCount)
        }
        let compressed = Array(bytes[outerByteCount...])
        let header = try inflated(compressed, byteCount: headerByteCount, isWhole: false)
        try check(number(header, at: 0), is: payloadCookie)
        let countsByteCount = Int(number(header, at: 4) as UInt32)
        var histogram = try emptyHistogram(header)
        guard countsByteCount <= slotCountMax * numberByteCountMax else { throw .tooLong(byteCount: countsByteCount) }
        let payload = try inflated(compressed, byteCount: headerByteCount + countsByteCount, isWhole: true)
        try addCounts(payload[headerByteCount...], extremes, to: &histogram)
        return histogram
    }

    private static func check(_ cookie: UInt32, is expected: UInt32) throws(HistogramCodecError) {
        guard cookie & ~widthMask == expected, cookie & widthMask == variableWidth else { throw .wrongCookie(cookie) }
    }

    /// Of the limits that the header tells.
    private static func emptyHistogram(_ header: [UInt8]) throws(HistogramCodecError) -> NanosecondHistogram {
        let offset: UInt32 = number(header, at: 8)
        let ratio = Double(bitPattern: number(header, at: 32))
        guard offset == 0, ratio == 1 else { throw .isShifted }
        let digits: UInt32 = number(header, at: 12)
        let lowest: UInt64 = number(header, at: 16)
        let highest: UInt64 = number(header, at: 24)
        // The library finds a unit's power of two with floating point, which is right up to this one.
        guard digits <= 5, let precision = SignificantDigits(rawValue: Int8(digits)), (1...1 << 40).contains(lowest),
            highest <= Int64.max, lowest <= highest / 2,
            let slotCount = HistogramSlots.slotCount(lowest: lowest, highest: highest, digits: Int(digits)),
            slotCount <= slotCountMax
        else { throw .badLimits(lowest: lowest, highest: highest, digits: digits) }
        return NanosecondHistogram(
            lowestDiscernibleValue: lowest, highestTrackableValue: highest, numberOfSignificantValueDigits: precision)
    }

    private static func addCounts(
        _ bytes: ArraySlice<UInt8>, _ extremes: ClosedRange<UInt64>?, to histogram: inout NanosecondHistogram
    ) throws(HistogramCodecError) {
        let layout = HistogramSlots.Layout(histogram)
        var rest = bytes
        var slot = 0
        var sum: UInt64 = 0
        var lastSlot: Int?
        while !rest.isEmpty {
            let number = try takeNumber(&rest)
            guard number > 0 else {
                // One empty slot is told as 0.
                let skipped = max(number.magnitude, 1)
                guard skipped <= UInt64(layout.slotCount - slot) else { throw .tooManySlots(layout.slotCount) }
                slot += Int(skipped)
                continue
            }
            guard slot < layout.slotCount else { throw .tooManySlots(layout.slotCount) }
            let value = layout.lowestValue(slot)
            // The library adds up counts times values, and traps where they overflow.
            let (product, isOver) = histogram.highestEquivalentForValue(value)
                .multipliedReportingOverflow(by: UInt64(number))
            let (total, isTotalOver) = sum.addingReportingOverflow(product)
            guard !isOver, !isTotalOver, UInt64(number) <= UInt64(Int64.max) - histogram.totalCount else {
                throw .countTooLarge(number)
            }
            sum = total
            let lowest = lastSlot == nil ? extremes?.lowerBound : nil
            if let lowest, layout.index(lowest) != slot { throw .wrongExtremes }
            histogram.record(lowest ?? value, count: UInt64(number))
            lastSlot = slot
            slot += 1
        }
        guard let lastSlot else { return }
        // As in other languages, the greatest value is the last one that its slot stands for.
        let highest = extremes?.upperBound ?? histogram.highestEquivalentForValue(layout.lowestValue(lastSlot))
        guard layout.index(highest) == lastSlot else { throw .wrongExtremes }
        histogram.record(highest, count: 0)
    }

    private static func takeNumber(_ bytes: inout ArraySlice<UInt8>) throws(HistogramCodecError) -> Int64 {
        var value: UInt64 = 0
        for index in 0..<numberByteCountMax {
            guard let byte = bytes.popFirst() else { throw .endsInNumber }
            let isLast = index == numberByteCountMax - 1
            value |= UInt64(isLast ? byte : byte & 0x7f) << UInt64(7 * index)
            if byte < 0x80 { break }
        }
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    private static func number<Number: FixedWidthInteger>(_ bytes: [UInt8], at offset: Int) -> Number {
        bytes[offset..<offset + Number.bitWidth / 8].reduce(0) { $0 << 8 | Number($1) }
    }

    /// The first bytes of what was deflated, or all of it, which must have that many.
    private static func inflated(
        _ bytes: [UInt8], byteCount: Int, isWhole: Bool
    ) throws(HistogramCodecError) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: byteCount)
        var outputByteCount = uLong(byteCount)
        var inputByteCount = uLong(bytes.count)
        // Safe: zlib reads and writes the arrays' own bytes, with their counts.
        let code = unsafe uncompress2(&result, &outputByteCount, bytes, &inputByteCount)
        let isComplete = code == Z_OK && Int(inputByteCount) == bytes.count
        guard Int(outputByteCount) == byteCount, isWhole ? isComplete : code == Z_OK || code == Z_BUF_ERROR else {
            throw .notDeflated
        }
        return result
    }
}

/// Why bytes are no histogram that can be read.
package enum HistogramCodecError: Error, Equatable, CustomStringConvertible {
    case notBase64
    case tooShort(byteCount: Int)
    case tooLong(byteCount: Int)
    case wrongCookie(UInt32)
    case wrongLength(told: Int, found: Int)
    case notDeflated
    case isShifted
    case badLimits(lowest: UInt64, highest: UInt64, digits: UInt32)
    case endsInNumber
    case tooManySlots(Int)
    case countTooLarge(Int64)
    case wrongExtremes

    package var description: String {
        switch self {
        case .notBase64: "the histogram is not base64"
        case .tooShort(let byteCount): "the histogram ends after \(byteCount) bytes, within its header"
        case .tooLong(let byteCount): "the histogram has \(byteCount) bytes, more than one can need"
        case .wrongCookie(let cookie):
            "the histogram is of kind 0x\(String(cookie, radix: 16)); only HdrHistogram's compressed V2 is read"
        case .wrongLength(let told, let found):
            "the histogram should have \(told) bytes behind its header; it has \(found)"
        case .notDeflated: "the histogram's compressed part is damaged, or not as long as its header says"
        case .isShifted: "the histogram's values are shifted or scaled, which is not read"
        case .badLimits(let lowest, let highest, let digits):
            "no histogram goes from \(lowest) to \(highest) with \(digits) digits, or it would take too much memory"
        case .endsInNumber: "the histogram's counts end within a number"
        case .tooManySlots(let count): "the histogram has counts beyond its last slot, \(count)"
        case .wrongExtremes: "the histogram's lowest and highest value are not those that are told beside it"
        case .countTooLarge(let count): "the histogram's counts are too large to add up: \(count)"
        }
    }
}
