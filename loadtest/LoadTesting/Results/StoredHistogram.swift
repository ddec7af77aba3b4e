// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// A histogram as HdrHistogram encodes it, with the extremes that the encoding does not keep: some hundred times
/// smaller than its slots, and without loss.
struct PackedHistogram: Sendable {
    let totalCount: UInt64
    let extremes: ClosedRange<UInt64>
    let bytes: [UInt8]

    /// Slots beyond the largest value are left out.
    init(_ histogram: NanosecondHistogram) {
        totalCount = histogram.totalCount
        extremes = histogram.min...max(histogram.min, histogram.maxRecorded)
        bytes = HistogramCodec.encode(Self.cut(histogram))
    }

    /// Throws where the bytes are no histogram with these extremes.
    init(bytes: [UInt8], extremes: ClosedRange<UInt64>) throws(HistogramCodecError) {
        let histogram = try HistogramCodec.decode(bytes, extremes: extremes)
        totalCount = histogram.totalCount
        self.extremes = extremes
        self.bytes = bytes
    }

    var histogram: NanosecondHistogram {
        do throws(HistogramCodecError) {
            var histogram = try HistogramCodec.decode(bytes, extremes: extremes)
            // Larger values may be added.
            histogram.autoResize = true
            return histogram
        } catch {
            preconditionFailure("PackedHistogram: what was packed cannot be unpacked: \(error)")
        }
    }

    private static func cut(_ histogram: NanosecondHistogram) -> NanosecondHistogram {
        var result = sized(for: histogram.maxRecorded)
        result.add(histogram)
        return result
    }

    static func sized(for value: UInt64) -> NanosecondHistogram {
        var result = NanosecondHistogram(
            highestTrackableValue: max(value, 2), numberOfSignificantValueDigits: .three)
        result.autoResize = true
        return result
    }
}

/// A histogram that is written to, or that is kept packed.
struct StoredHistogram: Sendable {
    /// Without values where there is a packed one.
    private var open = Distributions.empty()
    private(set) var packed: PackedHistogram?

    init() {}
    init(packed: PackedHistogram) { self.packed = packed }

    var totalCount: UInt64 { packed?.totalCount ?? open.totalCount }

    var histogram: NanosecondHistogram {
        @inline(__always) get { packed?.histogram ?? open }
        @inline(__always) _modify {
            if packed != nil { unpack() }
            yield &open
        }
    }

    @inline(never)
    private mutating func unpack() {
        open = histogram
        packed = nil
    }

    /// Makes it as small as it gets. One that is written to again is unpacked first.
    mutating func pack() {
        // What the codec's reader refuses, as its sums do not fit, stays as it is.
        guard packed == nil, open.totalCount > 0, HistogramCodec.isReadable(open) else { return }
        packed = PackedHistogram(open)
        open = Distributions.empty()
    }

    /// Adds `other` and packs the sum.
    mutating func merge(_ other: Self) {
        guard other.totalCount > 0 else { return pack() }
        if totalCount == 0 {
            self = other
        } else {
            let (mine, others) = (histogram, other.histogram)
            var sum = PackedHistogram.sized(for: max(mine.maxRecorded, others.maxRecorded))
            sum.add(mine)
            sum.add(others)
            packed = nil
            open = sum
        }
        pack()
    }
}

extension Distributions {
    /// Makes each histogram as small as it gets.
    mutating func pack() {
        for (_, path) in Self.stored { self[keyPath: path].pack() }
    }

    /// Adds `other`, and packs the sums.
    mutating func merge(_ other: Distributions) {
        for (_, path) in Self.stored { self[keyPath: path].merge(other[keyPath: path]) }
    }
}
