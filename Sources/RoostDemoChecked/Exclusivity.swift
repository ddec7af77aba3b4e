// SPDX-License-Identifier: Apache-2.0

/// Modifies a variable while it is being modified: the Swift runtime reports a conflict and aborts.
///
/// In a target of its own: preemptible targets are built without these checks, as a user's other dependencies are not.
public func violateExclusivity() {
    unsafe modify(&shared.value) { unsafe shared.value += 1 }
}

@inline(never)
private func modify(_ value: inout Int, _ body: () -> Void) {
    body()
    value += 1
}

private final class Box { var value = 0 }
nonisolated(unsafe) private var shared = Box()
