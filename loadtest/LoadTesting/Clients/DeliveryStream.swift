// SPDX-License-Identifier: Apache-2.0

/// What has come of one publisher's messages. Pure.
///
/// A message that comes behind a later one is reordered if that is within `windowCount` messages; else it was counted
/// as lost already, and counts as a duplicate when it comes.
struct DeliveryStream {
    static let windowCount: UInt64 = 64
    /// Where the first message to come decides what is awaited.
    private static let anywhere = UInt64.max

    enum Arrival: Equatable {
        case inOrder
        /// A gap is filled.
        case reordered
        case duplicated
        /// It came so long after others that they are lost: so many.
        case behindLost(Int)
    }

    /// Every message below it has come, or is lost.
    private(set) var next: UInt64
    /// Bit `n`: message `next + n` has come. Bit 0 is clear.
    private var window: UInt64 = 0
    /// How many there are in all, where a publisher in another worker said so.
    var announcedCount: UInt64?

    /// `isFromStart`: the subscriber was there before the first message.
    init(isFromStart: Bool) { next = isFromStart ? 0 : Self.anywhere }

    @inline(__always)
    mutating func note(_ sequence: UInt64) -> Arrival {
        if sequence == next, window == 0 {
            next &+= 1
            return .inOrder
        }
        return noteOutOfOrder(sequence)
    }

    @inline(never)
    private mutating func noteOutOfOrder(_ sequence: UInt64) -> Arrival {
        if next == Self.anywhere {
            next = sequence + 1
            return .inOrder
        }
        guard sequence >= next else { return .duplicated }
        var lostCount = 0
        if sequence - next >= Self.windowCount { lostCount = slide(to: sequence - (Self.windowCount - 1)) }
        let bit = UInt64(1) << (sequence - next)
        if window & bit != 0 { return .duplicated }
        let hasLater = window > bit
        window |= bit
        settle()
        if lostCount > 0 { return .behindLost(lostCount) }
        return hasLater ? .reordered : .inOrder
    }

    /// Gives up what is below `start`. Returns how many are lost.
    private mutating func slide(to start: UInt64) -> Int {
        let distance = start - next
        let passed = distance >= Self.windowCount ? window : window & (UInt64(1) << distance &- 1)
        window = distance >= Self.windowCount ? 0 : window >> distance
        next = start
        return Int(distance) - passed.nonzeroBitCount
    }

    /// Moves past what has come.
    private mutating func settle() {
        let count = (~window).trailingZeroBitCount
        window = count >= UInt64.bitWidth ? 0 : window >> UInt64(count)
        next += UInt64(count)
    }

    func hasCome(_ sequence: UInt64) -> Bool {
        guard next != Self.anywhere, sequence >= next else { return true }
        return sequence - next < Self.windowCount && window & (UInt64(1) << (sequence - next)) != 0
    }

    /// Messages that have not come, of those before the last that has.
    var gapCount: Int {
        window == 0 ? 0 : UInt64.bitWidth - window.leadingZeroBitCount - window.nonzeroBitCount
    }

    /// Of `count` messages in all, those that have neither come nor been counted as lost.
    func missingCount(of count: UInt64) -> Int {
        next == Self.anywhere ? 0 : max(Int(count) - Int(next) - window.nonzeroBitCount, 0)
    }
}
