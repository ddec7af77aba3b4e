// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Draws the sizes of a client's messages. The same seed gives the same sizes.
struct SizeSampler {
    private let distribution: SizeDistribution
    private var random: SplitMix

    init(_ distribution: SizeDistribution, seed: UInt64) {
        self.distribution = distribution
        random = SplitMix(state: seed)
    }

    @inline(__always)
    mutating func next() -> Int {
        if case .fixed(let byteCount) = distribution { return byteCount }
        return draw()
    }

    @inline(never)
    private mutating func draw() -> Int {
        switch distribution {
        case .fixed(let byteCount): return byteCount
        case .uniform(let least, let most): return Int.random(in: least...most, using: &random)
        case .exponential(let mean, let most): return min(Int(random.exponential() * mean), most)
        case .lognormal(let median, let sigma, let most):
            return Int(min(median * exp(sigma * random.normal()), Double(most)))
        case .choice(let sizes):
            var left = Double.random(in: 0..<1, using: &random) * sizes.reduce(0) { $0 + $1.weight }
            for size in sizes {
                left -= size.weight
                if left < 0 { return size.byteCount }
            }
            return sizes.last?.byteCount ?? 0
        }
    }
}

/// SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Of mean 1.
    mutating func exponential() -> Double { -log(1 - Double.random(in: 0..<1, using: &self)) }

    /// Of mean 0 and variance 1 (G. Box, M. Muller, 1958).
    mutating func normal() -> Double {
        let radius = (2 * exponential()).squareRoot()
        return radius * cos(2 * Double.pi * Double.random(in: 0..<1, using: &self))
    }
}
