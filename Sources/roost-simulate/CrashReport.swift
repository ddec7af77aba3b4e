// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Names the seed where the runtime itself ends the program, or a seed does not come to an end.
enum CrashReport {
    /// Far more than any seed takes: about 10 ms.
    private static let secondsMax: UInt32 = 60
    private static let exitCode: CInt = 70
    private static let signals = [SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT, SIGALRM]

    // Safe: written before the handler can run, by the only thread.
    nonisolated(unsafe) private static var seed: UInt64 = 0
    nonisolated(unsafe) private static var arguments: [UInt8] = []

    /// Before the runtime installs its own handlers, which pass on what they do not contain. (ARCHITECTURE.md, R8)
    static func install(_ replayArguments: String) {
        unsafe arguments = Array(replayArguments.utf8) + [10]
        var action = sigaction()
        unsafe action.__sigaction_handler.sa_handler = { signal in CrashReport.write(signal) }
        for signal in signals { unsafe sigaction(signal, &action, nil) }
    }

    static func begin(_ seed: UInt64) {
        unsafe self.seed = seed
        alarm(secondsMax)
    }

    /// On the way out: allocates nothing.
    private static func write(_ signal: CInt) -> Never {
        put(signal == SIGALRM ? "a seed did not come to an end: seed " : "the program ended in seed ")
        putNumber(unsafe seed)
        put(" with signal ")
        putNumber(UInt64(signal))
        put("\nto see it again: roost-simulate --seed ")
        putNumber(unsafe seed)
        unsafe arguments.withUnsafeBytes { bytes in
            _ = unsafe Glibc.write(STDOUT_FILENO, bytes.baseAddress, bytes.count)
        }
        _exit(exitCode)
    }

    private static func put(_ text: StaticString) {
        _ = unsafe Glibc.write(STDOUT_FILENO, text.utf8Start, text.utf8CodeUnitCount)
    }

    private static func putNumber(_ number: UInt64) {
        var divisor: UInt64 = 1
        while number / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            var digit = UInt8(48 + number / divisor % 10)
            _ = unsafe Glibc.write(STDOUT_FILENO, &digit, 1)
            divisor /= 10
        }
    }
}
