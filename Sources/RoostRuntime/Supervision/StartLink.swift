// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// How a process that `startLink` started says that it is ready. (OTP: `proc_lib:init_ack`.)
public struct InitialAcknowledgement: Sendable {
    let reply: ReplyAddress<Bool>

    /// Lets whoever started the process go on. Once is enough; in any process.
    public func ready() { reply.send(true) }
}

/// Why a process that should say when it is ready has not done so.
public enum StartError: Error, Sendable, CustomStringConvertible {
    /// It ended before.
    case ended(ExitReason)
    /// It was not ready in time, and has been killed.
    case timedOut(Duration)

    public var description: String {
        switch self {
        case .ended(let reason): "ended before it was ready: \(reason)"
        case .timedOut(let duration): "was not ready within \(duration)"
        }
    }
}

/// The process that the waiting one obeys has told it to end, or has ended.
struct ToldToEnd: Error { let signal: ExitSignal }

extension ProcessContext {
    /// Starts a process linked with this one and waits until it calls `ready()`. (OTP: `proc_lib:start_link`.)
    ///
    /// Throws `StartError` when the process ends before, or is not ready after `timeout`, when it is killed; and
    /// `ProcessExit` when this process is told to exit. A process that does not trap exits ends with one that fails to
    /// start.
    public func startLink<Other: Sendable>(
        receiving type: Other.Type, timeout: Duration? = nil, options: ProcessOptions = ProcessOptions(),
        _ body: @escaping @Sendable (borrowing ProcessContext<Other>, InitialAcknowledgement) throws -> Void
    ) throws -> Address<Other> {
        try start(receiving: type, isLinked: true, timeout: timeout, obeying: nil, options: options, body)
    }

    /// As `startLink`; throws `ToldToEnd` when an exit signal of `parent` comes first, to a process that traps exits.
    func start<Other: Sendable>(
        receiving type: Other.Type, isLinked: Bool, timeout: Duration?, obeying parent: Pid?, options: ProcessOptions,
        _ body: @escaping @Sendable (borrowing ProcessContext<Other>, InitialAcknowledgement) throws -> Void
    ) throws -> Address<Other> {
        Runtime.checkAlignment(type)
        let deadline = timeout.map { MonotonicTime.now() + $0 }
        let reference = Reference.next()
        let acknowledgement = InitialAcknowledgement(reply: ReplyAddress(caller: pid, reference: reference))
        let child = spawnTied(receiving: type, reference, isLinked, options) { try body($0, acknowledgement) }
        switch try waitForStart(reference, parent, deadline) {
        case .ready:
            demonitor(reference)
            return child
        case .ended(let reason):
            if isLinked { _ = try receiveExit(from: child.pid) }
            throw StartError.ended(reason)
        case .toldToEnd(let signal):
            try killUnstarted(child.pid, reference, isLinked)
            throw ToldToEnd(signal: signal)
        case nil:
            try killUnstarted(child.pid, reference, isLinked)
            throw StartError.timedOut(timeout ?? .zero)
        }
    }

    /// Links and monitors from the first moment, so that the reason of an early end is known.
    private func spawnTied<Other: Sendable>(
        receiving type: Other.Type, _ reference: Reference, _ isLinked: Bool, _ options: ProcessOptions,
        _ body: @escaping @Sendable (borrowing ProcessContext<Other>) throws -> Void
    ) -> Address<Other> {
        roost_enter()
        defer { roost_leave() }
        let child = runtime.start(
            receiving: type, options: options, link: isLinked ? pid : nil, monitor: (reference, .process(pid)), body)
        if isLinked { SchedulerRef.currentProcess?.extras.links.add(child.pid, ()) }
        SchedulerRef.currentProcess?.extras.monitors.add(reference, child.pid)
        return child
    }

    private func waitForStart(
        _ reference: Reference, _ parent: Pid?, _ deadline: MonotonicTime?
    ) throws(ProcessExit) -> StartOutcome? {
        try wait(until: deadline) { process, node in
            switch node.kind {
            case .reply:
                return unsafe node.trailer.pointee.number == reference.number ? .ready : nil
            case .down:
                // Safe: the kind says what the payload is; it is only looked at until it is taken.
                guard unsafe node.payload.assumingMemoryBound(to: Down.self).pointee.reference == reference else {
                    return nil
                }
                return .ended(Self.takeDown(node, process).reason)
            case .exit:
                // Safe: as above.
                guard unsafe node.payload.assumingMemoryBound(to: ExitSignal.self).pointee.from == parent else {
                    return nil
                }
                return .toldToEnd(node.takePayload(as: ExitSignal.self))
            case .message, .request, .signal, .undeliverable: return nil
            }
        }
    }

    private func killUnstarted(_ child: Pid, _ reference: Reference, _ isLinked: Bool) throws(ProcessExit) {
        exit(child, .kill)
        _ = try receiveDown(of: reference)
        if isLinked { _ = try receiveExit(from: child) }
    }

    /// The exit signal of `pid`, which has ended: where it was linked to this process, the signal is here or on its
    /// way. nil where it was not, or this process does not trap exits.
    func receiveExit(from pid: Pid) throws(ProcessExit) -> ExitReason? {
        try wait(until: isLinked(with: pid) ? nil : .now()) { _, node in
            // Safe: the kind says what the payload is; it is only looked at until it is taken.
            guard node.kind == .exit, unsafe node.payload.assumingMemoryBound(to: ExitSignal.self).pointee.from == pid
            else {
                return nil
            }
            return node.takePayload(as: ExitSignal.self).reason
        }
    }

    /// Whether this process is linked with `pid`, as far as what has arrived says.
    func isLinked(with pid: Pid) -> Bool {
        roost_enter()
        defer { roost_leave() }
        guard let process = SchedulerRef.currentProcess else { return false }
        SchedulerRef.current?.collectInbox(of: process)
        return process.block.extras?.links.contains(pid) ?? false
    }

    /// Ends the turn and goes on behind all that is runnable now: what this process has woken runs first, where being
    /// preempted would let it go on before most of it.
    func giveWay() throws(ProcessExit) {
        roost_enter()
        defer { roost_leave() }
        guard let process = SchedulerRef.currentProcess else { return }
        process.yieldTurn()
        try process.throwIfExiting()
    }

    /// Charges for work that the runtime does in this process; the turn may end here.
    func charge(_ reductions: Int64) {
        roost_enter()
        roost_charge(reductions)
        roost_leave()
    }
}

private enum StartOutcome {
    case ready
    case ended(ExitReason)
    case toldToEnd(ExitSignal)
}
