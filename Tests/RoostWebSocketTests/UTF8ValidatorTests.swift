import RoostWebSocket
import Testing

/// RFC 3629, against the standard library's `String(validating:as:)`.
@Suite struct UTF8ValidatorTests {
    /// The ends of every range in the table of RFC 3629 §4, and their neighbours.
    static let borders: [UInt8] = [
        0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE,
        0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
    ]

    static func isValid(_ bytes: [UInt8]) -> Bool {
        // Safe: the buffer is used during the call only.
        unsafe bytes.withUnsafeBytes { unsafe UTF8Validator.isValid($0) }
    }

    /// Whether `bytes` is accepted after what `validator` has seen.
    static func accepts(_ validator: inout UTF8Validator, _ bytes: some Collection<UInt8>) -> Bool {
        let bytes = Array(bytes)
        // Safe: the buffer is used during the call only.
        return unsafe bytes.withUnsafeBytes { unsafe validator.accepts($0) }
    }

    @Test("all sequences of one and two bytes")
    func shortSequences() {
        for first in UInt8.min...UInt8.max {
            #expect(Self.isValid([first]) == isUTF8([first]), "\(first)")
            for second in UInt8.min...UInt8.max {
                let bytes = [first, second]
                if Self.isValid(bytes) != isUTF8(bytes) { Issue.record("\(bytes) judged wrongly") }
            }
        }
    }

    @Test("three and four bytes from the borders of all ranges")
    func borderSequences() {
        for first in Self.borders.dropFirst(3) {
            for second in Self.borders {
                for third in Self.borders {
                    let three = [first, second, third]
                    if Self.isValid(three) != isUTF8(three) { Issue.record("\(three) judged wrongly") }
                    guard first >= 0xEF, canBecomeUTF8([first, second]) else { continue }
                    for fourth in Self.borders {
                        let four = [first, second, third, fourth]
                        if Self.isValid(four) != isUTF8(four) { Issue.record("\(four) judged wrongly") }
                    }
                }
            }
        }
    }

    @Test("every Unicode scalar is accepted, whole text and byte by byte")
    func everyScalar() {
        var text: [UInt8] = []
        for value in UInt32(0)...0x10_FFFF {
            guard let scalar = Unicode.Scalar(value) else { continue }
            UTF8.encode(scalar) { text.append($0) }
        }
        #expect(text.count == 0x80 + 2 * 0x780 + 3 * (0x10000 - 0x800 - 0x800) + 4 * 0x100000)
        #expect(Self.isValid(text))
        var validator = UTF8Validator()
        #expect(Self.accepts(&validator, text.dropLast()))
        #expect(!validator.isAtCharacterEnd)
    }

