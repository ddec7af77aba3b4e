// SPDX-License-Identifier: Apache-2.0

/// Everything that chance decides in a simulation, from one seed.
///
/// SplitMix64: G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
struct Choices {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0xD134_2543_DE82_EF95 &+ 0x2545_F491_4F6C_DD1D }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    /// One of 0..<bound; `bound` is at least 1.
    mutating func below(_ bound: Int) -> Int { Int(next().multipliedFullWidth(by: UInt64(bound)).high) }

    mutating func within(_ range: ClosedRange<Int>) -> Int { range.lowerBound + below(range.count) }

    mutating func happens(perMille: Int) -> Bool { below(1000) < perMille }

    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

    /// An index, each as often as its weight; nil where all weigh nothing.
    mutating func weighted(_ weights: [Int]) -> Int? {
        let total = weights.reduce(0, +)
        guard total > 0 else { return nil }
        var left = below(total)
        for (index, weight) in weights.enumerated() {
            if left < weight { return index }
            left -= weight
        }
        return nil
    }
}

/// What happened in a simulation: a hash of all of it and the last events in words.
///
/// Events name things by their number in the simulation: pids and addresses differ from run to run.
struct SimulationTrace {
    static let keptCount = 80

    enum Event: String {
        case steps, sleeps, wakes, clock, reductions, interleaves
        case spawns, begins, ends, sends, refused, receives, destroys, hears, signals, operation, fires, restarts
    }

    /// Hears every event, in words.
    var onEvent: ((String) -> Void)?
    private var kept: [(step: Int, event: Event, first: Int, second: Int)] = []
    private var oldest = 0
    private(set) var hash: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func note(_ event: Event, _ first: Int, _ second: Int, step: Int) {
        // FNV-1a over whole words: it only has to differ when the run does.
        for word in [UInt64(bitPattern: Int64(step)), UInt64(event.rawValue.utf8.first ?? 0)] { fold(word) }
        fold(UInt64(bitPattern: Int64(first)))
        fold(UInt64(bitPattern: Int64(second)))
        onEvent?(Self.words((step, event, first, second)))
        if kept.count < Self.keptCount { return kept.append((step, event, first, second)) }
        kept[oldest] = (step, event, first, second)
        oldest = (oldest + 1) % Self.keptCount
    }

    private mutating func fold(_ word: UInt64) { hash = (hash ^ word) &* 0x100_0000_01B3 }

    /// Oldest first.
    var lines: [String] { (kept[oldest...] + kept[..<oldest]).map(Self.words) }

    private static func words(_ entry: (step: Int, event: Event, first: Int, second: Int)) -> String {
        "step \(entry.step): \(entry.event.rawValue) \(entry.first) \(entry.second)"
    }
}
