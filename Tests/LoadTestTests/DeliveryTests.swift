// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import LoadTesting

@Suite struct DeliveryStreamTests {
    private struct Outcome: Equatable {
        var inOrder = 0
        var reordered = 0
        var duplicated = 0
        var lost = 0
    }

    /// What comes of the messages in that order, of `count` in all.
    private func outcome(_ sequences: [UInt64], of count: UInt64, isFromStart: Bool = true) -> Outcome {
        var stream = DeliveryStream(isFromStart: isFromStart)
        var outcome = Outcome()
        for sequence in sequences {
            switch stream.note(sequence) {
            case .inOrder: outcome.inOrder += 1
            case .reordered: outcome.reordered += 1
            case .duplicated: outcome.duplicated += 1
            case .afterLoss:
                outcome.reordered += 1
                outcome.lost -= 1
            case .behindLost(let lost):
                outcome.inOrder += 1
                outcome.lost += lost
            }
        }
        outcome.lost += stream.missingCount(of: count)
        return outcome
    }

    @Test(
        "a stream says what was lost, doubled and out of order",
        arguments: [
            ([0, 1, 2, 3], 4, 4, 0, 0, 0),
            ([0, 2, 3], 4, 3, 0, 0, 1),
            ([1, 2, 3], 4, 3, 0, 0, 1),
            ([0, 1, 2], 4, 3, 0, 0, 1),
            ([], 4, 0, 0, 0, 4),
            ([0, 2, 1, 3], 4, 3, 1, 0, 0),
            ([3, 2, 1, 0], 4, 1, 3, 0, 0),
            ([0, 1, 1, 2, 3], 4, 4, 0, 1, 0),
            ([0, 2, 2, 1, 3], 4, 3, 1, 1, 0),
            ([0, 3, 0], 4, 2, 0, 1, 2),
        ] as [([UInt64], UInt64, Int, Int, Int, Int)])
    func small(sequences: [UInt64], count: UInt64, inOrder: Int, reordered: Int, duplicated: Int, lost: Int) {
        #expect(
            outcome(sequences, of: count)
                == Outcome(inOrder: inOrder, reordered: reordered, duplicated: duplicated, lost: lost))
    }

    @Test(
        "a message that comes behind others is reordered, however many they are",
        arguments: [1, 62, 63, 64, 65, 127, 128, 1_000, 5_000])
    func late(distance: UInt64) {
        let later = Array(1...distance)
        #expect(
            outcome(later + [0, 0], of: distance + 1)
                == Outcome(inOrder: later.count, reordered: 1, duplicated: 1))
    }

    @Test(
        "a lost message is forgotten once one so much later is lost that memory would not be bounded",
        arguments: [64, 4_094, 4_095, 4_096, 9_000, 1_000_000])
    func forgotten(second: UInt64) {
        let isKnown = second < GivenUpMessages.countMax
        let between = Array(1..<second)
        let result = outcome(between + Array(second + 1...second + 64) + [0, second], of: second + 65)
        #expect(
            result
                == Outcome(
                    inOrder: between.count + 64, reordered: isKnown ? 2 : 1, duplicated: isKnown ? 0 : 1,
                    lost: isKnown ? 0 : 1))
    }

    @Test("until it comes, a message that the window has passed is lost")
    func lostUntilItComes() {
        #expect(outcome(Array(1...64), of: 65).lost == 1)
        #expect(outcome(Array(1...64) + [0], of: 65) == Outcome(inOrder: 64, reordered: 1))
    }

    @Test("blocks that change places are reordered, and nothing of them lost or doubled", arguments: [63, 64, 500])
    func blocks(size: UInt64) {
        let sequences = Array(size..<2 * size) + Array(0..<size) + Array(2 * size..<3 * size)
        // The first of the early block was awaited in its place until the window passed it.
        #expect(outcome(sequences, of: 3 * size) == Outcome(inOrder: Int(2 * size), reordered: Int(size)))
    }

    @Test("far out of order, doubled and lost: counts agree with a plain count", arguments: UInt64(1)...20)
    func farOut(seed: UInt64) {
        var random = SplitMix(state: seed)
        let count: UInt64 = 6_000
        var sequences = Array(0..<count).filter { _ in UInt8.random(in: 0..<20, using: &random) > 0 }
        // Each is delayed by up to 1,500 messages, some are not.
        let places = sequences.map { sequence in
            (Int(sequence) + (Bool.random(using: &random) ? Int.random(in: 0..<1_500, using: &random) : 0), sequence)
        }
        sequences = places.sorted { $0 < $1 }.map(\.1)
        var doubled = 0
        for index in stride(from: 100, to: sequences.count, by: 97) {
            sequences.insert(sequences[index - Int.random(in: 1..<100, using: &random)], at: index)
            doubled += 1
        }
        let result = outcome(sequences, of: count)
        #expect(result.duplicated == doubled, "seed \(seed)")
        #expect(result.lost == Int(count) - (sequences.count - doubled), "seed \(seed)")
        var most = -1
        var seen = Set<UInt64>()
        let behind = sequences.count { sequence in
            defer { most = max(most, Int(sequence)) }
            return seen.insert(sequence).inserted && Int(sequence) < most
        }
        #expect(result.reordered == behind, "seed \(seed)")
    }

    @Test("a jump past the window counts all that it passes but what had come", arguments: [64, 65, 128, 1_000_000])
    func jump(to sequence: UInt64) {
        // 0 and 2 have come, `sequence` does; then nothing.
        #expect(outcome([0, 2, sequence], of: sequence + 1).lost == Int(sequence) + 1 - 3)
    }

    @Test("who joins later awaits nothing earlier")
    func later() {
        #expect(outcome([70, 71, 73], of: 75, isFromStart: false) == Outcome(inOrder: 3, lost: 2))
        #expect(outcome([], of: 75, isFromStart: false).lost == 0)
    }

    @Test("whatever the order, counts add up and agree with a plain count")
    func random() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SplitMix(state: seed)
        for _ in 0..<500 {
            let count = UInt64.random(in: 1...300, using: &random)
            var sequences = Array(0..<count).filter { _ in UInt8.random(in: 0..<10, using: &random) > 0 }
            for index in sequences.indices.dropLast() where UInt8.random(in: 0..<5, using: &random) == 0 {
                sequences.swapAt(index, index + 1)
            }
            let doubled = sequences.filter { _ in UInt8.random(in: 0..<8, using: &random) == 0 }
            let result = outcome(sequences + doubled, of: count)
            #expect(result.duplicated == doubled.count, "seed \(seed)")
            #expect(result.lost == Int(count) - sequences.count, "seed \(seed)")
            #expect(result.inOrder + result.reordered == sequences.count, "seed \(seed)")
            var most = -1
            let behind = sequences.count { sequence in
                defer { most = max(most, Int(sequence)) }
                return Int(sequence) < most
            }
            #expect(result.reordered == behind, "seed \(seed)")
        }
    }
}

