// SPDX-License-Identifier: Apache-2.0

import CRoost

/// What the tests are built for.
enum Build {
    /// Not for a sanitizer. Those bring their own malloc, so nothing is accounted; give each process a stack of its
    /// own, so none is copied; and keep the Swift runtime's log of traps growing, so that many traps take long.
    static let isPlain = roost_malloc_is_accounted()

    /// `count`, or a twentieth of it where everything takes so much longer.
    static func rounds(_ count: Int) -> Int { isPlain ? count : count / 20 }
}
