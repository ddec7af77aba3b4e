// SPDX-License-Identifier: Apache-2.0

public import RoostHTTP
public import RoostIO

/// The upgrade request that a connection begins with, lent to the route's `connect`.
public struct ConnectRequest: ~Copyable {
    /// Method, target and headers as they came.
    public let head: RequestHead
    /// Where it came from: the client, where a trusted proxy says so; nil where the kernel does not say.
    public let peer: SocketAddress?
    /// The subprotocol that will be answered, if one was agreed on.
    public let subprotocol: String?
    /// What the path has after the route's prefix, for a route that ends in `/*`; empty otherwise.
    public let pathRemainder: String
    /// True where it came over TLS.
    public let isSecure: Bool
    /// The subject of the client's certificate, verified; nil where it showed none.
    public let clientCertificate: String?

    /// The path, decoded, without the query.
    public var path: String { head.path }
    /// The query, encoded as it came.
    public var query: String? { head.query }
    public var headers: HeaderFields { head.headers }
}

/// Thrown by `connect` to refuse a connection with an HTTP status before it is a WebSocket.
public struct ConnectionRefused: Error, CustomStringConvertible {
    public let status: HTTPStatus
    /// Told to the client in the body.
    public let reason: String

    public init(_ status: HTTPStatus = .forbidden, reason: String = "") {
        self.status = status
        self.reason = reason
    }

    public var description: String { "refused with \(status.rawValue)\(reason.isEmpty ? "" : ": \(reason)")" }
}
