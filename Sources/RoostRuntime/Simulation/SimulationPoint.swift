// SPDX-License-Identifier: Apache-2.0

/// A place between two atomic steps, where the other threads of a real run may do anything.
///
/// In a build for simulation (`-DROOST_SIMULATION`) the simulator may run steps of other schedulers there. In any other
/// build there is nothing.
enum SimulationPoint {
    #if ROOST_SIMULATION
    /// The simulation that runs. One at a time: such a build simulates on one thread.
    nonisolated(unsafe) static var simulation: Simulation?

    static func reached() { unsafe simulation?.interleave() }
    #else
    @inline(__always) static func reached() {}
    #endif
}

/// A mistake that a simulation must find, in builds for simulation only: it tests the alarm.
package enum Canary: String, CaseIterable, Sendable {
    /// `Mailbox.wait` writes `waiting` and does not look at the wake flags again (M3).
    case sleepsThroughFlags
    /// `Mailbox.wait` writes `waiting` over whatever was sent (M1, M2).
    case waitsOverNodes
    /// What was sent is taken in newest first (order per sender).
    case newestFirst
    /// `Mailbox.push` enqueues a process that is not waiting (M1).
    case enqueuesTwice
    /// `Mailbox.close` takes the nodes and closes in two steps (M2).
    case closesInTwoSteps
    /// A node for the process that had the slot before is received (M2).
    case receivesOthersNodes
    /// A scheduler does not look again once it has declared that it sleeps (S1).
    case sleepsThroughCommands
    /// A process with frames is given to another scheduler (S2, R1).
    case sharesStacks
    /// Whoever replaces `asleep` does not wake the scheduler (S1).
    case doesNotWake

    #if ROOST_SIMULATION
    nonisolated(unsafe) package static var chosen: Canary?

    static func sings(_ canary: Canary) -> Bool { unsafe chosen == canary }
    #else
    @inline(__always) static func sings(_ canary: Canary) -> Bool { false }
    #endif

    /// Whether this build can have one.
    package static var isPossible: Bool {
        #if ROOST_SIMULATION
        true
        #else
        false
        #endif
    }
}