    @Test("a wrong sequence is found at every place of a longer text", arguments: 0..<72)
    func wrongSequencesAnywhere(offset: Int) {
        let sequences: [[UInt8]] = [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2, 0x41], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80],
            [0xED, 0xBF, 0xBF], [0xEF, 0xBF, 0x41], [0xF0, 0x8F, 0xBF, 0xBF], [0xF4, 0x90, 0x80, 0x80],
            [0xF5, 0x80, 0x80, 0x80], [0xFE], [0xFF], [0xE2, 0x82, 0xC2, 0xA9], [0xF0, 0x9F, 0x98, 0x41],
        ]
        let fillers = [Array("a".utf8), Array("é".utf8), Array("€".utf8), Array("😀".utf8)]
        for filler in fillers {
            var prefix: [UInt8] = []
            while prefix.count + filler.count <= offset { prefix += filler }
            for sequence in sequences {
                for suffixCount in [0, 1, 40] {
                    let suffix = Array(repeating: filler, count: suffixCount).flatMap(\.self)
                    #expect(!Self.isValid(prefix + sequence + suffix), "\(sequence) after \(prefix.count) bytes")
                }
            }
            #expect(Self.isValid(prefix + filler + prefix))
        }
    }

    @Test("a character that ASCII cuts short is found wherever a block ends", arguments: 3..<80)
    func charactersCutShortByASCII(prefixByteCount: Int) {
        let starts: [[UInt8]] = [[0xC2], [0xE2], [0xE2, 0x82], [0xF0], [0xF0, 0x9F], [0xF0, 0x9F, 0x98]]
        let character = Array("é".utf8)
        let prefix =
            [UInt8](repeating: 0x61, count: prefixByteCount % 2)
            + Array(repeating: character, count: prefixByteCount / 2).flatMap(\.self)
        for start in starts {
            for suffixByteCount in [1, 8, 31, 32, 33, 64, 100] {
                let suffix = [UInt8](repeating: 0x61, count: suffixByteCount)
                #expect(!Self.isValid(prefix + start + suffix), "\(start), then \(suffixByteCount) bytes")
                #expect(!Self.isValid(prefix + start + character + suffix))
                #expect(Self.isValid(prefix + suffix + prefix + suffix))
            }
        }
    }

    @Test("each byte of a text replaced by each border byte is judged as the standard library does")
    func damagedText() {
        let text = Array(
            ("The quick brown fox — Съешь же ещё этих мягких французских булок 漢字仮名 "
                + "👩‍👩‍👧 ok \u{10FFFF}\u{D7FF}\u{E000}").utf8
        )
        #expect(Self.isValid(text))
        for index in text.indices {
            for border in Self.borders {
                var damaged = text
                damaged[index] = border
                if Self.isValid(damaged) != isUTF8(damaged) { Issue.record("\(border) at \(index) judged wrongly") }
            }
        }
    }

    @Test("a text is refused exactly at the first byte that cannot be right")
    func refusesAtTheEarliestByte() {
        var prefixes: [(bytes: [UInt8], validator: UTF8Validator)] = [([], UTF8Validator()), ([0x61], UTF8Validator())]
        var judgedCount = 0
        while let (bytes, validator) = prefixes.popLast() {
            for border in Self.borders {
                var next = validator
                let isAccepted = Self.accepts(&next, [border])
                judgedCount += 1
                if isAccepted != canBecomeUTF8(bytes + [border]) {
                    Issue.record("\(border) after \(bytes) judged wrongly")
                }
                guard isAccepted else { continue }
                #expect(next.isAtCharacterEnd == isUTF8(bytes + [border]))
                // Go on inside characters; once more after a whole one.
                if !next.isAtCharacterEnd || bytes.isEmpty { prefixes.append((bytes + [border], next)) }
            }
        }
        #expect(judgedCount > 1_000)
    }

    @Test("text may be split anywhere, into two and three pieces")
    func anySplit() {
        let text = Array("ascii text of some length, then é€😀 and 漢字仮名交じり文, and ascii again to the end".utf8)
        for first in 0...text.count {
            for second in stride(from: first, through: text.count, by: 3) {
                var validator = UTF8Validator()
                let isAccepted =
                    Self.accepts(&validator, text[..<first]) && Self.accepts(&validator, text[first..<second])
                    && Self.accepts(&validator, text[second...])
                #expect(isAccepted && validator.isAtCharacterEnd, "split at \(first) and \(second)")
            }
        }
    }

    @Test("random bytes, valid, damaged or cut, in random pieces", arguments: UInt64(0)..<300)
    func randomText(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var text = RandomStream.text(byteCountMin: Int.random(in: 0...400, using: &generator), using: &generator)
        if Bool.random(using: &generator), !text.isEmpty {
            text[Int.random(in: text.indices, using: &generator)] = Self.borders.randomElement(using: &generator)!
        }
        if Bool.random(using: &generator) { text.removeLast(min(text.count, 2)) }
        var validator = UTF8Validator()
        let isAccepted = text.randomPieces(using: &generator).allSatisfy { Self.accepts(&validator, $0) }
        #expect(isAccepted == canBecomeUTF8(text))
        #expect((isAccepted && validator.isAtCharacterEnd) == isUTF8(text))
    }
}
