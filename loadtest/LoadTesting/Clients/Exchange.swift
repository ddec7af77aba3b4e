// SPDX-License-Identifier: Apache-2.0

internal import Roost
internal import RoostWebSocket

/// The messages of one connection that an echo server is to answer: sends them, and judges what comes back.
struct Exchange {
    private static let numberMask: UInt64 = 1 << 48 - 1

    private let share: ClientShare
    private let isText: Bool
    private var sizes: SizeSampler
    /// A ring, its size a power of two: message `n` at `n` modulo the size.
    private var flights: [Flight] = []
    private let firstNumber: UInt64
    private var nextNumber: UInt64
    /// Of the oldest message that is unanswered.
    private var awaitedNumber: UInt64
    /// Behind the oldest that is unanswered, those that are not.
    private var earlyCount = 0
    /// Behind the newest message that was answered before its turn.
    private var earlyEnd: UInt64

    private struct Flight {
        /// When it was sent, or meant to be: nanoseconds of the monotonic clock.
        var start: UInt64
        var byteCount: UInt32
        var isAnswered: Bool
    }

    /// What a message is that is not the answer to the oldest message.
    enum Verdict: Equatable {
        /// The answer to a message that left at `start`; those to earlier ones have not come.
        case early(start: UInt64)
        /// As it should be, but that to a later message came before it.
        case late(start: UInt64)
        case duplicate
        /// What is wrong with it.
        case wrong(String)
    }

    init(_ share: ClientShare, _ seat: Seat, size: SizeDistribution, isText: Bool) {
        self.share = share
        self.isText = isText
        sizes = SizeSampler(size, seed: UInt64(seat.client))
        // Room for 16 million messages before two connections use the same numbers.
        firstNumber = UInt64(seat.client &* 31 &+ seat.attempt) << 24
        nextNumber = firstNumber
        awaitedNumber = firstNumber
        earlyEnd = firstNumber
    }

    /// Messages that are unanswered.
    var unansweredCount: Int { windowCount - earlyCount }
    /// From the oldest message that is unanswered to the newest: what memory is used for.
    var windowCount: Int { Int(nextNumber &- awaitedNumber) }

    /// Sends the next message, whose latency counts from `start`. False when the connection does not take it.
    @inline(__always)
    mutating func send(countedFrom start: UInt64, _ connection: borrowing Connection<ClientCommand>) -> Bool {
        guard let byteCount = queue(connection) else { return false }
        if windowCount == flights.count { grow() }
        flights[slot(nextNumber)] = Flight(start: start, byteCount: UInt32(byteCount), isAnswered: false)
        nextNumber &+= 1
        return true
    }

    /// Sends a message that nobody answers. False when the connection does not take it.
    mutating func sendOnly(_ connection: borrowing Connection<ClientCommand>) -> Bool {
        guard queue(connection) != nil else { return false }
        nextNumber &+= 1
        awaitedNumber = nextNumber
        return true
    }

    /// Returns the message's size.
    @inline(__always)
    private mutating func queue(_ connection: borrowing Connection<ClientCommand>) -> Int? {
        let byteCount = sizes.next()
        let number = nextNumber
        let isText = isText
        // Safe: the share, which the client has, keeps the pattern for as long as it lives; counting references would
        // cost for each message.
        let isQueued = unsafe Unmanaged.passUnretained(share.pattern)._withUnsafeGuaranteedRef { pattern in
            unsafe pattern.withMessage(number, byteCount: byteCount) { bytes in
                // Safe: the bytes are lent for the call, which copies them; they are ASCII.
                isText
                    ? unsafe connection.send(UTF8Span(unchecked: Span(_unsafeBytes: bytes)))
                    : unsafe connection.send(binary: RawSpan(_unsafeBytes: bytes))
            }
        }
        guard isQueued else { return nil }
        share.noteSent(byteCount: byteCount)
        return byteCount
    }

