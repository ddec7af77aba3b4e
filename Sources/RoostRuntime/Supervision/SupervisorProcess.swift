// SPDX-License-Identifier: Apache-2.0

/// What a supervisor's process does. The state belongs to that process alone.
///
/// Strategies differ in two places: which children a crash concerns (`restart`) and how all of them end
/// (`endChildren`).
struct SupervisorProcess {
    typealias Context = ProcessContext<Supervisor.Request>

    struct Settings: Sendable {
        /// Whose exit signal it obeys; `.outside` where no process owns it.
        let parent: Pid
        let strategy: Supervisor.Strategy
        let intensity: RestartIntensity
        let children: [ChildSpecification]
        let onReport: (@Sendable (SupervisorReport) -> Void)?
    }

    private let settings: Settings
    private var table: ChildTable
    private var window: RestartWindow

    static func run(_ settings: Settings, _ process: borrowing Context) throws {
        var supervisor = SupervisorProcess(settings)
        try supervisor.begin(process)
        while let event = try process.receiveAny() {
            switch event {
            case .message(let request): try supervisor.serve(request.content, process)
            case .exit(let signal): try supervisor.hear(signal, process)
            case .down: break
            }
        }
    }

    private init(_ settings: Settings) {
        self.settings = settings
        table = ChildTable(hasUniqueIDs: settings.strategy != .dynamic)
        window = RestartWindow(settings.intensity)
    }

    // MARK: Life

    /// Starts the children, left to right; where one does not start, ends those that did, right to left, and this
    /// process.
    private mutating func begin(_ process: borrowing Context) throws {
        process.trapExits()
        guard case .begin(let answer) = try process.receive().content else { return }
        for specification in settings.children {
            do throws(SupervisorError) {
                _ = try addChild(specification, .givesUp, process)
            } catch {
                endChildren(process)
                // The caller is told by the answer; its link would end it as well.
                process.unlink(settings.parent)
                answer.send(.failure(error))
                throw ProcessExit(reason: .shutdown)
            }
        }
        answer.send(.success(true))
    }

    private mutating func hear(_ signal: ExitSignal, _ process: borrowing Context) throws {
        if let child = table.child(signal.from) { return try childEnded(child, signal.reason, process) }
        guard signal.from == settings.parent else { return }
        endChildren(process)
        throw ProcessExit(reason: signal.reason)
    }

    // MARK: Requests

    private mutating func serve(_ request: Supervisor.Request.Content, _ process: borrowing Context) throws {
        switch request {
        case .begin(let answer): answer.send(.success(true))
        case .start(let specification, let answer):
            answer.send(
                attempt { supervisor throws(SupervisorError) in
                    try supervisor.addChild(specification, .leavesEnded, process)
                })
        case .restart(let id, let answer):
            answer.send(attempt { supervisor throws(SupervisorError) in try supervisor.restartChild(id, process) })
        case .terminate(let name, let answer):
            answer.send(attempt { supervisor throws(SupervisorError) in try supervisor.terminateChild(name, process) })
        case .delete(let id, let answer):
            answer.send(attempt { supervisor throws(SupervisorError) in try supervisor.deleteChild(id) })
        case .find(let id, let type, let answer):
            answer.send(
                attempt { supervisor throws(SupervisorError) in
                    let child = try supervisor.child(id, for: "address(of:)")
                    return child.specification.messageType == type ? child.pid : nil
                })
        case .list(let answer): answer.send(.success(table.all.map(\.information)))
        case .count(let answer): answer.send(.success(table.counts))
        case .retry(let number):
            guard let child = table.child(number), child.state == .restarting else { return }
            try restart(child, process)
        }
    }

    private mutating func attempt<Value>(
        _ body: (inout SupervisorProcess) throws(SupervisorError) -> Value
    ) -> Result<Value, SupervisorError> {
        do throws(SupervisorError) { return .success(try body(&self)) } catch { return .failure(error) }
    }

    /// The child `id`, for an operation that names children.
    private func child(_ id: String, for operation: String) throws(SupervisorError) -> Child {
        if settings.strategy == .dynamic { throw .unsupported(operation: operation, strategy: .dynamic) }
        guard let child = table.child(id) else { throw .notFound(id: id) }
        return child
    }

    private mutating func addChild(
        _ specification: ChildSpecification, _ action: SupervisorReport.Action, _ process: borrowing Context
    ) throws(SupervisorError) -> Pid? {
        if let present = table.child(specification.id) {
            if let pid = present.pid { throw .alreadyStarted(id: specification.id, pid: pid) }
            throw .alreadyPresent(id: specification.id)
        }
        let pid = try start(specification, action, process)
        if let pid {
            table.add(specification, .running(pid))
        } else if specification.restart != .temporary, settings.strategy != .dynamic {
            table.add(specification, .ended)
        }
        return pid
    }

    private mutating func restartChild(_ id: String, _ process: borrowing Context) throws(SupervisorError) -> Pid? {
        let child = try child(id, for: "restartChild")
        guard child.state == .ended else { throw .running(id: id) }
        let pid = try start(child.specification, .leavesEnded, process)
        if let pid { table.set(.running(pid), of: child) }
        return pid
    }

    private mutating func terminateChild(
        _ name: Supervisor.ChildName, _ process: borrowing Context
    ) throws(SupervisorError) -> Bool {
        let child: Child
        switch name {
        case .id(let id): child = try self.child(id, for: "terminateChild(id)")
        case .pid(let pid):
            guard let found = table.child(pid) else { throw .notFound(id: "\(pid)") }
            child = found
        }
        end(child, process)
        keepOrForget(child)
        return true
    }

