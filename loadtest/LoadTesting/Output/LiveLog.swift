// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// The lines that say how far a test is where standard error is no terminal: each is complete in itself. Pure.
package struct LiveLog: Sendable {
    /// When the next line is due, in seconds since the view began.
    private var nextSeconds = 1.0

    package init() {}

    /// Each second in the first ten, then each tenth.
    package mutating func line(_ state: LiveState, at now: Double) -> String? {
        guard now >= nextSeconds else { return nil }
        let step = now < 10 ? 1.0 : 10.0
        nextSeconds = ((now / step).rounded(.down) + 1) * step
        return Self.text(state, at: now)
    }

    static func text(_ state: LiveState, at now: Double) -> String {
        let elapsed = Format.elapsed(now - state.phaseSince)
        let bound = state.phaseSeconds.map { " of \(Format.elapsed($0))" } ?? ""
        var parts = [
            "\(state.phase.words): \(elapsed)\(bound)",
            "\(Format.grouped(state.openCount)) of \(Format.grouped(state.clientCount)) connections",
        ]
        if state.phase == .connecting, state.failedCount > 0 {
            parts.append("\(Format.grouped(state.failedCount)) failed to open")
        }
        if let last = state.last {
            if let noun = state.plan.completedNoun {
                parts.append("\(Format.grouped(Int((state.rates.last ?? 0).rounded()))) \(noun)/s")
            }
            let measure = last.groups.together.distributions
            let choice = DistributionChoice.main(of: state.plan.scenario, in: measure)
            let histogram = measure[keyPath: choice.path]
            if histogram.totalCount > 0 {
                let values = [("p50", 50.0), ("p99", 99), ("max", 100)].map { name, percentile in
                    "\(name) \(Format.duration(nanoseconds: histogram.valueAtPercentile(percentile)))"
                }
                parts.append("\(choice.title) " + values.joined(separator: " "))
            }
        }
        let lost = state.total.reduce(0) { $0 + $1.counters.lost }
        if lost > 0 { parts.append("\(Format.grouped(lost)) lost") }
        if let first = state.errors.first {
            parts.append("\(Format.grouped(state.errorCount)) errors, most often: \(first.kind)")
        }
        return TerminalText.printable(parts.joined(separator: ", "))
    }
}
