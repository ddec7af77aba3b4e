// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Roost
internal import RoostRuntime

/// A group's flow, ready to run: what its clients on one scheduler share.
final class ScriptProgram {
    let plan: ScriptPlan
    /// Messages that come while none is awaited matter.
    let hasExpectations: Bool
    private let patterns: [Pattern?]

    init(_ plan: ScriptPlan) {
        self.plan = plan
        hasExpectations = plan.hasExpectations || plan.awaitsClose && !plan.ignoresUnexpected
        patterns = plan.patterns.map { try? Pattern($0) }
    }

    /// Nil where the group does something else.
    static func of(_ group: ClientGroup) -> ScriptProgram? {
        guard case .script(let plan) = group.behaviour else { return nil }
        return ScriptProgram(plan)
    }

    /// Whether a part of `bytes` is what the pattern describes.
    func matches(_ index: Int, _ bytes: Span<UInt8>) -> Bool {
        patterns[index]?.isFound(in: bytes) ?? false
    }
}

extension ScriptTemplate {
    /// What the places of a template are filled with.
    struct Values {
        var client: Int
        var attempt: Int
        var sequence: Int
        /// By slot; nil: not captured yet.
        var captured: [[UInt8]?]
    }

    /// Appends the message. False where a value was not captured yet.
    func append(to bytes: inout [UInt8], _ values: borrowing Values, _ random: inout SplitMix) -> Bool {
        for piece in pieces {
            switch piece {
            case .literal(let literal): bytes += literal
            case .client: Self.append(values.client, to: &bytes)
            case .attempt: Self.append(values.attempt, to: &bytes)
            case .sequence: Self.append(values.sequence, to: &bytes)
            case .milliseconds: Self.append(Int(WallClock.secondsSince1970 * 1_000), to: &bytes)
            case .random(let least, let most): Self.append(Int.random(in: least...most, using: &random), to: &bytes)
            case .uuid: Self.appendUUID(to: &bytes, &random)
            case .captured(let slot):
                guard let value = values.captured[slot] else { return false }
                bytes += value
            }
        }
        return true
    }

    private static func append(_ number: Int, to bytes: inout [UInt8]) {
        if number < 0 { bytes.append(UInt8(ascii: "-")) }
        var rest = number.magnitude
        let start = bytes.count
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        bytes[start...].reverse()
    }

    private static func appendUUID(to bytes: inout [UInt8], _ random: inout SplitMix) {
        // Version 4, variant 10 (RFC 9562 §5.4).
        let high = random.next() & ~0xF000 | 0x4000
        let low = random.next() & ~(0xC0 << 56) | (0x80 << 56)
        for (index, word) in [high, low].enumerated() {
            for nibble in 0..<16 {
                if index == 0 ? nibble == 8 || nibble == 12 : nibble == 0 || nibble == 4 {
                    bytes.append(UInt8(ascii: "-"))
                }
                let value = UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * nibble)) & 0xF
                bytes.append(value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10)
            }
        }
    }
}

extension ThinkTime {
    func seconds(_ random: inout SplitMix) -> Double {
        switch self {
        case .constant(let seconds): return seconds
        case .uniform(let least, let most): return Double.random(in: least...most, using: &random)
        case .exponential(let mean, let most): return min(random.exponential() * mean, most)
        case .lognormal(let median, let sigma, let most): return min(median * exp(sigma * random.normal()), most)
        case .choice(let times):
            return random.choose(times) { $0.weight }?.seconds ?? 0
        }
    }
}

extension ClientShare {
    /// Counts what went wrong at a step of the flow. The first sample in this program is part of the kind: so each
    /// message that differs is no kind of its own.
    func noteFailure(at line: Int, _ what: String, sample: String? = nil) {
        let place = line > 0 ? "\(group.name), line \(line): \(what)" : "\(group.name): \(what)"
        errors.add(board.withSample(of: place, sample))
    }
}
