// SPDX-License-Identifier: Apache-2.0

/// A regular expression of which each character of a text is looked at once.
///
/// All ways in which the text may match are followed at the same time (Thompson, "Regular Expression Search Algorithm",
/// 1968), so that the time is bounded by text times expression: a matcher that goes back, as `Regex` does, needs longer
/// than a lifetime for `(a+)+b` and thirty letters, and holds its scheduler up meanwhile. Look-around and
/// back-references cannot be had so; `PatternReader` refuses them.
struct Pattern: Sendable {
    /// Why a text is none.
    struct Refusal: Error { let message: String }

    /// With the next one, the bound of what a match costs: some tenths of a second.
    static let instructionCountMax = 1_000
    /// What is behind is not looked at.
    static let textByteCountMax = 65_536

    enum Instruction: Sendable, Equatable {
        case scalar(Unicode.Scalar)
        /// One of this index.
        case set(Int)
        /// Goes on at both.
        case split(Int, Int)
        case jump(Int)
        case holds(Anchor)
        case match
    }

    /// What must hold between two characters.
    enum Anchor: Sendable, Equatable {
        case textStart, textEnd
        /// Before a newline that is the last character, too.
        case lastLineEnd
        case lineStart, lineEnd
        case wordBoundary, noWordBoundary
    }

    let instructions: [Instruction]
    let sets: [ScalarSet]

    init(_ text: String) throws(Refusal) {
        var reader = PatternReader(text)
        let node = try reader.read()
        var compiler = Compiler()
        try compiler.add(node)
        try compiler.append(.match)
        instructions = compiler.instructions
        sets = compiler.sets
    }
}

/// Characters, as `[a-z\d]` names them.
struct ScalarSet: Sendable, Equatable {
    enum Kind: Sendable, Equatable { case digit, word, space }

    var ranges: [ClosedRange<UInt32>] = []
    /// Those of a kind, or with false all others.
    var kinds: [(kind: Kind, isMember: Bool)] = []
    var isNegated = false
    var ignoresCase = false

    static func == (first: ScalarSet, second: ScalarSet) -> Bool {
        first.ranges == second.ranges && first.isNegated == second.isNegated && first.ignoresCase == second.ignoresCase
            && first.kinds.elementsEqual(second.kinds) { $0 == $1 }
    }

    func contains(_ scalar: Unicode.Scalar) -> Bool {
        var isMember = has(scalar)
        if !isMember, ignoresCase {
            let properties = scalar.properties
            for other in [properties.lowercaseMapping, properties.uppercaseMapping] {
                // What becomes two letters is neither of them.
                let scalars = other.unicodeScalars
                if let first = scalars.first, scalars.dropFirst().isEmpty, has(first) { isMember = true }
            }
        }
        return isMember != isNegated
    }

    private func has(_ scalar: Unicode.Scalar) -> Bool {
        for range in ranges where range.contains(scalar.value) { return true }
        for (kind, isMember) in kinds where kind.contains(scalar) == isMember { return true }
        return false
    }
}

extension ScalarSet.Kind {
    func contains(_ scalar: Unicode.Scalar) -> Bool {
        switch self {
        case .digit: return scalar.properties.generalCategory == .decimalNumber
        case .space: return scalar.properties.isWhitespace
        case .word:
            if scalar.isASCII { return scalar == "_" || Character(scalar).isLetter || Character(scalar).isNumber }
            let properties = scalar.properties
            return properties.isAlphabetic || properties.numericType != nil
                || properties.generalCategory == .nonspacingMark
        }
    }
}

extension Pattern {
    /// Whether a part of the text is what the expression describes.
    func isFound(in bytes: Span<UInt8>) -> Bool {
        let count = min(bytes.count, Self.textByteCountMax)
        // Safe: copied within the call.
        let text = unsafe bytes.withUnsafeBufferPointer { unsafe String(decoding: $0.prefix(count), as: UTF8.self) }
        var run = Run(self, isCut: count < bytes.count)
        var scalars = text.unicodeScalars.makeIterator()
        var (previous, current) = (Unicode.Scalar?.none, scalars.next())
        var next = scalars.next()
        while true {
            if run.step(after: previous, over: current, before: next) { return true }
            guard current != nil else { return false }
            (previous, current, next) = (current, next, scalars.next())
        }
    }

    /// One search.
    private struct Run {
        private let pattern: Pattern
        /// The text goes on behind its end.
        private let isCut: Bool
        /// Where the ways stand that are being followed; and those of the next character.
        private var here: [Int] = []
        private var ahead: [Int] = []
        /// By instruction: the character before which it was reached last.
        private var marks: [Int]
        private var number = 0
        private var pending: [Int] = []

