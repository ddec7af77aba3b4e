// SPDX-License-Identifier: Apache-2.0

public import RoostWebSocket

/// Why a connection is over. Each ended connection has exactly one; metrics count them.
public struct CloseReason: Sendable, Equatable, CustomStringConvertible {
    /// The cause, as metrics name it.
    public enum Cause: String, Sendable, CaseIterable {
        // Of an open WebSocket.

        /// The client began the closing handshake.
        case clientClosed = "client_closed"
        /// The server began it, where the connection is a client's.
        case serverClosed = "server_closed"
        /// The handler called `close`.
        case handlerClosed = "handler_closed"
        /// The stream ended, or broke, without a closing handshake.
        case connectionLost = "connection_lost"
        /// The peer broke a rule of the protocol.
        case protocolError = "protocol_error"
        /// Text that is no UTF-8, or compressed data that cannot be inflated.
        case invalidPayload = "invalid_payload"
        case messageTooBig = "message_too_big"
        case idleTimeout = "idle_timeout"
        case pongTimeout = "pong_timeout"
        /// What was queued for a client that does not read passed the limit.
        case slowConsumer = "slow_consumer"
        /// The client sent faster than it may.
        case rateLimited = "rate_limited"
        /// The handler crashed more often than its route allows.
        case handlerCrashed = "handler_crashed"
        /// The server is draining.
        case draining

        // Of a connection that never became one.

        /// Not to be read as HTTP/1.1, or past a limit of it: answered with 4xx or 5xx.
        case requestInvalid = "request_invalid"
        /// The upgrade request was refused: no such route, a wrong header, the handler's `ConnectionRefused`.
        case handshakeRefused = "handshake_refused"
        /// The page's origin is not allowed.
        case originRefused = "origin_refused"
        /// The first request did not come in time.
        case handshakeTimeout = "handshake_timeout"
        /// The client left before its request was whole.
        case handshakeAbandoned = "handshake_abandoned"
        /// The listener held as many connections as it may.
        case listenerFull = "listener_full"
        /// The kernel could not watch the socket: out of memory, or of watches (epoll_ctl(2)).
        case registrationFailed = "registration_failed"
        /// The client's address held as many connections as it may.
        case addressLimit = "address_limit"
        /// The client's address connected more often than it may.
        case addressRate = "address_rate"
        /// The TLS handshake failed, or the TLS connection broke before the request.
        case tlsFailed = "tls_failed"
        /// The TLS handshake did not end in time.
        case tlsTimeout = "tls_timeout"
        /// No PROXY header, a malformed one, or one of an address that is not trusted.
        case proxyRefused = "proxy_refused"
        /// The PROXY header did not come in time.
        case proxyTimeout = "proxy_timeout"
        /// Plain HTTP requests were answered, and the connection ended as it should.
        case requestsServed = "requests_served"
        /// A client's connection or upgrade failed.
        case connectFailed = "connect_failed"
    }

    public let cause: Cause
    /// The code sent or received, if there was one.
    public let code: CloseCode?
    /// What was said about it, by whichever side began.
    public let message: String

    package init(_ cause: Cause, code: CloseCode? = nil, message: String = "") {
        self.cause = cause
        self.code = code
        self.message = message
    }

    public var description: String {
        let codeText = code.map { " (\($0.rawValue))" } ?? ""
        return "\(cause.rawValue)\(codeText)\(message.isEmpty ? "" : ": \(message)")"
    }
}
