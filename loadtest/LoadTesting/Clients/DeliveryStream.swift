// SPDX-License-Identifier: Apache-2.0

/// What has come of one publisher's messages. Pure.
///
/// A message that comes behind a later one is reordered. Past `windowCount` messages it is counted as lost until it
/// comes. It is forgotten, and a duplicate when it comes, once one `GivenUpMessages.countMax` messages later is lost.
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
        /// Reordered, and lost until now.
        case afterLoss
    }

    /// Every message below it has come, or is lost.
    private(set) var next: UInt64
    /// Bit `n`: message `next + n` has come. Bit 0 is clear.
    private var window: UInt64 = 0
    /// Those that are lost, and may come yet.
    private var givenUp = GivenUpMessages()
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
        guard sequence >= next else { return givenUp.take(sequence) ? .afterLoss : .duplicated }
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
        givenUp.add(next..<start, without: window)
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

    /// It has come, or is lost.
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

/// Which of the last messages of a stream were given up. It takes memory once one was.
struct GivenUpMessages {
    /// Of a stream that are remembered: half a kilobyte.
    static let countMax: UInt64 = 4_096

    /// A ring: message `n` at bit `n` modulo the size; set while it is given up.
    private var words: [UInt64] = []
    /// Behind the last message that the ring knows of.
    private var end: UInt64 = 0

    /// The messages are given up, but those of the first 64 whose bit is set in `come`; all before them that the ring
    /// does not know have come.
    mutating func add(_ range: Range<UInt64>, without come: UInt64) {
        if words.isEmpty {
            words = Array(repeating: 0, count: Int(Self.countMax / 64))
            end = range.lowerBound
        }
        let first = range.upperBound - min(range.upperBound, Self.countMax)
        for sequence in max(end, first)..<max(range.lowerBound, end, first) { set(sequence, false) }
        for sequence in max(range.lowerBound, first)..<range.upperBound {
            let offset = sequence - range.lowerBound
            set(sequence, offset >= UInt64.bitWidth || come & (UInt64(1) << offset) == 0)
        }
        end = range.upperBound
    }

    /// Whether the message was given up; it is no longer.
    mutating func take(_ sequence: UInt64) -> Bool {
        guard !words.isEmpty, sequence < end, end - sequence <= Self.countMax else { return false }
        let (word, bit) = Self.place(sequence)
        guard words[word] & bit != 0 else { return false }
        words[word] &= ~bit
        return true
    }

    private mutating func set(_ sequence: UInt64, _ isGivenUp: Bool) {
        let (word, bit) = Self.place(sequence)
        if isGivenUp { words[word] |= bit } else { words[word] &= ~bit }
    }

    private static func place(_ sequence: UInt64) -> (word: Int, bit: UInt64) {
        (Int(sequence % countMax / 64), UInt64(1) << (sequence % 64))
    }
}