@Suite struct DeliveryStampTests {
    private func bytes(_ stamp: DeliveryStamp) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: DeliveryStamp.byteCount)
        // Safe: the array has a stamp's size.
        unsafe bytes.withUnsafeMutableBytes { unsafe stamp.write(to: $0.baseAddress!) }
        return bytes
    }

    private func read(_ bytes: [UInt8]) -> DeliveryStamp? {
        // Safe: the array has a stamp's size.
        unsafe bytes.withUnsafeBytes { unsafe DeliveryStamp(reading: $0.baseAddress!) }
    }

    private static let stamps = [
        DeliveryStamp(publisher: 0, sequence: 0, time: 0),
        DeliveryStamp(publisher: (1 << 31) - 1, sequence: (1 << 48) - 1, time: .max, isLast: true),
        DeliveryStamp(publisher: 77, sequence: 0x1234_5678_9ABC, time: 0xFEDC_BA98_7654_3210),
    ]

    @Test("a stamp is letters, and read as it was written", arguments: stamps)
    func roundTrip(stamp: DeliveryStamp) {
        let written = bytes(stamp)
        #expect(read(written) == stamp)
        #expect(written.allSatisfy { (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) })
    }

    @Test("a stamp of which one letter is another is none", arguments: stamps)
    func changed(stamp: DeliveryStamp) {
        let written = bytes(stamp)
        for index in 8..<written.count {
            for byte in UInt8.min...UInt8.max where byte != written[index] {
                var other = written
                other[index] = byte
                #expect(read(other) == nil, "byte \(index) is \(byte)")
            }
        }
    }

    @Test(
        "a stamp is found wherever it is, with its marker's beginnings before it",
        arguments: ["", "R", "RoostMs", "{\"a\":\"Roost"])
    func find(prefix: String) {
        let message = Array(prefix.utf8) + bytes(Self.stamps[2])
        unsafe message.withUnsafeBytes { bytes in
            #expect(unsafe DeliveryStamp.find(in: bytes, from: 0) == prefix.utf8.count)
            #expect(unsafe DeliveryStamp.isAt(prefix.utf8.count, of: bytes))
            #expect(unsafe DeliveryStamp.find(in: bytes, from: prefix.utf8.count + 1) == nil)
            let short = unsafe UnsafeRawBufferPointer(rebasing: bytes.dropLast())
            #expect(unsafe DeliveryStamp.find(in: short, from: 0) == nil)
            #expect(unsafe !DeliveryStamp.isAt(prefix.utf8.count, of: short))
        }
    }
}

