// SPDX-License-Identifier: Apache-2.0

/// What a supervisor's process does. The state belongs to that process alone.
///
/// Its life and its requests are here; restarts and the end of children have files of their own.
struct SupervisorProcess {
    typealias Context = ProcessContext<Supervisor.Request>

    struct Settings: Sendable {
        /// Whose exit signal it obeys; `.outside` where no process owns it.
        var parent: Pid
        let strategy: Supervisor.Strategy
        let intensity: RestartIntensity
        let autoShutdown: Supervisor.AutoShutdown
        let children: [ChildSpecification]
        let onReport: (@Sendable (SupervisorReport) -> Void)?

        /// (OTP: the errors `supervisor_data` and `start_spec`.)
        func check() throws(SupervisorError) {
            if strategy == .dynamic, autoShutdown != .never {
                throw .invalidAutoShutdown(autoShutdown, strategy: strategy)
            }
            guard strategy == .dynamic else {
                return try Supervisor.checkChildSpecifications(children, autoShutdown: autoShutdown)
            }
            for child in children { try child.check(autoShutdown: .never) }
        }
    }

    let settings: Settings
    var table: ChildTable
    var window: RestartWindow
    /// An exit signal of the parent that came while a child was being started.
    private var parentSignal: ExitSignal?

    static func run(_ settings: Settings, _ process: borrowing Context, _ acknowledgement: InitialAcknowledgement)
        throws
    {
        process.trapExits()
        var supervisor = SupervisorProcess(settings)
        try supervisor.startChildren(process)
        acknowledgement.ready()
        while true {
            if let signal = supervisor.parentSignal.take() { try supervisor.hear(signal, process) }
            switch try process.receiveAny() {
            case .message(let request): try supervisor.serve(request.content, process)
            case .exit(let signal): try supervisor.hear(signal, process)
            case .down, nil: break
            }
        }
    }

    private init(_ settings: Settings) {
        self.settings = settings
        table = ChildTable(isDynamic: settings.strategy == .dynamic)
        window = RestartWindow(settings.intensity)
    }

    // MARK: Life

    /// Starts the children, left to right; where one does not start, ends those that did, right to left, and this
    /// process.
    private mutating func startChildren(_ process: borrowing Context) throws {
        for specification in settings.children {
            do {
                _ = try addChild(specification, process)
            } catch let error as SupervisorError {
                try endChildren(process)
                // Whoever started it hears of it as its reason to end; the link would end them as well.
                process.unlink(settings.parent)
                throw ProcessExit(reason: .shutdownTerm(error))
            }
        }
    }

    private mutating func hear(_ signal: ExitSignal, _ process: borrowing Context) throws {
        if signal.from == settings.parent { try end(signal.reason, process) }
        // The end of a child that has been dealt with, or a signal that somebody sent: while the link holds, the child
        // has not ended, whoever says so.
        guard let child = table.child(signal.from), child.pid == signal.from, !process.isLinked(with: signal.from)
        else { return }
        try childEnded(child, signal.reason, process)
    }

    /// Ends the children, then this process.
    mutating func end(_ reason: ExitReason, _ process: borrowing Context) throws -> Never {
        try endChildren(process)
        throw ProcessExit(reason: reason)
    }

    // MARK: Requests

    private mutating func serve(_ request: Supervisor.Request.Content, _ process: borrowing Context) throws {
        switch request {
        case .start(let specification, let answer):
            answer.send(
                try attempt { supervisor in
                    try specification.check(autoShutdown: supervisor.settings.autoShutdown)
                    return try supervisor.addChild(specification, process)
                })
        case .restart(let id, let answer):
            answer.send(try attempt { try $0.restartChild(id, process) })
        case .terminate(let name, let answer):
            answer.send(try attempt { try $0.terminateChild(name, process) })
        case .delete(let id, let answer):
            answer.send(try attempt { try $0.deleteChild(id) })
        case .find(let id, let type, let answer):
            answer.send(
                try attempt { supervisor in
                    let child = try supervisor.child(id, for: "address(of:)")
                    return child.specification.messageType == type ? child.pid : nil
                })
        case .specification(let name, let answer):
            answer.send(try attempt { try $0.namedChild(name, for: "getChildSpecification(id)").specification })
        case .list(let answer): answer.send(.success(list(process)))
        case .count(let answer): answer.send(.success(count(process)))
        case .retry(let number):
            guard let child = table.child(number), child.state == .restarting else { return }
            try restart(child, process)
        case .stop(let reason): try end(reason, process)
        }
    }

    /// A refusal is the answer; what ends this process passes.
    private mutating func attempt<Value>(
        _ body: (inout SupervisorProcess) throws -> Value
    ) throws -> Result<Value, SupervisorError> {
        do { return .success(try body(&self)) } catch let error as SupervisorError { return .failure(error) }
    }

    /// The child `id`, for an operation that names children.
    private func child(_ id: String, for operation: String) throws(SupervisorError) -> Child {
        if settings.strategy == .dynamic { throw .unsupported(operation: operation, strategy: .dynamic) }
        guard let child = table.child(id) else { throw .notFound(id: id) }
        return child
    }

