// SPDX-License-Identifier: Apache-2.0

internal import RoostRuntime
internal import Synchronization

/// What went wrong, by kind, with how often and when first. Any thread; errors are rare.
final class ErrorTally: Sendable {
    /// Kinds kept apart; further ones are counted together.
    private static let kindCountMax = 20
    private static let others = "other errors"

    private let start = MonotonicTime.now()
    private let state = Mutex<[String: TestError]>([:])
    private let total = Atomic<Int>(0)

    var count: Int { total.load(ordering: .relaxed) }

    /// `isExpected`: what the run is about, no fault.
    func add(_ kind: String, isExpected: Bool = false) {
        let seconds = (MonotonicTime.now() - start).seconds
        total.add(1, ordering: .relaxed)
        withoutPreemption {
            state.withLock { errors in
                let key = errors[kind] != nil || errors.count < Self.kindCountMax ? kind : Self.others
                errors[key, default: TestError(kind: key, count: 0, firstSeconds: seconds, isExpected: isExpected)]
                    .count += 1
            }
        }
    }

    /// Most frequent first.
    var errors: [TestError] {
        state.withLock { $0.values.sorted { ($0.count, $1.kind) > ($1.count, $0.kind) } }
    }
}

/// One kind of error.
package struct TestError: Sendable, Equatable, Codable {
    package let kind: String
    package var count: Int
    /// When it was first seen, after the start of the test.
    package let firstSeconds: Double
    /// What the run is about: reported, and no fault.
    package var isExpected = false
}

extension Duration {
    /// In seconds, as precise as a Double is.
    package var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
