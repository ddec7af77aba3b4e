// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import RoostIO
public import RoostRuntime
public import RoostWebSocket

/// What a handler can do with its connection: lent to each of its callbacks.
public struct Connection<Message: Sendable>: ~Copyable {
    init() {}

    private var current: ConnectionRef {
        guard let connection = ConnectionRef.current else {
            preconditionFailure("a Connection was used outside the process that it was lent to")
        }
        return connection
    }

    // MARK: Sending

    /// Sends a text message. It leaves when the turn ends, together with what else the turn sends.
    ///
    /// False when it was not queued: the connection is closing, or the client reads too slowly and the route's policy
    /// dropped it.
    @discardableResult
    public func send(_ text: UTF8Span) -> Bool {
        // Safe: the span's bytes are lent for the call, which copies them or hands them to the kernel.
        unsafe text.span.withUnsafeBytes { bytes in unsafe sendData(.text, bytes) }
    }

    /// Sends a text message.
    @discardableResult
    public func send(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in unsafe sendData(.text, UnsafeRawBufferPointer(bytes)) }
    }

    /// Sends a binary message.
    @discardableResult
    public func send(binary bytes: RawSpan) -> Bool {
        unsafe bytes.withUnsafeBytes { bytes in unsafe sendData(.binary, bytes) }
    }

    /// Sends a binary message.
    @discardableResult
    public func send(binary bytes: [UInt8]) -> Bool {
        unsafe bytes.withUnsafeBytes { bytes in unsafe sendData(.binary, bytes) }
    }

    private func sendData(_ opcode: Opcode, _ bytes: UnsafeRawBufferPointer) -> Bool {
        roost_enter()
        let isQueued = unsafe current.sendData(opcode, bytes)
        roost_leave()
        return isQueued
    }

    /// Sends a message that other connections are sent as well. It is compressed once for all of them.
    @discardableResult
    public func send(_ message: SharedMessage) -> Bool {
        roost_enter()
        let isQueued = current.sendShared(message)
        roost_leave()
        return isQueued
    }

    /// Begins the closing handshake: nothing is sent after it. What was sent before is still delivered. (RFC 6455 §7)
    ///
    /// Stock clients do not reconnect after 1000; use 1012 or 1013 where they should. `reason` is cut to 123 bytes.
    public func close(_ code: CloseCode = .normalClosure, reason: String = "") {
        // Before the runtime is entered: the trap is the handler's, and is contained.
        precondition(
            code.isValidOnWire, "close code \(code.rawValue) may not be sent; use 1000-1003, 1007-1014 or 3000-4999")
        roost_enter()
        defer { roost_leave() }
        current.beginClose(CloseReason(.handlerClosed, code: code, message: reason))
    }

    /// Cuts the connection without a closing handshake, as a failing network does; `resets`: by a TCP reset, after
    /// which neither side's port waits. For load testers: a server that wants a client gone closes.
    package func abort(resets: Bool = false) {
        roost_enter()
        defer { roost_leave() }
        current.abort(resets: resets)
    }

    // MARK: Timers

    /// Calls `timer(id)` once after `delay`; a timer of the same id is replaced. At most 1,000 at once.
    public func setTimer(_ id: Int, after delay: Duration) {
        let connection = current
        precondition(
            connection.state.extras?.timers.count ?? 0 < ConnectionExtras.timerCountMax,
            "more than \(ConnectionExtras.timerCountMax) timers of one connection")
        roost_enter()
        defer { roost_leave() }
        let extras = connection.extras
        extras.timers.removeAll { $0.id == id }
        extras.timers.append((MonotonicTime.now() + delay, id))
        connection.armTimer()
    }

    public func cancelTimer(_ id: Int) {
        roost_enter()
        defer { roost_leave() }
        current.state.extras?.timers.removeAll { $0.id == id }
    }

    // MARK: Looking

    /// Where others send this connection messages.
    public var address: Address<Message> { process.address }
    public var pid: Pid { process.pid }

    /// The process that the connection is: to sleep, receive, spawn, link and monitor; to run what blocks or takes long
    /// on other threads (`dirty`), and to wait for Swift's tasks (`await`).
    ///
    /// While a callback waits, pings are answered and a close is noticed; messages wait up to the route's limit, then
    /// the socket is not read.
    public var process: ProcessContext<Message> { ProcessContext() }

    /// The client's address; nil where the kernel does not say.
    public var peer: String? { inside { $0.state.peer }?.description }

    /// The subprotocol agreed on.
    public var subprotocol: String? { inside { $0.state.extras?.subprotocol } }

    /// True where the connection came over TLS.
    public var isSecure: Bool { inside { $0.state.flags.contains(.isSecure) } }

    /// True where messages may be compressed: the client offered it, and the route agreed (RFC 7692).
    public var isCompressible: Bool { inside { $0.state.flags.contains(.isCompressible) } }

    /// Bytes sent that the kernel has not taken: a sign of a slow client.
    public var bufferedByteCount: Int { inside { $0.bufferedByteCount } }

    /// How often this connection's handler has been restarted within the route's period.
    public var restartCount: Int { inside { $0.state.extras?.restartCount ?? 0 } }

    /// Looks at the connection inside the runtime: while handler code runs, others may change it (B1).
    private func inside<Result>(_ look: (ConnectionRef) -> Result) -> Result {
        let connection = current
        roost_enter()
        defer { roost_leave() }
        return look(connection)
    }
}
