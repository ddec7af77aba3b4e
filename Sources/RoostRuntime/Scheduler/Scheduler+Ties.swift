// SPDX-License-Identifier: Apache-2.0

internal import CRoost

// A process that ends with very many links, monitors or observers: a supervisor that is killed.

/// What was tied to a process that has ended.
// Safe: the process is over, and the one that tells the others is the only one left that has it.
private struct Remains: @unchecked Sendable { let extras: ProcessExtras }

extension SchedulerRef {
    /// Ties up to which the end of a process is told in one go: some tens of microseconds.
    static var toldAtOnceMax: Int { 256 }

    /// Tells all that were tied to `pid`, in a process of its own, so that others of this scheduler have their turns
    /// between, which frees `extras` then. False where they are few: the caller tells them, and frees.
    func tellsInSteps(of pid: Pid, _ reason: ExitReason, _ extras: ProcessExtras) -> Bool {
        guard extras.links.count + extras.observers.count + extras.monitors.count > Self.toldAtOnceMax else {
            return false
        }
        let remains = Remains(extras: extras)
        let options = ProcessOptions(heapByteCountMax: 0)
        _ = unsafe state.runtime.start(receiving: Never.self, options: options, link: nil, monitor: nil) { _ in
            var left = Self.toldAtOnceMax
            remains.extras.links.forEach { link, _ in
                Self.inStep(&left) { $0.sendSignal(.exit(from: pid, reason: reason, isLink: true), to: link) }
            }
            remains.extras.observers.forEach { reference, observer in
                Self.inStep(&left) { $0.tell(observer, of: pid, reference, reason) }
            }
            remains.extras.monitors.forEach { reference, target in
                Self.inStep(&left) { $0.sendSignal(.demonitor(reference: reference), to: target) }
            }
            Self.inStep(&left) { remains.extras.free(&$0.state.blocks) }
        }
        return true
    }

    /// One signal, charged; the turn may end after it, and does after `left` of them. Process context.
    private static func inStep<Result>(_ left: inout Int, _ body: (SchedulerRef) -> Result) {
        roost_enter()
        roost_charge(2)
        if let scheduler = SchedulerRef.current { _ = body(scheduler) }
        left -= 1
        if left == 0 {
            left = toldAtOnceMax
            SchedulerRef.currentProcess?.yieldTurn()
        }
        roost_leave()
    }
}
