// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// A message, as it is traced.
public struct TracedMessage: Sendable {
    /// What it is: a message, a request, a reply, the end of a monitored process, an exit signal.
    public let kind: String
    /// nil where the type is not known: that of a value that needs no destruction is not kept everywhere.
    public let typeName: String?
    /// Of the message with its header.
    public let byteCount: Int
}

/// Something that a traced process did, or that was done to it. (Erlang: `erlang:trace/3`.)
public enum TraceEvent: Sendable {
    /// Why a turn ended.
    public enum TurnEnd: String, Sendable { case finished, waits, preempted, trapped }

    /// A turn begins and ends. (`running`)
    case scheduledIn
    case scheduledOut(reductions: Int, TurnEnd)
    /// It sent a message. (`send`)
    case sent(TracedMessage, to: Pid)
    /// A message reached its mailbox. (`receive`)
    case received(TracedMessage)
    /// It started a process. (`procs`)
    case spawned(Pid)
    /// It linked itself with another or ended a link; another did.
    case linked(Pid)
    case unlinked(Pid)
    case wasLinked(by: Pid)
    case wasUnlinked(by: Pid)
    /// It has ended: the last event.
    case exited(ExitReason)
}

/// What hears of a traced process.
typealias Tracer = @Sendable (Pid, TraceEvent) -> Void

extension Runtime {
    /// Has `body` called with everything that `pid` does from its next turn on, in order. Replaces the tracer that it
    /// had; nil ends the tracing. False when the process has ended. Any thread.
    ///
    /// `body` runs on the process's scheduler, outside the process or with preemption off: it must be quick, must not
    /// block, and a trap in it ends the program. It should not send to the process that it traces, which would trace
    /// for ever. What it allocates is booked on nobody. A process that is not traced pays nothing for it.
    @discardableResult
    public func trace(_ pid: Pid, _ body: (@Sendable (Pid, TraceEvent) -> Void)?) -> Bool {
        roost_enter()
        defer { roost_leave() }
        let signal = Signal.inspect { process in
            guard let process else { return }
            Accounting.unbooked {
                if body != nil || process.block.extras != nil { process.extras.tracer = body }
            }
            if body == nil {
                process.block.flags.remove(.isTraced)
            } else {
                process.block.flags.insert(.isTraced)
            }
            if SchedulerRef.currentProcess == process {
                unsafe roost_thread_current().pointee.is_traced = body == nil ? 0 : 1
            }
        }
        return SchedulerRef.current?.sendSignal(signal, to: pid) ?? External.sendSignal(signal, to: pid)
    }
}

/// The places that tell of a traced process. Each is behind a test of `isCurrent` or of the process's flag.
enum Tracing {
    /// Whether the process that runs on this thread is traced.
    @inline(__always)
    static var isCurrent: Bool { unsafe roost_thread_current().pointee.is_traced != 0 }

    /// Tells of the process that runs. Depth 1.
    @inline(never)
    static func note(_ event: TraceEvent) {
        if let process = SchedulerRef.currentProcess { note(event, of: process) }
    }

    /// Tells of a process that this thread's scheduler looks after.
    @inline(never)
    static func note(_ event: TraceEvent, of process: ProcessRef) {
        guard let tracer = process.block.extras?.tracer else { return }
        let thread = unsafe roost_thread_current()
        // What the tracer does itself is not traced.
        let wasTraced = unsafe thread.pointee.is_traced
        unsafe thread.pointee.is_traced = 0
        Accounting.unbooked { tracer(process.pid, event) }
        unsafe thread.pointee.is_traced = wasTraced
    }

    @inline(never)
    static func noteSent(_ node: Node) {
        let target = unsafe Pid(word: node.header.pointee.target)
        note(.sent(TracedMessage(node), to: target))
    }

    @inline(never)
    static func noteReceived(_ node: Node, by process: ProcessRef) { note(.received(TracedMessage(node)), of: process) }

    @inline(never)
    static func begin(_ process: ProcessRef) {
        note(.scheduledIn, of: process)
        unsafe roost_thread_current().pointee.is_traced = 1
    }

    @inline(never)
    static func end(_ process: ProcessRef, reductions: Int64, _ outcome: UInt32) {
        unsafe roost_thread_current().pointee.is_traced = 0
        let end: TraceEvent.TurnEnd =
            switch Int(outcome) {
            case Int(ROOST_FINISHED): process.block.flags.contains(.isFinished) ? .finished : .waits
            case Int(ROOST_PARKED): .waits
            case Int(ROOST_PREEMPTED): .preempted
            default: .trapped
            }
        note(.scheduledOut(reductions: Int(reductions), end), of: process)
    }
}

extension TracedMessage {
    init(_ node: Node) {
        kind = "\(node.kind)"
        // Safe: the sender stored the metatype of the payload.
        typeName = unsafe node.header.pointee.payloadType.map { unsafe "\(unsafeBitCast($0, to: Any.Type.self))" }
        byteCount = node.byteCount
    }
}
