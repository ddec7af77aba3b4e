// SPDX-License-Identifier: Apache-2.0

internal import RoostHTTP
internal import RoostRuntime

/// What serves a path, and under which bounds: a handler for each WebSocket, or a responder of plain HTTP requests.
public final class Route: Sendable {
    /// The path, exact; or a prefix that ends in `/*`.
    public let path: String
    /// In the order of the server's preference.
    public let subprotocols: [String]
    public let limits: ConnectionLimits
    public let restart: RestartPolicy
    public let compression: CompressionPolicy
    /// Origins whose pages may connect: `https://example.com`, `https://*.example.com`, `null`, or `same` for the
    /// server's own; nil: any. Requests without Origin do not come from a page and may.
    public let allowedOrigins: [String]?
    let origins: [OriginPattern]?
    let handlerType: HandlerType
    /// Where connections go, for a client's route; nil for a server's.
    let target: ClientTarget?
    /// Methods that are answered, for a plain HTTP route.
    public let methods: [String]
    let responder: HTTPResponder?
    /// The rooms that its handlers use: counted in the server's statistics, once where several routes name them.
    public let rooms: Rooms?

    /// `connect` makes the handler of a connection, in the connection's process; it throws `ConnectionRefused` to
    /// refuse it.
    public init<Handler: ConnectionHandler>(
        _ path: String, subprotocols: [String] = [], limits: ConnectionLimits = ConnectionLimits(),
        restart: RestartPolicy = .restart(), compression: CompressionPolicy = CompressionPolicy(),
        allowedOrigins: [String]? = nil, rooms: Rooms? = nil,
        connect: @escaping @Sendable (borrowing ConnectRequest) throws -> Handler
    ) {
        self.path = path
        self.subprotocols = subprotocols
        self.limits = limits
        self.restart = restart
        self.compression = compression
        self.allowedOrigins = allowedOrigins
        origins = allowedOrigins?.compactMap { try? OriginPattern($0) }
        handlerType = TypedHandler(connect)
        target = nil
        methods = ["GET"]
        responder = nil
        self.rooms = rooms
    }

    /// Answers plain HTTP requests: a health check, metrics, a page. Where GET is among `methods`, so is HEAD.
    public init(http path: String, methods: [String] = ["GET"], respond: @escaping HTTPResponder) {
        self.path = path
        subprotocols = []
        limits = ConnectionLimits()
        restart = .close
        compression = .off
        allowedOrigins = nil
        origins = nil
        handlerType = TypedHandler { _ in NoHandler() }
        target = nil
        self.methods = methods.contains("GET") && !methods.contains("HEAD") ? methods + ["HEAD"] : methods
        responder = respond
        rooms = nil
    }

    /// A client's route.
    init<Handler: ConnectionHandler>(
        _ path: String, limits: ConnectionLimits, restart: RestartPolicy, compression: CompressionPolicy,
        target: ClientTarget, connect: @escaping @Sendable (borrowing ConnectRequest) throws -> Handler
    ) {
        self.path = path
        subprotocols = target.subprotocols
        self.limits = limits
        self.restart = restart
        self.compression = compression
        allowedOrigins = nil
        origins = nil
        handlerType = TypedHandler(connect)
        self.target = target
        methods = []
        responder = nil
        rooms = nil
    }

    /// True for a request that may be served: without Origin, or with one that is allowed (RFC 6455 §10.2).
    func allowsOrigin(of head: RequestHead, isSecure: Bool) -> Bool {
        guard let origins else { return true }
        let values = head.headers.all("origin")
        if values.isEmpty { return true }
        guard values.count == 1 else { return false }
        return origins.contains { $0.matches(origin: values[0], host: head.host, isTLS: isSecure) }
    }
}

/// Finds the route of a path: an exact one first, else the longest prefix.
struct RouteTable: Sendable {
    private let exact: [String: Route]
    private let prefixes: [(prefix: String, route: Route)]

    init(_ routes: [Route]) {
        var exact: [String: Route] = [:]
        var prefixes: [(prefix: String, route: Route)] = []
        for route in routes {
            if route.path.hasSuffix("/*") {
                prefixes.append((String(route.path.dropLast()), route))
            } else {
                exact[route.path] = route
            }
        }
        self.exact = exact
        self.prefixes = prefixes.sorted { $0.prefix.utf8.count > $1.prefix.utf8.count }
    }

    func find(_ path: String) -> (route: Route, remainder: String)? {
        if let route = exact[path] { return (route, "") }
        // Byte by byte: to Swift, a slash with a combining mark behind it is no slash.
        for (prefix, route) in prefixes where path.utf8.starts(with: prefix.utf8) {
            return (route, String(Substring(path.utf8.dropFirst(prefix.utf8.count))))
        }
        return nil
    }

    static func validate(_ routes: [Route], _ problems: inout [String]) {
        var seen: Set<String> = []
        for route in routes {
            if !route.path.hasPrefix("/") { problems.append("route '\(route.path)' must start with /") }
            if !seen.insert(route.path).inserted { problems.append("route '\(route.path)' is given twice; remove one") }
            let name = "route \(route.path)"
            route.limits.validate(name, &problems)
            route.compression.validate(name, &problems)
            if route.compression.mode == .takeover, route.limits.slowConsumer == .dropOldest {
                problems.append(
                    "\(name).compression.mode is takeover, for which no message may be left out: use slow-consumer "
                        + "close, or no-takeover")
            }
            for text in route.allowedOrigins ?? [] {
                do throws(OriginPatternError) {
                    _ = try OriginPattern(text)
                } catch {
                    problems.append("\(name).allowed-origins: \(error)")
                }
            }
        }
    }
}
