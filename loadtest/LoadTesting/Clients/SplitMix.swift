// SPDX-License-Identifier: Apache-2.0

internal import Glibc

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

    /// One of them, each as likely as its weight is of all; nil: there is none.
    mutating func choose<Element>(_ elements: [Element], weight: (Element) -> Double) -> Element? {
        var left = Double.random(in: 0..<1, using: &self) * elements.reduce(0) { $0 + weight($1) }
        for element in elements {
            left -= weight(element)
            if left < 0 { return element }
        }
        return elements.last
    }

    /// Of mean 1.
    mutating func exponential() -> Double { -log(1 - Double.random(in: 0..<1, using: &self)) }

    /// Of mean 0 and variance 1 (G. Box, M. Muller, 1958).
    mutating func normal() -> Double {
        let radius = (2 * exponential()).squareRoot()
        return radius * cos(2 * Double.pi * Double.random(in: 0..<1, using: &self))
    }
}
