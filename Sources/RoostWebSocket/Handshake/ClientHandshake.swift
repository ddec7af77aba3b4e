package import RoostHTTP

/// The client's side of the opening handshake (RFC 6455 §4.1). For the load tester and for tests.
package struct ClientHandshake: Sendable {
    private let key: HandshakeKey
    private let offeredSubprotocols: [String]
    private let offeredDeflate: DeflatePolicy?
    /// The request to be sent.
    package let request: [UInt8]

    /// Throws if what the caller gives cannot stand in a request.
    ///
    /// `host` is `name[:port]`; `target` is a path with its query, percent-encoded; `random` is drawn anew for each
    /// connection. Compression is offered if there is a policy for it.
    package init(
        host: String, target: String, random: (UInt64, UInt64), subprotocols: [String] = [],
        deflate: DeflatePolicy? = nil, extraFields: [HeaderField] = []
    ) throws(ClientHandshakeError) {
        guard target.utf8.first == UInt8(ascii: "/"), target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw .invalidTarget(target)
        }
        guard let hostField = try? HeaderField("Host", host), !host.isEmpty, !host.contains(" ") else {
            throw .invalidHost(host)
        }
        for name in subprotocols where !Subprotocols.isValid(name) { throw .invalidSubprotocol(name) }
        key = HandshakeKey(random: random)
        offeredSubprotocols = subprotocols
        offeredDeflate = deflate
        var fields = [
            hostField, HeaderField(known: "Upgrade", "websocket"), HeaderField(known: "Connection", "Upgrade"),
            HeaderField(known: "Sec-WebSocket-Key", key.text),
            HeaderField(known: "Sec-WebSocket-Version", ServerHandshake.version),
        ]
        if !subprotocols.isEmpty {
            fields.append(HeaderField(known: "Sec-WebSocket-Protocol", subprotocols.joined(separator: ", ")))
        }
        if let deflate {
            fields.append(HeaderField(known: "Sec-WebSocket-Extensions", DeflateNegotiation.offer(deflate)))
        }
        let lines = (fields + extraFields).map { "\($0.name): \($0.value)\r\n" }.joined()
        request = Array("GET \(target) HTTP/1.1\r\n\(lines)\r\n".utf8)
    }

    /// What the server's answer settles.
    package struct Agreement: Equatable, Sendable {
        /// The subprotocol it chose, if any.
        package let subprotocol: String?
        /// What was agreed on about compression; nil if nothing was.
        package let deflate: DeflateParameters?

        package init(subprotocol: String?, deflate: DeflateParameters?) {
            self.subprotocol = subprotocol
            self.deflate = deflate
        }
    }

    /// Checks the server's answer (RFC 6455 §4.1).
    package func check(_ response: ResponseHead) throws(ClientHandshakeError) -> Agreement {
        let headers = response.headers
        guard response.statusCode == 101 else { throw .status(response.statusCode) }
        guard response.version == .http11, headers.contains(token: "websocket", in: "upgrade") else {
            throw .upgradeMissing
        }
        guard headers.contains(token: "upgrade", in: "connection") else { throw .connectionWithoutUpgrade }
        guard let accept = headers.only("sec-websocket-accept"), headers.string(in: accept) == key.acceptValue else {
            throw .acceptValueWrong
        }
        let deflate = try checkDeflate(headers)
        return Agreement(subprotocol: try checkSubprotocol(headers), deflate: deflate)
    }

    private func checkDeflate(_ headers: HeaderFields) throws(ClientHandshakeError) -> DeflateParameters? {
        if let offeredDeflate { return try DeflateNegotiation.check(headers, offered: offeredDeflate) }
        guard headers.count(of: "sec-websocket-extensions") == 0 else { throw .extensionNotOffered }
        return nil
    }

    private func checkSubprotocol(_ headers: HeaderFields) throws(ClientHandshakeError) -> String? {
        guard headers.count(of: "sec-websocket-protocol") > 0 else { return nil }
        guard let range = headers.only("sec-websocket-protocol") else { throw .subprotocolNotOffered }
        let chosen = headers.string(in: range)
        guard offeredSubprotocols.contains(chosen) else { throw .subprotocolNotOffered }
        return chosen
    }
}

/// Why a client cannot open a connection.
package enum ClientHandshakeError: Error, Equatable, Sendable, CustomStringConvertible {
    case invalidTarget(String)
    case invalidHost(String)
    case invalidSubprotocol(String)
    case status(UInt16)
    case upgradeMissing
    case connectionWithoutUpgrade
    case acceptValueWrong
    case extensionNotOffered
    case extensionsMalformed
    case deflateAnswerInvalid(String)
    case subprotocolNotOffered

    package var description: String {
        switch self {
        case .invalidTarget(let target): "target '\(target)' must start with '/' and be percent-encoded"
        case .invalidHost(let host): "host '\(host)' must be 'name[:port]'"
        case .invalidSubprotocol(let name): "subprotocol '\(name)' is not a token (RFC 6455 §11.3.4)"
        case .status(let code): "server answered with status \(code) instead of 101 (RFC 6455 §4.1)"
        case .upgradeMissing: "response has no 'Upgrade: websocket' (RFC 6455 §4.1)"
        case .connectionWithoutUpgrade: "response has no 'Connection: Upgrade' (RFC 6455 §4.1)"
        case .acceptValueWrong: "'Sec-WebSocket-Accept' does not match the key that was sent (RFC 6455 §4.1)"
        case .extensionNotOffered: "server chose an extension that was not offered (RFC 6455 §4.1)"
        case .extensionsMalformed: "'Sec-WebSocket-Extensions' is not a list of extensions (RFC 6455 §9.1)"
        case .deflateAnswerInvalid(let value):
            "server's answer '\(value)' does not match the offer of permessage-deflate (RFC 7692 §5.1, §7.1)"
        case .subprotocolNotOffered: "server chose a subprotocol that was not offered (RFC 6455 §4.1)"
        }
    }
}