    private func namedChild(
        _ name: Supervisor.ChildName, for operation: String
    ) throws(SupervisorError) -> Child {
        switch name {
        case .id(let id): return try child(id, for: operation)
        case .pid(let pid):
            guard let child = table.child(pid) else { throw .notFound(id: "\(pid)") }
            return child
        }
    }

    private mutating func addChild(_ specification: ChildSpecification, _ process: borrowing Context) throws -> Pid? {
        if let present = table.child(specification.id) {
            if let pid = present.pid { throw SupervisorError.alreadyStarted(id: specification.id, pid: pid) }
            throw SupervisorError.alreadyPresent(id: specification.id)
        }
        let pid = try start(specification, process)
        if let pid {
            table.add(specification, .running(pid))
        } else if specification.restart != .temporary, settings.strategy != .dynamic {
            table.add(specification, .undefined)
        }
        return pid
    }

    private mutating func restartChild(_ id: String, _ process: borrowing Context) throws -> Pid? {
        let child = try child(id, for: "restartChild")
        try checkDoesNotRun(child)
        let pid = try start(child.specification, process)
        if let pid { table.set(.running(pid), of: child) }
        return pid
    }

    private mutating func terminateChild(_ name: Supervisor.ChildName, _ process: borrowing Context) throws -> Bool {
        // A pid that has ended was perhaps a child's: it is as it should be.
        if case .pid(let pid) = name, settings.strategy == .dynamic, table.child(pid) == nil,
            ProcessTable.find(pid) == nil
        {
            return true
        }
        let child = try namedChild(name, for: "terminateChild(id)")
        shutDown(child, process)
        keepOrForget(child)
        return true
    }

    private mutating func deleteChild(_ id: String) throws -> Bool {
        let child = try child(id, for: "deleteChild")
        try checkDoesNotRun(child)
        table.remove(child)
        return true
    }

    private func checkDoesNotRun(_ child: Child) throws(SupervisorError) {
        switch child.state {
        case .running: throw .running(id: child.specification.id)
        case .restarting: throw .restarting(id: child.specification.id)
        case .undefined: break
        }
    }

    /// What has ended, and is not to start again by itself, is kept for `restartChild`: but for temporary and dynamic
    /// children.
    mutating func keepOrForget(_ child: Child) {
        if child.specification.restart == .temporary || settings.strategy == .dynamic {
            table.remove(child)
        } else {
            table.set(.undefined, of: child)
        }
    }

    private func list(_ process: borrowing Context) -> [ChildInformation] {
        var list: [ChildInformation] = []
        list.reserveCapacity(table.counts.specifications)
        if settings.strategy != .dynamic { return table.numbers().compactMap { table.child($0)?.information } }
        for part in 0..<table.partCount {
            for number in table.numbers(inPart: part) {
                if let child = table.child(number) { list.append(child.information) }
            }
            process.charge(Int64(list.count / table.partCount))
        }
        return list
    }

    /// A child that has ended and whose end has not been heard of is not active; only of a dynamic supervisor's many it
    /// is not asked.
    private func count(_ process: borrowing Context) -> ChildCounts {
        var counts = table.counts
        guard settings.strategy != .dynamic else { return counts }
        for number in table.numbers() {
            if let pid = table.child(number)?.pid, ProcessTable.find(pid) == nil { counts.active -= 1 }
        }
        return counts
    }

    // MARK: Starting

    /// Starts a child and sees to it that it is linked. Reports, and throws `SupervisorError.startFailed` when there is
    /// none.
    mutating func start(_ specification: ChildSpecification, _ process: borrowing Context) throws -> Pid? {
        let reason: ExitReason
        do {
            guard let pid = try specification.start?(process, settings.parent) else { return nil }
            if let other = table.child(pid) {
                throw SupervisorError.alreadyStarted(id: other.specification.id, pid: pid)
            }
            process.link(pid)
            if settings.strategy != .dynamic { report(.progress, .normal, specification, pid, process) }
            return pid
        } catch let told as ToldToEnd {
            parentSignal = told.signal
            throw SupervisorError.startFailed(id: specification.id, reason: told.signal.reason)
        } catch StartError.ended(let ended) {
            reason = ended
        } catch let error as SupervisorError {
            reason = .shutdownTerm(error)
        } catch let exit as ProcessExit {
            if process.isToldToExit { throw exit }
            reason = exit.reason
        } catch {
            reason = .error(error)
        }
        report(.startError, reason, specification, nil, process)
        throw SupervisorError.startFailed(id: specification.id, reason: reason)
    }

    // MARK: Reporting

    func report(
        _ event: SupervisorReport.Event, _ reason: ExitReason, _ specification: ChildSpecification, _ child: Pid?,
        count: Int = 1, _ process: borrowing Context
    ) {
        settings.onReport?(
            SupervisorReport(
                supervisor: process.pid, event: event, reason: reason, specification: specification, child: child,
                childCount: count))
    }
}
