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
    /// Connections of the worker that are open now: errors say at how many they began.
    let openCount = Atomic<Int>(0)

    /// `isExpected`: what the run is about, no fault.
    func add(_ kind: String, count: Int = 1, isExpected: Bool = false) {
        guard count > 0 else { return }
        let seconds = (MonotonicTime.now() - start).seconds
        let openCount = openCount.load(ordering: .relaxed)
        withoutPreemption {
            state.withLock { errors in
                let key = errors[kind] != nil || errors.count < Self.kindCountMax ? kind : Self.others
                let none = TestError(
                    kind: key, count: 0, firstSeconds: seconds, firstOpenCount: openCount, isExpected: isExpected)
                errors[key, default: none].count += count
            }
        }
    }

    /// One of the errors of a kind turns out to be none.
    func takeBack(_ kind: String) {
        withoutPreemption {
            state.withLock { errors in
                let key = errors[kind] == nil ? Self.others : kind
                guard let error = errors[key] else { return }
                errors[key]?.count -= 1
                if error.count == 1 { errors[key] = nil }
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
    /// Connections of its worker that were open then; nil: of no worker.
    package var firstOpenCount: Int?
    /// What the run is about: reported, and no fault.
    package var isExpected = false

    package init(
        kind: String, count: Int, firstSeconds: Double, firstOpenCount: Int? = nil, isExpected: Bool = false
    ) {
        self.kind = kind
        self.count = count
        self.firstSeconds = firstSeconds
        self.firstOpenCount = firstOpenCount
        self.isExpected = isExpected
    }
}

extension Duration {
    /// In seconds, as precise as a Double is.
    package var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
