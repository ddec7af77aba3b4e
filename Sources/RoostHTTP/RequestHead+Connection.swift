/// What a request asks of the connection.
extension RequestHead {
    /// What a request expects before it sends its body (RFC 9110 §10.1.1).
    package enum Expectation: Sendable, Equatable {
        case none
        /// The client waits for a 100 response before it sends the body.
        case `continue`
        /// Nothing that is known here: to be answered with 417.
        case unknown
    }

    /// True if the connection goes on after the response (RFC 9112 §9.3). `close` wins over `keep-alive`.
    package var keepsAlive: Bool {
        guard !headers.contains(token: "close", in: "connection") else { return false }
        switch version {
        case .http11: return true
        case .http10: return headers.contains(token: "keep-alive", in: "connection")
        }
    }

    /// The request's expectation. HTTP/1.0 knows none, so that one is to be ignored.
    package var expectsContinue: Expectation {
        guard version == .http11 else { return .none }
        let elements = headers.listElements(of: "expect")
        guard !elements.isEmpty else { return .none }
        return elements.allSatisfy { headers.equalsIgnoringCase($0, "100-continue") } ? .continue : .unknown
    }

    /// True if the request asks for a WebSocket (RFC 9110 §7.8, RFC 6455 §4.2.1). HTTP/1.0 knows no Upgrade.
    package var wantsUpgrade: Bool {
        version == .http11 && headers.contains(token: "websocket", in: "upgrade")
            && headers.contains(token: "upgrade", in: "connection")
    }
}
