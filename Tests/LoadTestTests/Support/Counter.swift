// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Counts over all connections of a server.
final class Counter: Sendable {
    private let count = Atomic<Int>(0)

    /// Counts one more. Which it is, from 1.
    @discardableResult
    func next() -> Int { count.add(1, ordering: .relaxed).newValue }

    var value: Int { count.load(ordering: .relaxed) }
}