@Suite struct BackoffTests {
    @Test("clients come back as stock clients do", arguments: [0, 0.15, 0.5, 0.99])
    func delays(random: Double) {
        func delays(_ backoff: Backoff, _ count: Int) -> [Double] {
            (0..<count).map { backoff.delaySeconds($0, random: random) }
        }
        #expect(delays(.phoenix, 11) == [0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 1, 2, 5, 5])
        #expect(delays(.constant(0.3), 3) == [0.3, 0.3, 0.3])
        for (number, delay) in delays(.socketio, 40).enumerated() {
            let step = number < 10 ? Double(1 << number) : 1_000
            #expect(delay >= min(0.5 * step, 5) && delay <= min(1.5 * step, 5))
        }
        for (number, delay) in delays(.centrifuge, 40).enumerated() {
            let step = number < 10 ? min(0.5 * Double(1 << number), 20) : 20
            #expect(delay >= 0.5 && delay <= min(0.5 + step, 20))
        }
    }

    @Test("a random number moves Socket.IO's delay down or up by up to a half")
    func socketio() {
        #expect(Backoff.socketio.delaySeconds(0, random: 0.8) == 0.6)
        #expect(Backoff.socketio.delaySeconds(0, random: 0.9) == 1.45)
        #expect(Backoff.socketio.delaySeconds(1, random: 0.8) == 1.2)
        #expect(Backoff.socketio.delaySeconds(3, random: 0.8) == 4.8)
        #expect(Backoff.socketio.delaySeconds(3, random: 0.9) == 5)
    }

    @Test("an option's text is a client's name or seconds")
    func read() throws {
        #expect(try Backoff("phoenix") == .phoenix)
        #expect(try Backoff("socketio") == .socketio)
        #expect(try Backoff("centrifuge") == .centrifuge)
        #expect(try Backoff("0.5") == .constant(0.5))
        #expect(try Backoff("500ms") == .constant(0.5))
        for text in ["", "fast", "-1", "3601", "nan"] { #expect(throws: LoadTestError.self) { try Backoff(text) } }
    }
}
