// SPDX-License-Identifier: Apache-2.0

public import Logging
public import RoostHTTP
public import RoostIO
public import RoostRuntime
internal import RoostWebSocket
internal import Synchronization

/// Opens WebSocket connections to servers. Each is a process of its own, as a server's is, with the same kind of
/// handler.
///
/// Connections go to the schedulers of the runtime in turn and stay there. A handler hears of the opening by `opened`,
/// and of the end, or of a failure to connect (`CloseReason.Cause.connectFailed`), by `terminated`.
public final class RoostClient: Sendable {
    public let runtime: Runtime
    let listener: Listener

    /// `connectTimeout`: from the first packet to the server's answer to the upgrade request.
    public init(runtime: Runtime, logger: Logger, connectTimeout: Duration = .seconds(10)) async {
        self.runtime = runtime
        var configuration = ListenerConfiguration(address: "-", routes: [])
        configuration.handshakeTimeout = connectTimeout
        listener = Listener(configuration, role: .client, socket: nil, runtime: runtime, logger: logger)
        await listener.start()
    }

    /// Checks a URL and what goes with it, once for all connections to it. Looks names up, for which it may block the
    /// calling thread.
    ///
    /// `handler` makes the handler of each connection, in the connection's process. `tls` says whom a `wss://` server
    /// must prove to be; reads its files.
    public func endpoint<Handler: ConnectionHandler & SendableMetatype>(
        _ url: WebSocketURL, subprotocols: [String] = [], headers: [HeaderField] = [],
        limits: ConnectionLimits = ConnectionLimits(), restart: RestartPolicy = .close,
        compression: CompressionPolicy = .off, tls: TLSClientConfiguration = TLSClientConfiguration(),
        handler: @escaping @Sendable () -> Handler
    ) throws(ClientError) -> ClientEndpoint {
        try endpoint(
            url, subprotocols: subprotocols, headers: headers, limits: limits, restart: restart,
            compression: compression, tls: tls, receiveBufferByteCount: nil, handler: handler)
    }

    /// As above. `receiveBufferByteCount`: of each socket, as `SystemCalls.connect` has it.
    package func endpoint<Handler: ConnectionHandler & SendableMetatype>(
        _ url: WebSocketURL, subprotocols: [String] = [], headers: [HeaderField] = [],
        limits: ConnectionLimits = ConnectionLimits(), restart: RestartPolicy = .close,
        compression: CompressionPolicy = .off, tls: TLSClientConfiguration = TLSClientConfiguration(),
        receiveBufferByteCount: Int?, handler: @escaping @Sendable () -> Handler
    ) throws(ClientError) -> ClientEndpoint {
        var problems: [String] = []
        limits.validate("limits", &problems)
        compression.validate("limits", &problems)
        guard problems.isEmpty else { throw .invalidLimits(problems) }
        let context: TLSClientContext?
        do throws(TLSError) {
            context = url.isSecure ? try TLSClientContext(tls) : nil
        } catch {
            throw .invalidTLS(error.problems)
        }
        let target = ClientTarget(
            url: url, address: try NameLookup.resolve(url.host), subprotocols: subprotocols, headers: headers,
            deflate: compression.offered, tls: context, receiveBufferByteCount: receiveBufferByteCount)
        do throws(ClientHandshakeError) {
            _ = try target.handshake()
        } catch {
            throw .invalidRequest("\(error)")
        }
        let route = Route(url.target, limits: limits, restart: restart, compression: compression, target: target) { _ in
            handler()
        }
        return ClientEndpoint(client: self, route: route)
    }

