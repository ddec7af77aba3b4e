// SPDX-License-Identifier: Apache-2.0

/// How the command ends, as its exit code says it (sysexits.h where it has a name for it).
package enum ExitStatus: Int32, Sendable, Error {
    /// Done; or drained because a signal asked for it.
    case success = 0
    /// It could not start, or a second signal cut the drain short.
    case failure = 1
    /// The command line is wrong (EX_USAGE).
    case usage = 64
    /// Drained because the runtime asked for a fresh program: start it again (EX_TEMPFAIL).
    case restartWanted = 75
    /// The configuration is wrong (EX_CONFIG).
    case configuration = 78
}
