// SPDX-License-Identifier: Apache-2.0

/// Code as a user's dependencies have it: not instrumented, with the dynamic exclusivity checks that are Swift's
/// default.
public final class CheckedBox {
    public var numbers: [Int] = []
    public init() {}

    /// Calls `body` while the access to `numbers` is open.
    @inline(never) public func update(_ body: (inout [Int]) -> Void) { body(&numbers) }

    @inline(never) @_optimize(none)
    public func read() -> Int { numbers.count }
}

/// Breaks the law of exclusivity.
@inline(never) @_optimize(none)
public func violateExclusivity() {
    let box = CheckedBox()
    box.update { numbers in
        numbers.append(box.numbers.count)
    }
}

/// Computes until it is told to stop, without a single reduction point.
@inline(never)
public func computeWithoutReductions(until isDone: () -> Bool) -> UInt64 {
    var value: UInt64 = 1
    while !isDone() { value = value &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407 }
    return value
}

/// Traps after `body`, in code that is not instrumented.
@inline(never)
public func trapAfter(_ body: () -> Void) {
    body()
    fatalError("after native code")
}
