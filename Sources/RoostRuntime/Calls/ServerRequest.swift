// SPDX-License-Identifier: Apache-2.0

/// Something that a server can be asked; the type of the reply belongs to it.
public protocol ServerRequest: ServerOperation {
    // Again, so that both are inferred from `handle`.
    associatedtype Server
    associatedtype Reply

    /// Answers, in the server's process. Called with preemption enabled; may wait, and call other servers. What it
    /// throws ends the server.
    func handle(_ server: inout Server, _ process: borrowing Server.Context) throws -> Reply
}

/// Something that a server can be asked and may answer later. (OTP: `{noreply, State}`, then `gen_server:reply/2`.)
public protocol DeferredRequest: ServerOperation {
    // Again, so that both are inferred from `handle`.
    associatedtype Server
    associatedtype Reply

    /// Takes the request. `reply` may be kept, or sent to another process, and is answered once; a caller whose reply
    /// is destroyed unanswered is told so.
    func handle(
        _ server: inout Server, _ reply: PromisedReply<Reply>, _ process: borrowing Server.Context
    ) throws
}

/// What `ServerRequest` and `DeferredRequest` have in common. Conform to one of those.
public protocol ServerOperation: Sendable {
    associatedtype Server: GenServer
    associatedtype Reply: Sendable

    /// Implemented by the protocols: the typed part of serving a request.
    static func serve(_ arrival: RequestArrival) throws
}

extension ServerRequest {
    @inlinable
    public static func serve(_ arrival: RequestArrival) throws {
        let request = arrival.take(Self.self)
        let reply = unsafe try request.handle(&arrival.server(Server.self).pointee, ProcessContext())
        if arrival.isCall { ReplyAddress(caller: arrival.caller, reference: arrival.reference).send(reply) }
    }
}

extension DeferredRequest {
    @inlinable
    public static func serve(_ arrival: RequestArrival) throws {
        let request = arrival.take(Self.self)
        let reply = PromisedReply<Reply>(ReplyAddress(caller: arrival.caller, reference: arrival.reference))
        unsafe try request.handle(&arrival.server(Server.self).pointee, reply, ProcessContext())
    }
}

/// A request that a server's process has taken out of its mailbox. For the protocols above.
@safe public struct RequestArrival {
    @usableFromInline let payload: UnsafeMutableRawPointer
    @usableFromInline let server: UnsafeMutableRawPointer
    /// Who waits; where nobody does, a pid that no process has.
    @usableFromInline let caller: Pid
    @usableFromInline let reference: Reference

    init(_ node: Node, _ server: UnsafeMutableRawPointer) {
        unsafe payload = unsafe node.payload
        unsafe self.server = unsafe server
        isCall = unsafe node.header.pointee.isCall
        if isCall {
            let trailer = unsafe node.trailer.pointee
            caller = Pid(word: trailer.word)
            reference = Reference(number: trailer.number)
        } else {
            caller = .outside
            reference = Reference(number: 0)
        }
    }

    @usableFromInline let isCall: Bool

    /// Moves the request out and frees its node.
    @inlinable
    func take<Request: ServerOperation>(_ type: Request.Type) -> Request {
        // Safe: the envelope of a `Request` names its `serve`.
        let request = unsafe payload.assumingMemoryBound(to: RequestEnvelope<Request>.self).move().request
        unsafe Receiving.free(payload)
        return request
    }

    /// The server: nobody else has access to it while a request is served.
    @inlinable
    func server<Server: GenServer>(_ type: Server.Type) -> UnsafeMutablePointer<Server> {
        // Safe: `call` and `cast` send a request to an address of its own type of server only.
        unsafe server.assumingMemoryBound(to: Server.self)
    }
}

/// What a node of kind `request` carries. No existential: a metatype and the bare request.
@usableFromInline
struct RequestEnvelope<Request: ServerOperation> {
    /// First: read by who does not know `Request`.
    @usableFromInline let operation: any ServerOperation.Type
    @usableFromInline let request: Request

    @inlinable
    init(_ request: consuming Request) {
        operation = Request.self
        self.request = request
    }

    @inlinable static var payloadType: UnsafeRawPointer? {
        unsafe _isPOD(Request.self) ? nil : unsafeBitCast(Self.self as Any.Type, to: UnsafeRawPointer.self)
    }
}

/// A closure as a request: see `ProcessContext.perform`.
struct Performance<Server: GenServer, Reply: Sendable>: ServerRequest {
    let body: @Sendable (inout Server, borrowing Server.Context) throws -> Reply

    func handle(_ server: inout Server, _ process: borrowing Server.Context) throws -> Reply {
        try body(&server, process)
    }
}

/// Asks a server to stop.
struct StopRequest<Server: GenServer>: ServerRequest {
    let reason: ExitReason

    func handle(_ server: inout Server, _ process: borrowing Server.Context) -> Bool {
        process.stop(reason)
        return true
    }
}
