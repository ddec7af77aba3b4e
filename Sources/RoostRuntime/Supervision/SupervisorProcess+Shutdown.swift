// SPDX-License-Identifier: Apache-2.0

// How children are made to end. (OTP: `supervisor.erl`, `shutdown`, `terminate_dynamic_children`.)

extension SupervisorProcess {
    /// What telling one child costs: two signals and a monitor.
    private static var reductionsPerChild: Int64 { 3 }
    /// So many children are told before they have their turn, and those that have ended are heard of: the run queue and
    /// the mailbox stay short.
    private static var toldBeforeHearing: Int { 256 }

    /// Ends all children: in reverse order, one after the other; those of a dynamic supervisor all at once.
    mutating func endChildren(_ process: borrowing Context) throws {
        if settings.strategy == .dynamic { return try endAllAtOnce(process) }
        for number in table.numbers().reversed() {
            guard let child = table.child(number) else { continue }
            shutDown(child, process)
            table.remove(child)
            if process.isToldToExit { throw ProcessExit(reason: .killed) }
        }
    }

    /// Ends a child and waits until it has ended.
    ///
    /// A monitor says when: a child that has unlinked itself sends no exit signal. Where there is a link, its signal
    /// says why: it also knows the reason of a child that had ended before.
    func shutDown(_ child: Child, _ process: borrowing Context) {
        guard let pid = child.pid else { return process.charge(1) }
        let shutdown = child.specification.shutdown
        let reference = process.monitor(pid)
        process.exit(pid, shutdown == .brutalKill ? .kill : .shutdown)
        // A supervisor that is killed meanwhile gets no further than here; its children are linked or told already.
        var timeout: Duration?
        if case .timeout(let duration) = shutdown { timeout = duration }
        var down = try? process.receiveDown(of: reference, timeout: timeout)
        if down == nil {
            process.exit(pid, .kill)
            down = try? process.receiveDown(of: reference)
        }
        guard let down else { return }
        let signalled = try? process.receiveExit(from: pid)
        noteEnd(of: child, signalled ?? down.reason, process)
    }

    /// Tells all children to end, then waits for them; kills those whose time is up.
    ///
    /// Between small steps others of this scheduler have their turns, and what has ended is forgotten: a million
    /// children take long, but hold nobody up, and the mailbox stays short.
    private mutating func endAllAtOnce(_ process: borrowing Context) throws {
        var failures = ShutdownFailures()
        var timeouts: Set<Duration> = []
        var untilHearing = Self.toldBeforeHearing
        for part in 0..<table.partCount {
            for number in table.numbers(inPart: part) {
                guard let child = table.child(number) else { continue }
                guard let pid = child.pid else {
                    table.remove(child)
                    continue
                }
                if case .timeout(let duration) = child.specification.shutdown { timeouts.insert(duration) }
                _ = process.monitor(pid)
                process.exit(pid, child.specification.shutdown == .brutalKill ? .kill : .shutdown)
                process.charge(Self.reductionsPerChild)
                untilHearing -= 1
                if untilHearing == 0 {
                    try process.giveWay()
                    while try hearOneEnd(timeout: .zero, &failures, process) {}
                    untilHearing = Self.toldBeforeHearing
                }
            }
        }
        let told = MonotonicTime.now()
        var deadlines = timeouts.sorted(by: >)  // the next one last
        while !table.isEmpty {
            guard let next = deadlines.last else {
                _ = try hearOneEnd(timeout: nil, &failures, process)
                continue
            }
            let time = told + next
            let now = MonotonicTime.now()
            if time > now, try hearOneEnd(timeout: time - now, &failures, process) { continue }
            if time > MonotonicTime.now() { continue }
            deadlines.removeLast()
            kill(.timeout(next), process)
        }
        for failure in failures.all {
            let child = failure.first
            report(.shutdownError, failure.reason, child.specification, child.pid, count: failure.count, process)
        }
    }

    private func kill(_ shutdown: ChildSpecification.Shutdown, _ process: borrowing Context) {
        for part in 0..<table.partCount {
            for number in table.numbers(inPart: part) {
                guard let child = table.child(number), let pid = child.pid else { continue }
                if child.specification.shutdown == shutdown { process.exit(pid, .kill) }
                process.charge(1)
            }
        }
    }

    /// Hears of the next child that has ended, at most `timeout` long; false when nothing came.
    ///
    /// Whatever else waits in the mailbox is not served any more: callers see that the supervisor has ended.
    private mutating func hearOneEnd(
        timeout: Duration?, _ failures: inout ShutdownFailures, _ process: borrowing Context
    ) throws -> Bool {
        let ended: (pid: Pid, reason: ExitReason)
        switch try process.receiveAny(timeout: timeout) {
        case .exit(let signal): ended = (signal.from, signal.reason)
        // It had ended before: the exit signal, which is on its way, knows why.
        case .down(let down):
            if case .noProcess = down.reason, process.isLinked(with: down.pid) { return true }
            ended = (down.pid, down.reason)
        case .message: return true
        case nil: return false
        }
        guard let child = table.child(ended.pid), child.pid == ended.pid else { return true }
        // A signal that somebody sent: the child has not ended.
        if process.isLinked(with: ended.pid) { return true }
        if let failure = failure(of: child, ended.reason) { failures.add(failure, child) }
        table.remove(child)
        return true
    }

    /// Reports a child that did not end as it was told to.
    private func noteEnd(of child: Child, _ reason: ExitReason, _ process: borrowing Context) {
        guard let reason = failure(of: child, reason) else { return }
        report(.shutdownError, reason, child.specification, child.pid, process)
    }

    /// `reason`, where a child that was told to end should have ended for another.
    private func failure(of child: Child, _ reason: ExitReason) -> ExitReason? {
        let isPermanent = child.specification.restart == .permanent
        let isBrutal = child.specification.shutdown == .brutalKill
        return switch reason {
        case .shutdown: isBrutal && isPermanent ? reason : nil
        case .killed: isBrutal ? nil : reason
        case .normal, .shutdownTerm: isPermanent ? reason : nil
        default: reason
        }
    }
}

/// Children of a dynamic supervisor that did not end as told: counted by what they have in common, for there may be a
/// million.
private struct ShutdownFailures {
    private(set) var all: [(first: Child, reason: ExitReason, count: Int)] = []

    mutating func add(_ reason: ExitReason, _ child: Child) {
        if let index = all.firstIndex(where: { $0.reason.label == reason.label }) {
            all[index].count += 1
        } else {
            all.append((child, reason, 1))
        }
    }
}
