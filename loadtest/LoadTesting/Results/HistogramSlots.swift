// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// The slots of a histogram that have counts, lowest first.
///
/// The library's own iterators add up counts times values and trap where the sum overflows; this walk does not.
package struct HistogramSlots {
    package let layout: Layout
    package let counts: [(index: Int, count: UInt64)]

    package init(_ histogram: NanosecondHistogram) {
        let layout = Layout(histogram)
        self.layout = layout
        var counts: [(index: Int, count: UInt64)] = []
        var seen: UInt64 = 0
        var index = histogram.totalCount == 0 ? 0 : layout.index(histogram.min)
        while seen < histogram.totalCount, index < layout.slotCount {
            let count = histogram.countForValue(layout.lowestValue(index))
            if count > 0 {
                counts.append((index, count))
                seen &+= count
            }
            index += 1
        }
        self.counts = counts
    }

    /// Of the middle values of all slots.
    package var mean: Double {
        var sum = 0.0
        var count = 0.0
        for slot in counts {
            let middle = Double(layout.lowestValue(slot.index)) + Double(layout.width(slot.index) / 2)
            sum += middle * Double(slot.count)
            count += Double(slot.count)
        }
        return count == 0 ? 0 : sum / count
    }

    /// Which values share a slot: the lowest bucket has 2ⁿ slots as wide as the unit, each further one has 2ⁿ⁻¹ slots
    /// twice as wide as the one before.
    package struct Layout: Sendable, Equatable {
        package let slotCount: Int
        private let unitMagnitude: Int
        private let halfMagnitude: Int

        package init(_ histogram: NanosecondHistogram) {
            unitMagnitude = Self.unitMagnitude(histogram.lowestDiscernibleValue)
            halfMagnitude = Self.halfMagnitude(digits: Int(histogram.numberOfSignificantValueDigits.rawValue))
            slotCount =
                HistogramSlots.slotCount(
                    lowest: histogram.lowestDiscernibleValue, highest: histogram.highestTrackableValue,
                    digits: Int(histogram.numberOfSignificantValueDigits.rawValue)) ?? 0
        }

        /// The lowest value of a slot.
        package func lowestValue(_ index: Int) -> UInt64 {
            let bucket = bucket(index)
            let offset = bucket == 0 ? index : index & (1 << halfMagnitude - 1) + 1 << halfMagnitude
            return UInt64(offset) << UInt64(bucket + unitMagnitude)
        }

        /// How many values it stands for.
        package func width(_ index: Int) -> UInt64 { 1 << UInt64(bucket(index) + unitMagnitude) }

        private func bucket(_ index: Int) -> Int { max(index >> halfMagnitude - 1, 0) }

        package func index(_ value: UInt64) -> Int {
            let units = value >> UInt64(unitMagnitude)
            let bucket = max(UInt64.bitWidth - units.leadingZeroBitCount - halfMagnitude - 1, 0)
            return bucket << halfMagnitude + Int(units >> UInt64(bucket))
        }

        fileprivate static func unitMagnitude(_ lowest: UInt64) -> Int { 63 - lowest.leadingZeroBitCount }

        /// The lowest bucket has a slot for each unit up to twice ten to the power of the digits.
        fileprivate static func halfMagnitude(digits: Int) -> Int {
            let unitCount = 2 * (0..<digits).reduce(1) { product, _ in product * 10 }
            return max(Int.bitWidth - (unitCount - 1).leadingZeroBitCount, 1) - 1
        }
    }

    /// Slots of a histogram with these limits; nil where there can be none.
    package static func slotCount(lowest: UInt64, highest: UInt64, digits: Int) -> Int? {
        guard lowest >= 1, (0...5).contains(digits) else { return nil }
        let unitMagnitude = Layout.unitMagnitude(lowest)
        let halfMagnitude = Layout.halfMagnitude(digits: digits)
        guard unitMagnitude + halfMagnitude <= 61 else { return nil }
        let units = highest >> UInt64(unitMagnitude)
        let bucketCount = 1 + max(UInt64.bitWidth - units.leadingZeroBitCount - halfMagnitude - 1, 0)
        return (bucketCount + 1) << halfMagnitude
    }
}
