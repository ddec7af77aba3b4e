// SPDX-License-Identifier: Apache-2.0

// What a process asks of servers.

extension ProcessContext {
    /// Sends `request` to a server and waits for the reply. (OTP: `gen_server:call/3`.)
    ///
    /// As `call(_:timeout:_:)` with a closure: same timeout, same errors.
    @inlinable
    public func call<Callee: Destination, Request: ServerOperation>(
        _ server: Callee, _ request: Request, timeout: Duration? = .seconds(5)
    ) throws -> Request.Reply where Callee.Message == ServerMessage<Request.Server> {
        guard let pid = server.address?.pid else { throw CallError(nobody: server) }
        let call = try Calling.begin(pid, Request.self, isReplyAligned: MemoryLayout<Request.Reply>.alignment <= 16)
        let size = MemoryLayout<RequestEnvelope<Request>>.size
        let type = unsafe RequestEnvelope<Request>.payloadType
        guard
            let payload = unsafe Calling.allocate(pid, call.reference, byteCount: size, type: type, isRequest: true)
        else { throw CallError(noProcess: pid, request: Request.self) }
        // Safe: the payload has the size of the envelope and is aligned to 16.
        unsafe payload.bindMemory(to: RequestEnvelope<Request>.self, capacity: 1).initialize(
            to: RequestEnvelope(request))
        let reply = unsafe try Calling.exchange(payload, timeout: timeout, Request.self)
        // Safe: only `serve` of this type of request answers it.
        let answer = unsafe reply.assumingMemoryBound(to: Request.Reply.self).move()
        unsafe Receiving.free(reply)
        return answer
    }

    /// Runs `body` in a server's process, with its state, and waits for what it returns. (Elixir: `Agent`.)
    ///
    ///     let count = try process.perform(on: counter) { counter, _ in counter.count }
    ///
    /// For what is asked in one place only, for tests and for inspection. What `body` throws ends the server.
    public func perform<Callee: Destination, Server: GenServer, Reply: Sendable>(
        on server: Callee, timeout: Duration? = .seconds(5),
        _ body: @escaping @Sendable (inout Server, borrowing Server.Context) throws -> Reply
    ) throws -> Reply where Callee.Message == ServerMessage<Server> {
        try call(server, Performance(body: body), timeout: timeout)
    }

    /// A copy of a server's state, between two callbacks. (OTP: `sys:get_state`.)
    public func state<Callee: Destination, Server: GenServer & Sendable>(
        of server: Callee, timeout: Duration? = .seconds(5)
    ) throws -> Server where Callee.Message == ServerMessage<Server> {
        try perform(on: server, timeout: timeout) { state, _ in state }
    }

    /// Asks a server to stop, waits until it has ended, and returns why it did. Its `terminate` is called. (OTP:
    /// `gen_server:stop/3`.)
    ///
    /// - Parameter timeout: nil: for ever, as in OTP.
    /// - Throws: `CallError`: there is no such process, or it has not ended in time; `ProcessExit`.
    @discardableResult
    public func stop<Callee: Destination, Server: GenServer>(
        server: Callee, reason: ExitReason = .normal, timeout: Duration? = nil
    ) throws -> ExitReason where Callee.Message == ServerMessage<Server> {
        let request = StopRequest<Server>(reason: reason)
        guard let address = server.address else { throw CallError(nobody: server) }
        guard address.pid != pid else {
            throw CallError(.callingItself, callee: pid, request: StopRequest<Server>.self)
        }
        let reference = monitor(address.pid)
        defer { demonitor(reference) }
        address.cast(request)
        guard let down = try receiveDown(of: reference, timeout: timeout) else {
            throw CallError(.timedOut(timeout ?? .zero), callee: address.pid, request: StopRequest<Server>.self)
        }
        if case .noProcess = down.reason { throw CallError(noProcess: address.pid, request: StopRequest<Server>.self) }
        return down.reason
    }
}

// What a server's callbacks say of what comes next.

extension ProcessContext {
    /// The server ends after this callback, and after its reply if it has one: `terminate` is called. The first reason
    /// stands. (OTP: `{stop, Reason, …}`.)
    public func stop<Server: GenServer>(_ reason: ExitReason = .normal) where Message == ServerMessage<Server> {
        let control = ServerControl<Server>.current
        control.hasDirectives = true
        if control.stopReason == nil { control.stopReason = reason }
    }

    /// `body` runs right after this callback, and after its reply, before anything that waits: to let whoever started
    /// the server go on before it has loaded what it needs, or to split work. (OTP: `{continue, …}`,
    /// `handle_continue/2`.)
    public func `continue`<Server: GenServer>(
        _ body: @escaping (inout Server, borrowing Server.Context) throws -> Void
    ) where Message == ServerMessage<Server> {
        let control = ServerControl<Server>.current
        control.hasDirectives = true
        control.continuations.append(body)
    }

    /// `handleTimeout` is called when nothing has come `duration` after this callback. Whatever comes first ends it.
    /// (OTP: the time-out of `{noreply, State, Timeout}`.)
    public func timeOut<Server: GenServer>(after duration: Duration) where Message == ServerMessage<Server> {
        let control = ServerControl<Server>.current
        control.hasDirectives = true
        control.timeout = duration
    }
}

// From tasks outside processes.

extension Runtime {
    /// Calls a server from a task outside any process; as the other `call`.
    public func call<Callee: Destination, Request: ServerOperation>(
        _ server: Callee, _ request: Request, timeout: Duration? = .seconds(5)
    ) async throws -> Request.Reply where Callee.Message == ServerMessage<Request.Server> {
        try await run { try $0.call(server, request, timeout: timeout) }
    }

    /// Runs `body` in a server's process, with its state; as `ProcessContext.perform`.
    public func perform<Callee: Destination, Server: GenServer, Reply: Sendable>(
        on server: Callee, timeout: Duration? = .seconds(5),
        _ body: @escaping @Sendable (inout Server, borrowing Server.Context) throws -> Reply
    ) async throws -> Reply where Callee.Message == ServerMessage<Server> {
        try await run { try $0.perform(on: server, timeout: timeout, body) }
    }

    /// A copy of a server's state, between two callbacks. (OTP: `sys:get_state`.)
    public func state<Callee: Destination, Server: GenServer & Sendable>(
        of server: Callee, timeout: Duration? = .seconds(5)
    ) async throws -> Server where Callee.Message == ServerMessage<Server> {
        try await run { try $0.state(of: server, timeout: timeout) }
    }

    /// Asks a server to stop and returns, when it has ended, why it did; as `ProcessContext.stop`.
    @discardableResult
    public func stop<Callee: Destination, Server: GenServer>(
        server: Callee, reason: ExitReason = .normal, timeout: Duration? = nil
    ) async throws -> ExitReason where Callee.Message == ServerMessage<Server> {
        try await run { try $0.stop(server: server, reason: reason, timeout: timeout) }
    }
}
