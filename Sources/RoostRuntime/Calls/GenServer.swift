// SPDX-License-Identifier: Apache-2.0

/// The state of a long-lived process that answers requests, and what it does when something comes. (OTP:
/// `gen_server`.)
///
/// The value lives in its process and nowhere else. What it can be asked are types of their own, each with the type of
/// its reply, so that the compiler checks every call:
///
///     struct Counter: GenServer {
///         private var count = 0
///
///         struct Increment: ServerRequest {
///             var by = 1
///             func handle(_ counter: inout Counter, _ process: borrowing Counter.Context) -> Int {
///                 counter.count += by
///                 return counter.count
///             }
///         }
///     }
///
///     let counter = try Counter.startLink(from: process) { _ in Counter() }
///     let count = try process.call(counter, Counter.Increment(by: 2))  // an Int
///     counter.cast(Counter.Increment())                                // nobody waits
///
/// A server that does not answer at once, has a message type of its own, and stops by itself:
///
///     struct Cache: GenServer {
///         enum Message: Sendable { case store(String, Int) }
///         private var values: [String: Int] = [:]
///         private var waiting: [String: [PromisedReply<Int>]] = [:]
///
///         /// The value of a key, as soon as there is one.
///         struct Value: DeferredRequest {
///             let key: String
///             func handle(_ cache: inout Cache, _ reply: PromisedReply<Int>, _ process: borrowing Cache.Context) {
///                 if let value = cache.values[key] {
///                     reply.send(value)
///                 } else {
///                     cache.waiting[key, default: []].append(reply)
///                 }
///             }
///         }
///
///         mutating func handle(_ message: Message, _ process: borrowing Context) {
///             switch message {
///             case .store(let key, let value):
///                 values[key] = value
///                 waiting.removeValue(forKey: key)?.forEach { $0.send(value) }
///             }
///             process.timeOut(after: .seconds(600))
///         }
///
///         mutating func handleTimeout(_ process: borrowing Context) { process.stop() }
///     }
///
///     cache.send(.store("a", 1))
///     let value = try process.call(cache, Cache.Value(key: "a"))
///
/// What a callback throws ends the server: after `terminate`, with that reason; the caller whose request it was gets it
/// as `CallError.Cause.ended`. A reply that may be an error is a `Result`. All callbacks run in the server's process,
/// one after the other.
public protocol GenServer: SendableMetatype {
    /// What it receives beside requests: casts and messages of other processes, timers' for one. (OTP: `handle_cast`,
    /// `handle_info`.)
    associatedtype Message: Sendable = Never

    typealias Context = ProcessContext<ServerMessage<Self>>

    /// A message has come.
    mutating func handle(_ message: Message, _ process: borrowing Context) throws

    /// A process that it monitors has ended.
    mutating func handleDown(_ down: Down, _ process: borrowing Context) throws

    /// It traps exits, and an exit signal has come: not from whoever started it, which ends the server.
    mutating func handleExit(_ signal: ExitSignal, _ process: borrowing Context) throws

    /// Nothing has come within what the last callback set with `timeOut(after:)`.
    mutating func handleTimeout(_ process: borrowing Context) throws

    /// The server is about to end: it was stopped, has thrown `reason`, or traps exits and whoever started it has ended
    /// or tells it to. Not called after a trap, or when a server that does not trap exits is told to end: clean up with
    /// another process that monitors this one where it matters. (OTP: `terminate/2`.)
    mutating func terminate(_ reason: ExitReason, _ process: borrowing Context)
}

extension GenServer {
    /// Does nothing.
    public mutating func handleDown(_ down: Down, _ process: borrowing Context) {}
    /// Does nothing.
    public mutating func handleExit(_ signal: ExitSignal, _ process: borrowing Context) {}
    /// Does nothing.
    public mutating func handleTimeout(_ process: borrowing Context) {}
    /// Does nothing.
    public mutating func terminate(_ reason: ExitReason, _ process: borrowing Context) {}
}

extension GenServer where Message == Never {
    /// Never called.
    public mutating func handle(_ message: Never, _ process: borrowing Context) {}
}

/// What the process of a server receives: its messages, and requests.
public struct ServerMessage<Server: GenServer>: Sendable {
    // The only property: an `Address<Server.Message>` of the server puts the bare message into its mailbox.
    public let message: Server.Message

    public init(_ message: Server.Message) { self.message = message }
}

/// Where a server is reached; any `Destination<ServerMessage<Server>>` does as well, a name for one.
public typealias ServerAddress<Server: GenServer> = Address<ServerMessage<Server>>

extension Address {
    /// The server's address for those who know of its messages only.
    public func messages<Server: GenServer>() -> Address<Server.Message> where Message == ServerMessage<Server> {
        Address<Server.Message>(pid: pid)
    }
}

extension Destination {
    /// Sends a message to a server. Never waits. Any thread. False where there is no such process.
    @discardableResult
    @inlinable
    public func send<Server: GenServer>(_ message: consuming sending Server.Message) -> Bool
    where Message == ServerMessage<Server> {
        send(ServerMessage<Server>(message))
    }

    /// Sends a request whose reply nobody waits for. Never waits. Any thread. False where there is no such process.
    @discardableResult
    @inlinable
    public func cast<Request: ServerOperation>(_ request: consuming sending Request) -> Bool
    where Message == ServerMessage<Request.Server> {
        guard let address else { return false }
        let size = MemoryLayout<RequestEnvelope<Request>>.size
        let type = unsafe RequestEnvelope<Request>.payloadType
        guard let payload = unsafe Sending.allocate(address.pid, byteCount: size, type: type) else { return false }
        // Safe: the payload has the size of the envelope and is aligned to 16.
        unsafe payload.bindMemory(to: RequestEnvelope<Request>.self, capacity: 1).initialize(
            to: RequestEnvelope(request))
        unsafe Calling.markRequest(payload)
        return unsafe Sending.push(payload)
    }
}
