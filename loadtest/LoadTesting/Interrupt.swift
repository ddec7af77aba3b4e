// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Synchronization

/// Ctrl-C ends a test early; it still reports. A second one ends the program.
package enum Interrupt {
    private static let flag = Atomic<Bool>(false)

    package static func install() {
        // Made before the handler may run: making it is not safe there.
        flag.store(false, ordering: .relaxed)
        var action = sigaction()
        // Safe: the handler stores into an atomic and does nothing else.
        unsafe action.__sigaction_handler.sa_handler = { _ in Interrupt.flag.store(true, ordering: .relaxed) }
        action.sa_flags = CInt(bitPattern: 0x8000_0000)  // SA_RESETHAND: the next one has its default effect
        unsafe _ = sigaction(SIGINT, &action, nil)
        unsafe _ = sigaction(SIGTERM, &action, nil)
    }

    static var isRequested: Bool { flag.load(ordering: .relaxed) }
}
