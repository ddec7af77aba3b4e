// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// What callbacks of a server have asked for; its process's alone.
final class ServerControl<Server: GenServer> {
    /// Whether any of the others is set: looked at after each callback.
    var hasDirectives = false
    var stopReason: ExitReason?
    var continuations: [(inout Server, borrowing Server.Context) throws -> Void] = []
    var timeout: Duration?

    static var current: ServerControl {
        guard let control = SchedulerRef.currentProcess?.block.extras?.server as? ServerControl else {
            preconditionFailure("a directive of \(Server.self) was used outside its callbacks")
        }
        return control
    }
}

/// The life of a server's process.
enum ServerLoop<Server: GenServer> {
    typealias Context = Server.Context

    static func run(
        _ make: (borrowing Context) throws -> Server, _ acknowledgement: InitialAcknowledgement,
        _ process: borrowing Context
    ) throws {
        let control = ServerControl<Server>()
        SchedulerRef.currentProcess?.extras.server = control
        SchedulerRef.currentProcess?.extras.label = "\(Server.self)"
        var server: Server
        do {
            server = try make(process)
        } catch {
            // Whoever started it is told by the error; its link would end it as well.
            process.unlink(acknowledgement.reply.caller)
            throw error
        }
        acknowledgement.ready()
        let starter = acknowledgement.reply.caller
        let reason: ExitReason
        do {
            reason = unsafe try withUnsafeMutablePointer(to: &server) {
                unsafe try serve($0, control, starter, process)
            }
        } catch {
            // Told to end, and not asked: there is no time to terminate in.
            if process.isToldToExit { throw error }
            server.terminate((error as? ProcessExit)?.reason ?? .error(error), process)
            throw error
        }
        server.terminate(reason, process)
        throw ProcessExit(reason: reason)
    }

    /// Serves until the server is to stop, and returns why.
    private static func serve(
        _ server: UnsafeMutablePointer<Server>, _ control: ServerControl<Server>, _ starter: Pid,
        _ process: borrowing Context
    ) throws -> ExitReason {
        while true {
            var deadline: MonotonicTime?
            if control.hasDirectives {
                if let reason = unsafe try follow(control, server, process) { return reason }
                deadline = control.timeout.take().map { .now() + $0 }
            }
            guard let node = try ServerInbox.next(until: deadline) else {
                unsafe try server.pointee.handleTimeout(process)
                continue
            }
            if let reason = unsafe try handle(node, server, starter, process) { return reason }
        }
    }

    /// Does what the last callback asked for; the reason to stop, if there is one.
    private static func follow(
        _ control: ServerControl<Server>, _ server: UnsafeMutablePointer<Server>, _ process: borrowing Context
    ) throws -> ExitReason? {
        control.hasDirectives = false
        while control.stopReason == nil, !control.continuations.isEmpty {
            try unsafe control.continuations.removeFirst()(&server.pointee, process)
        }
        return control.stopReason
    }

    /// Hands one event to the server. The reason to stop, where it comes from whoever started the server.
    private static func handle(
        _ node: Node, _ server: UnsafeMutablePointer<Server>, _ starter: Pid, _ process: borrowing Context
    ) throws -> ExitReason? {
        switch node.kind {
        case .request:
            // Safe: every envelope begins with its operation; `serve` knows the rest.
            let operation = unsafe node.payload.assumingMemoryBound(to: (any ServerOperation.Type).self).pointee
            try operation.serve(unsafe RequestArrival(node, server))
        case .message:
            let message = node.takePayload(as: ServerMessage<Server>.self).message
            unsafe Receiving.free(node.payload)
            unsafe try server.pointee.handle(message, process)
        case .down:
            let down = node.takePayload(as: Down.self)
            unsafe Receiving.free(node.payload)
            unsafe try server.pointee.handleDown(down, process)
        case .exit:
            let signal = node.takePayload(as: ExitSignal.self)
            unsafe Receiving.free(node.payload)
            if signal.from == starter { return signal.reason }
            unsafe try server.pointee.handleExit(signal, process)
        case .reply, .signal, .undeliverable:
            preconditionFailure("a server got a node of kind \(node.kind)")
        }
        return nil
    }
}

/// The mailbox of a server. Not generic, and shallow: its frame is what a waiting server keeps.
enum ServerInbox {
    /// The next event of any kind, in the order of arrival; nil at `deadline`. Its payload is the caller's. Replies to
    /// a `PendingCall` stay where they are.
    static func next(until deadline: MonotonicTime?) throws(ProcessExit) -> Node? {
        guard let process = SchedulerRef.currentProcess, let scheduler = SchedulerRef.current else {
            preconditionFailure("a server runs outside a process")
        }
        roost_enter()
        defer { roost_leave() }
        while true {
            try process.throwIfExiting()
            if let node = take(process, scheduler) { return node }
            if let deadline {
                if process.isPast(deadline, scheduler) {
                    process.disarmTimer(scheduler)
                    return nil
                }
            }
            process.block.waitKind = .receive
            process.park()
        }
    }

    @inline(never)
    private static func take(_ process: ProcessRef, _ scheduler: SchedulerRef) -> Node? {
        process.checkIsNotMatching()
        scheduler.collectInbox(of: process)
        var previous: UnsafeMutablePointer<NodeHeader>?
        var header = unsafe process.block.queueHead
        while let found = unsafe header {
            roost_charge(1)
            switch unsafe found.pointee.kind {
            case .message, .request, .exit:
                process.disarmTimer(scheduler)
                return unsafe scheduler.unlink(found, after: previous, of: process)
            case .down:
                process.disarmTimer(scheduler)
                let node = unsafe scheduler.unlink(found, after: previous, of: process)
                // Safe: the kind says what the payload is. The monitor has fired: it is over.
                unsafe process.forgetMonitor(node.payload.assumingMemoryBound(to: Down.self).pointee.reference)
                return node
            case .undeliverable:
                unsafe header = unsafe found.pointee.next
                unsafe scheduler.destroy(scheduler.unlink(found, after: previous, of: process), of: process)
            case .reply, .signal:
                unsafe previous = unsafe found
                unsafe header = unsafe found.pointee.next
            }
        }
        return nil
    }
}
