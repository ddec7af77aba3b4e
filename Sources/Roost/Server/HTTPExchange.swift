// SPDX-License-Identifier: Apache-2.0

public import RoostHTTP
public import RoostIO

/// A plain HTTP request, whole.
public struct HTTPRequest: Sendable {
    /// Method, target and headers as they came.
    public let head: RequestHead
    /// Where it came from: the client, where a trusted proxy says so; nil where the kernel does not say.
    public let peer: SocketAddress?
    /// True where it came over TLS.
    public let isSecure: Bool
    /// What the path has after the route's prefix, for a route that ends in `/*`; empty otherwise.
    public let pathRemainder: String
    /// At most `HTTPRequestLimits.bodyByteCountMax` bytes.
    public let body: [UInt8]

    package init(
        head: RequestHead, peer: SocketAddress?, isSecure: Bool, pathRemainder: String = "", body: [UInt8] = []
    ) {
        self.head = head
        self.peer = peer
        self.isSecure = isSecure
        self.pathRemainder = pathRemainder
        self.body = body
    }

    public var method: String { head.method }
    public var path: String { head.path }
}

/// The answer to a plain HTTP request. Its length and whether the connection goes on are the server's to add.
public struct HTTPResponse: Sendable {
    public var status: HTTPStatus
    /// Without Content-Length, Transfer-Encoding and Connection, which are the server's: those are left out.
    public var fields: [HeaderField]
    public var body: [UInt8]

    public init(_ status: HTTPStatus = .ok, fields: [HeaderField] = [], body: [UInt8] = []) {
        self.status = status
        self.fields = fields
        self.body = body
    }

    /// A response of text.
    public init(_ status: HTTPStatus = .ok, text: String, type: String = "text/plain; charset=utf-8") {
        let field = try? HeaderField("Content-Type", type)
        self.init(status, fields: field.map { [$0] } ?? [], body: Array(text.utf8))
    }
}

/// Answers the plain requests of a route, in the process of the connection that they came on: what it throws, or a
/// trap, is answered with 500.
public typealias HTTPResponder = @Sendable (HTTPRequest) throws -> HTTPResponse
