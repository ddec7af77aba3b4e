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
            return random.choose(sizes) { $0.weight }?.byteCount ?? 0
        }
    }
}