    /// Opens one connection. For many to the same URL make an `endpoint` once.
    public func connect<Handler: ConnectionHandler & SendableMetatype>(
        to url: String, from source: String? = nil, subprotocols: [String] = [], headers: [HeaderField] = [],
        limits: ConnectionLimits = ConnectionLimits(), compression: CompressionPolicy = .off,
        tls: TLSClientConfiguration = TLSClientConfiguration(), handler: @escaping @Sendable () -> Handler
    ) throws(ClientError) {
        let endpoint = try endpoint(
            WebSocketURL(url), subprotocols: subprotocols, headers: headers, limits: limits, compression: compression,
            tls: tls, handler: handler)
        endpoint.connect(from: try source.map { text throws(ClientError) in try ClientEndpoint.source(text) })
    }

    /// Connections that are being opened, are open or are closing.
    public var connectionCount: Int { listener.counters.current.load(ordering: .relaxed) }

    /// Connections opened since the start.
    public var openedCount: Int { listener.counters.opened.load(ordering: .relaxed) }

    /// Handlers that crashed since the start.
    public var crashCount: Int { listener.counters.crashes.load(ordering: .relaxed) }

    /// Ended connections by cause.
    public var ended: [CloseReason.Cause: Int] { listener.counters.closed }

    /// Closes every connection with 1001 and opens no more. Returns when all have ended, or after `timeout`, with how
    /// many have not.
    @discardableResult
    public func close(timeout: Duration = .seconds(5)) async -> Int {
        if !listener.isDraining { listener.drain() }
        let deadline = MonotonicTime.now() + timeout
        while connectionCount > 0, MonotonicTime.now() < deadline {
            try? await Task.sleep(for: .milliseconds(5))
        }
        return connectionCount
    }
}

/// A URL that has been checked and looked up, and what its connections do: connecting costs no more than it must.
public struct ClientEndpoint: Sendable {
    let client: RoostClient
    let route: Route

    /// Where connections go.
    public var address: SocketAddress { target.address }

    /// Starts a connection, from the local address `source` or one that the kernel picks. Never waits. Any thread.
    public func connect(from source: SocketAddress? = nil) {
        withoutPreemption { start(from: source, client.runtime.pickScheduler()) {} }
    }

    /// Starts a connection on the scheduler of that index. `beforehand` runs there right before; connections of one
    /// scheduler make their handlers in the order in which they were started. Any thread.
    package func connect(
        from source: SocketAddress?, on schedulerIndex: Int, _ beforehand: @escaping @Sendable () -> Void
    ) {
        withoutPreemption { start(from: source, client.runtime.all[schedulerIndex], beforehand) }
    }

    private func start(
        from source: SocketAddress?, _ scheduler: SchedulerRef, _ beforehand: @escaping @Sendable () -> Void
    ) {
        let listener = client.listener
        listener.counters.accepted.add(1, ordering: .relaxed)
        listener.counters.current.add(1, ordering: .relaxed)
        listener.perScheduler[scheduler.index].count.add(1, ordering: .relaxed)
        scheduler.run { [route] in
            beforehand()
            ConnectionProcess.start(to: route, from: source, listener, scheduler)
        }
    }

    /// Reads a local address to connect from: IPv4 or IPv6, without a port.
    public static func source(_ text: String) throws(ClientError) -> SocketAddress { try NameLookup.source(text) }

    private var target: ClientTarget {
        guard let target = route.target else { preconditionFailure("ClientEndpoint: a route without a target") }
        return target
    }
}

/// What connections of a client ask for.
struct ClientTarget: Sendable {
    let url: WebSocketURL
    let address: SocketAddress
    let subprotocols: [String]
    let headers: [HeaderField]
    let deflate: DeflatePolicy?
    let tls: TLSClientContext?
    /// Nil: the kernel's choice.
    let receiveBufferByteCount: Int?

    /// The opening handshake of a new connection.
    func handshake() throws(ClientHandshakeError) -> ClientHandshake {
        try ClientHandshake(
            host: url.hostHeader, target: url.target, random: (.random(in: 0 ... .max), .random(in: 0 ... .max)),
            subprotocols: subprotocols, deflate: deflate, extraFields: headers)
    }
}
