// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Synchronization

/// SIGTERM and SIGINT: the first asks for a drain, the second ends the program at once. SIGHUP: files are read again.
///
/// The main thread waits for them (sigwait(3)) and does nothing else, so that the second one works even when every
/// other thread is stuck. It must not wait in `dispatchMain`, which an asynchronous `main` ends in: that unblocks every
/// signal.
package enum DaemonSignals {
    private struct State {
        var count = 0
        var drain: (@Sendable (_ name: String) -> Void)?
        var reload: (@Sendable () -> Void)?
    }
    private static let state = Mutex(State())

    /// Runs `work` to its end, which ends the program, while this thread waits for signals.
    ///
    /// On the main thread, before any other exists: threads inherit the mask that keeps the signals for this one.
    package static func wait(during work: @escaping @Sendable () async -> ExitStatus) -> Never {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for signal in [SIGTERM, SIGINT, SIGHUP] { unsafe _ = sigaddset(&signals, signal) }
        unsafe _ = pthread_sigmask(SIG_BLOCK, &signals, nil)
        Task.detached { exit(await work().rawValue) }
        while true {
            var number: CInt = 0
            if unsafe sigwait(&signals, &number) == 0 { received(number) }
        }
    }

    /// What the first SIGTERM or SIGINT does from now on. Until then it ends the program.
    package static func onStop(_ drain: @escaping @Sendable (_ name: String) -> Void) {
        state.withLock { $0.drain = drain }
    }

    /// What SIGHUP does from now on; it must not wait. Until then it does nothing.
    package static func onReload(_ reload: @escaping @Sendable () -> Void) {
        state.withLock { $0.reload = reload }
    }

    private static func received(_ number: CInt) {
        if number == SIGHUP {
            state.withLock { $0.reload }?()
            return
        }
        let name = number == SIGINT ? "SIGINT" : "SIGTERM"
        let (isFirst, drain) = state.withLock { state in
            state.count += 1
            return (state.count == 1, state.drain)
        }
        guard let drain else { _exit(128 + number) }
        guard isFirst else {
            StandardStream.error.write(
                "roost: second signal (\(name)): stopped at once, open connections are cut off\n")
            _exit(ExitStatus.failure.rawValue)
        }
        drain(name)
    }
}
