// SPDX-License-Identifier: Apache-2.0

// What becomes of a child that has ended by itself, and of the others. (OTP: `supervisor.erl`, `do_restart`.)

extension SupervisorProcess {
    mutating func childEnded(_ child: Child, _ reason: ExitReason, _ process: borrowing Context) throws {
        let specification = child.specification
        if reason.isCrash { report(.crash, reason, specification, child.pid, process) }
        if specification.restart == .permanent || !reason.isNormal {
            report(.childTerminated, reason, specification, child.pid, process)
        }
        guard !specification.restart.restarts(after: reason) else { return try restart(child, process) }
        keepOrForget(child)
        guard specification.isSignificant else { return }
        switch settings.autoShutdown {
        case .never: break
        case .anySignificant: try end(.shutdown, process)
        case .allSignificant: if table.activeSignificantCount == 0 { try end(.shutdown, process) }
        }
    }

    /// Starts `child` again, and with it those that the strategy says, unless there have been too many restarts: then
    /// it ends its children and itself.
    mutating func restart(_ child: Child, _ process: borrowing Context) throws {
        guard window.allowsRestart(at: .now()) else {
            let reason = ExitReason.error(SupervisorError.reachedMaxRestartIntensity(settings.intensity))
            report(.shutdown, reason, child.specification, child.pid, process)
            keepOrForget(child)
            try end(.shutdown, process)
        }
        table.set(.restarting, of: child)
        switch settings.strategy {
        case .oneForOne, .dynamic: try restartAlone(child, process)
        case .oneForAll: try restartAll(from: 0, process)
        case .restForOne: try restartAll(from: child.number, process)
        }
    }

    private mutating func restartAlone(_ child: Child, _ process: borrowing Context) throws {
        do {
            if let pid = try start(child.specification, process) {
                table.set(.running(pid), of: child)
            } else {
                keepOrForget(child)
            }
        } catch is SupervisorError {
            tryAgain(child.number, process)
        }
    }

    /// Ends the children from `first` on, in reverse order, and starts them again, in order, whether they ran before or
    /// not: but for temporary ones, which are forgotten. Where one does not start, those before it run on, those after
    /// it wait for the next attempt.
    private mutating func restartAll(from first: UInt64, _ process: borrowing Context) throws {
        for number in table.numbers(from: first).reversed() {
            guard let child = table.child(number) else { continue }
            shutDown(child, process)
            keepOrForget(child)
        }
        if process.isToldToExit { throw ProcessExit(reason: .killed) }
        for number in table.numbers(from: first) {
            guard let child = table.child(number) else { continue }
            do {
                if let pid = try start(child.specification, process) { table.set(.running(pid), of: child) }
            } catch is SupervisorError {
                table.set(.restarting, of: child)
                return tryAgain(number, process)
            }
        }
    }

    /// Each attempt counts as a restart, and what else waits is looked after between them.
    private func tryAgain(_ number: UInt64, _ process: borrowing Context) {
        process.address.send(Supervisor.Request(content: .retry(number)))
    }
}

extension ExitReason {
    /// The process failed by itself. (OTP: what makes `proc_lib` write a crash report.)
    fileprivate var isCrash: Bool {
        switch self {
        case .error, .trapped, .heapLimit, .mailboxLimit: true
        case .normal, .shutdown, .shutdownTerm, .killed, .kill, .noProcess: false
        }
    }
}