        init(_ pattern: Pattern, isCut: Bool) {
            self.pattern = pattern
            self.isCut = isCut
            marks = Array(repeating: 0, count: pattern.instructions.count)
        }

        /// True where the expression is matched before `current`.
        mutating func step(
            after previous: Unicode.Scalar?, over current: Unicode.Scalar?, before next: Unicode.Scalar?
        ) -> Bool {
            number += 1
            swap(&here, &ahead)
            ahead.removeAll(keepingCapacity: true)
            // A match may begin anywhere.
            here.append(0)
            for start in here {
                pending.append(start)
                while let index = pending.popLast() {
                    guard marks[index] != number else { continue }
                    marks[index] = number
                    switch pattern.instructions[index] {
                    case .match: return true
                    case .jump(let target): pending.append(target)
                    case .split(let first, let second):
                        pending.append(second)
                        pending.append(first)
                    case .holds(let anchor):
                        if holds(anchor, previous, current, next) { pending.append(index + 1) }
                    case .scalar(let scalar): if scalar == current { ahead.append(index + 1) }
                    case .set(let set):
                        if let current, pattern.sets[set].contains(current) { ahead.append(index + 1) }
                    }
                }
            }
            return false
        }

        private func holds(
            _ anchor: Anchor, _ previous: Unicode.Scalar?, _ current: Unicode.Scalar?, _ next: Unicode.Scalar?
        ) -> Bool {
            switch anchor {
            case .textStart: return previous == nil
            case .textEnd: return current == nil && !isCut
            case .lastLineEnd: return !isCut && (current == nil || current == "\n" && next == nil)
            case .lineStart: return previous == nil || previous == "\n"
            case .lineEnd: return current == nil && !isCut || current == "\n"
            case .wordBoundary, .noWordBoundary:
                let kind = ScalarSet.Kind.word
                let isBoundary = (previous.map(kind.contains) ?? false) != (current.map(kind.contains) ?? false)
                return isBoundary == (anchor == .wordBoundary)
            }
        }
    }

    /// Turns what was read into instructions.
    fileprivate struct Compiler {
        var instructions: [Instruction] = []
        var sets: [ScalarSet] = []
        /// Parts looked at: those that are repeated, and have nothing in them, make no instruction.
        private var visitCount = 0

        mutating func append(_ instruction: Instruction) throws(Refusal) {
            guard instructions.count < Pattern.instructionCountMax else { throw Self.tooLong }
            instructions.append(instruction)
        }

        private static var tooLong: Refusal {
            Refusal(
                message: "it comes to more than \(Pattern.instructionCountMax) steps; use lower counts in {…}, or "
                    + "`contains` for long texts")
        }

        mutating func add(_ node: PatternNode) throws(Refusal) {
            visitCount += 1
            guard visitCount <= 20 * Pattern.instructionCountMax else { throw Self.tooLong }
            switch node {
            case .scalar(let scalar): try append(.scalar(scalar))
            case .set(let set):
                if !sets.contains(set) { sets.append(set) }
                try append(.set(sets.firstIndex(of: set) ?? 0))
            case .anchor(let anchor): try append(.holds(anchor))
            case .sequence(let nodes): for node in nodes { try add(node) }
            case .choice(let nodes): try addChoice(nodes)
            case .repeated(let node, let least, let most):
                for _ in 0..<least { try add(node) }
                guard let most else { return try addLoop(node) }
                var splits: [Int] = []
                for _ in least..<most {
                    splits.append(instructions.count)
                    try append(.split(instructions.count + 1, 0))
                    try add(node)
                }
                for split in splits { instructions[split] = .split(split + 1, instructions.count) }
            }
        }

        private mutating func addChoice(_ nodes: [PatternNode]) throws(Refusal) {
            var jumps: [Int] = []
            for node in nodes.dropLast() {
                let split = instructions.count
                try append(.split(split + 1, 0))
                try add(node)
                jumps.append(instructions.count)
                try append(.jump(0))
                instructions[split] = .split(split + 1, instructions.count)
            }
            if let last = nodes.last { try add(last) }
            for jump in jumps { instructions[jump] = .jump(instructions.count) }
        }

        private mutating func addLoop(_ node: PatternNode) throws(Refusal) {
            let split = instructions.count
            try append(.split(split + 1, 0))
            try add(node)
            try append(.jump(split))
            instructions[split] = .split(split + 1, instructions.count)
        }
    }
}
