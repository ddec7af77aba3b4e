// SPDX-License-Identifier: Apache-2.0

internal import RoostHTTP
internal import RoostRuntime

/// What happens when a handler crashes.
public enum RestartPolicy: Sendable, Equatable {
    /// A fresh handler goes on with the same socket, at most `intensity` times within `period`; then close code 1011.
    /// (OTP: restart intensity.)
    case restart(intensity: Int = 3, period: Duration = .seconds(5))
    /// Close code 1011 at once.
    case close
}

/// What happens when a client reads more slowly than it is sent to, and its outbound queue is full.
public enum SlowConsumerPolicy: String, Sendable, CaseIterable {
    /// The connection is closed with code 1008 and the cause `slow_consumer`.
    case close
    /// The oldest messages that have not begun to leave are dropped and counted; `send` of one that can never fit
    /// returns false.
    case dropOldest = "drop-oldest"
}

/// What happens when more messages from other processes wait for a handler than may.
public enum MailboxOverflowPolicy: String, Sendable, CaseIterable {
    /// The process is ended as if it had crashed.
    case restart
    /// What comes is dropped and counted; `send` returns false while the mailbox is seen to be full.
    case dropNewest = "drop-newest"
    /// The messages that have waited longest are dropped and counted.
    case dropOldest = "drop-oldest"

    var policy: MailboxPolicy {
        switch self {
        case .restart: .end
        case .dropNewest: .dropNewest
        case .dropOldest: .dropOldest
        }
    }
}

/// Bounds of one connection. Each says what happens when it is hit.
public struct ConnectionLimits: Sendable, Equatable {
    /// Bytes of one message from the client, its fragments together. Past it: close code 1009, before room is made for
    /// it.
    public var messageByteCountMax = 1 << 20
    /// Frames of one message. Past it: close code 1009, so that empty fragments cannot go on for ever.
    public var fragmentCountMax = 131_072
    /// Bytes sent that the client has not taken. Past it: `slowConsumer`.
    public var outboundByteCountMax = 1 << 20
    public var slowConsumer = SlowConsumerPolicy.close
    /// Bytes of messages that wait while a callback waits. Past it the socket is not read.
    public var waitingByteCountMax = 64 << 10
    /// Messages from other processes that may wait. Past it: `mailboxOverflow`.
    public var mailboxCountMax = 100_000
    public var mailboxOverflow = MailboxOverflowPolicy.restart
    /// Bytes the connection's process may hold, its handler's memory included. Past it the process is ended as if it
    /// had crashed.
    public var heapByteCountMax = 64 << 20
    /// A ping is sent when nothing has arrived for so long. Zero: none.
    public var pingInterval = Duration.seconds(30)
    /// Nothing at all has arrived so long after a ping: close code 1001, then the connection is cut.
    public var pongTimeout = Duration.seconds(10)
    /// No message has arrived for so long: close code 1001. Zero: no limit; pings find dead peers.
    public var idleTimeout = Duration.zero
    /// How long the client may take to answer our close frame, or to read what was sent before it.
    public var closeTimeout = Duration.seconds(5)

    public init() {}

    func validate(_ name: String, _ problems: inout [String]) {
        func check(_ key: String, _ value: Int, _ range: ClosedRange<Int>) {
            if !range.contains(value) {
                problems.append("\(name).\(key) is \(value); use \(range.lowerBound)...\(range.upperBound)")
            }
        }
        check("max-message-bytes", messageByteCountMax, 1...1 << 30)
        check("max-fragments", fragmentCountMax, 1...Int(UInt32.max))
        check("max-outbound-bytes", outboundByteCountMax, 1_024...1 << 30)
        check("max-waiting-bytes", waitingByteCountMax, 1_024...1 << 30)
        check("max-mailbox-messages", mailboxCountMax, 1...Int(UInt32.max))
        check("max-handler-bytes", heapByteCountMax, 65_536...1 << 40)
        func check(_ key: String, _ value: Duration, atLeast minimum: Duration, zeroAllowed: Bool) {
            if zeroAllowed && value == .zero { return }
            if value < minimum || value > .seconds(86_400) {
                problems.append(
                    "\(name).\(key) is \(value); use \(minimum) to 1 day\(zeroAllowed ? ", or 0 for none" : "")")
            }
        }
        check("ping-interval", pingInterval, atLeast: .milliseconds(100), zeroAllowed: true)
        check("pong-timeout", pongTimeout, atLeast: .milliseconds(100), zeroAllowed: false)
        check("idle-timeout", idleTimeout, atLeast: .milliseconds(100), zeroAllowed: true)
        check("close-timeout", closeTimeout, atLeast: .milliseconds(10), zeroAllowed: false)
    }
}

/// What handlers serve a path, and under which bounds.
public final class Route: Sendable {
    /// The path, exact; or a prefix that ends in `/*`.
    public let path: String
    /// In the order of the server's preference.
    public let subprotocols: [String]
    public let limits: ConnectionLimits
    public let restart: RestartPolicy
    /// Origins whose pages may connect (scheme://host[:port]); nil: any. Requests without Origin do not come from a
    /// page and may.
    public let allowedOrigins: [String]?
    let handlerType: HandlerType
    /// Where connections go, for a client's route; nil for a server's.
    let target: ClientTarget?

    /// `connect` makes the handler of a connection, in the connection's process; it throws `ConnectionRefused` to
    /// refuse it.
    public init<Handler: ConnectionHandler>(
        _ path: String, subprotocols: [String] = [], limits: ConnectionLimits = ConnectionLimits(),
        restart: RestartPolicy = .restart(), allowedOrigins: [String]? = nil,
        connect: @escaping @Sendable (borrowing ConnectRequest) throws -> Handler
    ) {
        self.path = path
        self.subprotocols = subprotocols
        self.limits = limits
        self.restart = restart
        self.allowedOrigins = allowedOrigins
        handlerType = TypedHandler(connect)
        target = nil
    }

    /// A client's route.
    init<Handler: ConnectionHandler>(
        _ path: String, limits: ConnectionLimits, restart: RestartPolicy, target: ClientTarget,
        connect: @escaping @Sendable (borrowing ConnectRequest) throws -> Handler
    ) {
        self.path = path
        subprotocols = target.subprotocols
        self.limits = limits
        self.restart = restart
        allowedOrigins = nil
        handlerType = TypedHandler(connect)
        self.target = target
    }

    /// True for a request that may be served: without Origin, or with one that is allowed (RFC 6455 §10.2).
    func allowsOrigin(of head: RequestHead) -> Bool {
        guard let allowedOrigins else { return true }
        let origins = head.headers.all("origin")
        if origins.isEmpty { return true }
        guard origins.count == 1 else { return false }
        return allowedOrigins.contains { $0.lowercased() == origins[0].lowercased() }
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
        for (prefix, route) in prefixes where path.hasPrefix(prefix) {
            return (route, String(path.dropFirst(prefix.count)))
        }
        return nil
    }

    static func validate(_ routes: [Route], _ problems: inout [String]) {
        var seen: Set<String> = []
        for route in routes {
            if !route.path.hasPrefix("/") { problems.append("route '\(route.path)' must start with /") }
            if !seen.insert(route.path).inserted { problems.append("route '\(route.path)' is given twice; remove one") }
            route.limits.validate("route \(route.path)", &problems)
        }
    }
}