    private mutating func deleteChild(_ id: String) throws(SupervisorError) -> Bool {
        let child = try child(id, for: "deleteChild")
        guard child.state == .ended else { throw .running(id: id) }
        table.remove(child)
        return true
    }

    /// What has ended, and is not to start again by itself, is kept for `restartChild`: but for temporary and dynamic
    /// children.
    private mutating func keepOrForget(_ child: Child) {
        if child.specification.restart == .temporary || settings.strategy == .dynamic {
            table.remove(child)
        } else {
            table.set(.ended, of: child)
        }
    }

    // MARK: Starting

    private func start(
        _ specification: ChildSpecification, _ action: SupervisorReport.Action, _ process: borrowing Context
    ) throws(SupervisorError) -> Pid? {
        do {
            return try specification.start(process)
        } catch {
            let reason = (error as? ProcessExit)?.reason ?? .error(error)
            report(specification, nil, .startFailed, reason, action, process)
            throw .startFailed(id: specification.id, reason: reason)
        }
    }

    // MARK: Restarting

    private mutating func childEnded(_ child: Child, _ reason: ExitReason, _ process: borrowing Context) throws {
        guard child.specification.restart.restarts(after: reason) else {
            if !reason.isNormal { report(child.specification, child.pid, .childEnded, reason, .leavesEnded, process) }
            return keepOrForget(child)
        }
        try restart(child, after: (.childEnded, reason), process)
    }

    /// Starts `child` again, unless there have been too many restarts: then it ends its children and itself.
    private mutating func restart(
        _ child: Child, after failure: (event: SupervisorReport.Event, reason: ExitReason)? = nil,
        _ process: borrowing Context
    ) throws {
        let isAllowed = window.allowsRestart(at: .now())
        if let failure {
            report(
                child.specification, child.pid, failure.event, failure.reason, isAllowed ? .restarts : .givesUp, process
            )
        }
        table.set(.restarting, of: child)
        guard isAllowed else {
            endChildren(process)
            throw ProcessExit(reason: .shutdown)
        }
        do throws(SupervisorError) {
            switch settings.strategy {
            case .oneForOne, .dynamic: try startAgain(child, process)
            }
        } catch {
            // Each attempt counts as a restart, and what else waits is looked after between them.
            process.address.send(Supervisor.Request(content: .retry(child.number)))
        }
    }

    private mutating func startAgain(_ child: Child, _ process: borrowing Context) throws(SupervisorError) {
        if let pid = try start(child.specification, .restarts, process) {
            table.set(.running(pid), of: child)
        } else {
            keepOrForget(child)
        }
    }

    // MARK: Ending

    /// Ends all children: in reverse order, one after the other; those of a dynamic supervisor all at once.
    private mutating func endChildren(_ process: borrowing Context) {
        switch settings.strategy {
        case .oneForOne:
            for child in table.all.reversed() {
                end(child, process)
                table.remove(child)
            }
        case .dynamic:
            endAllAtOnce(process)
        }
    }

    /// Ends a child and waits until it has ended.
    private func end(_ child: Child, _ process: borrowing Context) {
        guard let pid = child.pid else { return }
        let shutdown = child.specification.shutdown
        let reference = process.monitor(pid)
        process.unlink(pid)
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
        noteEnd(of: child, down.reason, process)
    }

    private mutating func endAllAtOnce(_ process: borrowing Context) {
        var waiting: [Reference: Child] = [:]
        var deadlines: [(time: MonotonicTime, reference: Reference, pid: Pid)] = []
        for child in table.all {
            guard let pid = child.pid else { continue }
            let reference = process.monitor(pid)
            waiting[reference] = child
            process.unlink(pid)
            process.exit(pid, child.specification.shutdown == .brutalKill ? .kill : .shutdown)
            if case .timeout(let duration) = child.specification.shutdown {
                deadlines.append((.now() + duration, reference, pid))
            }
        }
        deadlines.sort { $0.time > $1.time }  // the next one last
        while !waiting.isEmpty {
            let now = MonotonicTime.now()
            while let next = deadlines.last, next.time <= now || waiting[next.reference] == nil {
                deadlines.removeLast()
                if waiting[next.reference] != nil { process.exit(next.pid, .kill) }
            }
            // Whatever else waits in the mailbox is not served any more: callers see that the supervisor has ended.
            let timeout = deadlines.last.map { $0.time - now }
            guard let event = try? process.receiveAny(timeout: timeout) else {
                if process.isToldToExit { return }
                continue
            }
            guard case .down(let down) = event, let child = waiting.removeValue(forKey: down.reference) else {
                continue
            }
            noteEnd(of: child, down.reason, process)
        }
        table = ChildTable(hasUniqueIDs: false)
    }

    /// Reports a child that did not end as it was told to.
    private func noteEnd(of child: Child, _ reason: ExitReason, _ process: borrowing Context) {
        var reason = reason
        // It had ended before: its exit signal, which is no longer listened for, knows why.
        if case .noProcess = reason, let pid = child.pid { reason = (try? process.takeExit(from: pid)) ?? reason }
        switch reason {
        case .shutdown: return
        case .killed where child.specification.shutdown == .brutalKill: return
        case .normal where child.specification.restart != .permanent: return
        default: report(child.specification, child.pid, .shutdownFailed, reason, .leavesEnded, process)
        }
    }

    // MARK: Reporting

    private func report(
        _ specification: ChildSpecification, _ child: Pid?, _ event: SupervisorReport.Event, _ reason: ExitReason,
        _ action: SupervisorReport.Action, _ process: borrowing Context
    ) {
        settings.onReport?(
            SupervisorReport(
                supervisor: process.pid, id: specification.id, child: child, event: event, reason: reason,
                action: action))
    }
}
