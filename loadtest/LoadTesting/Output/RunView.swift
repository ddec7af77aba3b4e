// SPDX-License-Identifier: Apache-2.0

/// A run's watcher: shows it on the terminal, and keeps what was found so far in a file.
package final class RunView: RunObserver {
    private let view: LiveView
    private let keep: (RunRecord) -> Void

    /// `keep` is called now and then with all that was found so far.
    package init(_ plan: LoadPlan, isQuiet: Bool, keep: @escaping (RunRecord) -> Void) {
        view = LiveView(isQuiet: isQuiet)
        self.keep = keep
        view.started(plan)
    }

    package func phaseChanged(_ phase: Phase) { view.phaseChanged(phase) }
    package func connecting(settled: Int, of count: Int, failed: Int) {
        view.connecting(settled: settled, of: count, failed: failed)
    }
    package func interval(_ interval: Interval, errors: [TestError]) { view.interval(interval, errors: errors) }
    package func tick() { view.redraw() }
    package func checkpoint(_ record: RunRecord) { keep(record) }
    package func finish() { view.finish() }
}