    /// A message came. When the oldest unanswered message left, if this is the answer to it; nil: see `judge`.
    @inline(__always)
    mutating func takeAnswer(_ bytes: UnsafeRawBufferPointer, isText: Bool) -> UInt64? {
        guard isText == self.isText, awaitedNumber != nextNumber else { return nil }
        let flight = flights[slot(awaitedNumber)]
        // With answers before their turn this one is late, which `judge` tells.
        guard earlyCount == 0,
            unsafe share.pattern.matches(bytes, awaitedNumber, byteCount: Int(flight.byteCount))
        else { return nil }
        awaitedNumber &+= 1
        return flight.start
    }

    /// What a message is that `takeAnswer` did not take.
    mutating func judge(_ bytes: UnsafeRawBufferPointer, isText: Bool) -> Verdict {
        guard let number = unsafe MessagePattern.number(of: bytes) else { return wronglyAnswered(bytes.count) }
        let distance = number &- awaitedNumber & Self.numberMask
        if distance < UInt64(windowCount) {
            let place = awaitedNumber &+ distance
            let flight = flights[slot(place)]
            if flight.isAnswered { return .duplicate }
            let isRight =
                unsafe isText == self.isText
                && share.pattern.matches(bytes, place, byteCount: Int(flight.byteCount))
            guard isRight else {
                let text = complaint(bytes.count, place)
                answered(place)
                return .wrong(text)
            }
            answered(place)
            return place < earlyEnd &- 1 ? .late(start: flight.start) : .early(start: flight.start)
        }
        let behind = awaitedNumber &- number & Self.numberMask
        if behind <= awaitedNumber &- firstNumber { return .duplicate }
        return wronglyAnswered(bytes.count)
    }

    /// The oldest message is given up. When it left; nil: none is unanswered.
    mutating func giveUpOldest() -> UInt64? {
        guard windowCount > 0 else { return nil }
        let start = flights[slot(awaitedNumber)].start
        answered(awaitedNumber)
        return start
    }

    /// What is wrong with a message of `byteCount` bytes where the answer to the oldest message was awaited.
    func complaint(_ byteCount: Int) -> String { complaint(byteCount, awaitedNumber) }

    private func complaint(_ byteCount: Int, _ number: UInt64) -> String {
        let what: String
        if windowCount == 0 {
            what = "a message of \(byteCount) bytes came that nobody sent"
        } else if flights[slot(number)].byteCount != byteCount {
            what = "an answer has \(byteCount) bytes instead of \(flights[slot(number)].byteCount)"
        } else {
            what = "an answer is not what was sent: other bytes, another kind of message, or out of order"
        }
        return what + "; check that the URL is one of an echo server"
    }

    /// A message that does not say whose answer it is counts as that to the oldest message.
    private mutating func wronglyAnswered(_ byteCount: Int) -> Verdict {
        let text = complaint(byteCount)
        if windowCount > 0 { answered(awaitedNumber) }
        return .wrong(text)
    }

    private mutating func answered(_ number: UInt64) {
        flights[slot(number)].isAnswered = true
        guard number == awaitedNumber else {
            earlyCount += 1
            earlyEnd = max(earlyEnd, number &+ 1)
            return
        }
        awaitedNumber &+= 1
        while earlyCount > 0, awaitedNumber != nextNumber, flights[slot(awaitedNumber)].isAnswered {
            awaitedNumber &+= 1
            earlyCount -= 1
        }
    }

    private mutating func grow() {
        let old = flights
        let size = max(2 * old.count, 1)
        flights = Array(repeating: Flight(start: 0, byteCount: 0, isAnswered: false), count: size)
        var number = awaitedNumber
        while number != nextNumber {
            flights[slot(number)] = old[Int(number & UInt64(old.count - 1))]
            number &+= 1
        }
    }

    @inline(__always)
    private func slot(_ number: UInt64) -> Int { Int(number & UInt64(flights.count &- 1)) }
}
