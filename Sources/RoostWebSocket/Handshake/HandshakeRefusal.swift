package import RoostHTTP

/// Why an upgrade request was refused (RFC 6455 §4.2.1).
package enum HandshakeRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    case methodNotAllowed
    case upgradeMissing
    case connectionWithoutUpgrade
    case versionMissing
    case versionUnsupported
    case keyMissing
    case keyRepeated
    case keyInvalid
    case bodyNotAllowed
    case subprotocolInvalid

    package var status: HTTPStatus {
        switch self {
        case .methodNotAllowed: .methodNotAllowed
        case .upgradeMissing, .versionUnsupported: .upgradeRequired
        case .connectionWithoutUpgrade, .versionMissing, .keyMissing, .keyRepeated, .keyInvalid, .bodyNotAllowed,
            .subprotocolInvalid:
            .badRequest
        }
    }

    /// Headers that the status needs, so that the client learns what to do (RFC 9110 §15.5.6, §15.5.22).
    package var fields: [HeaderField] {
        switch self {
        case .methodNotAllowed: [HeaderField(known: "Allow", "GET")]
        case .upgradeMissing:
            [HeaderField(known: "Upgrade", "websocket"), HeaderField(known: "Connection", "Upgrade, close")]
        case .versionUnsupported:
            [
                HeaderField(known: "Upgrade", "websocket"), HeaderField(known: "Connection", "Upgrade, close"),
                HeaderField(known: "Sec-WebSocket-Version", ServerHandshake.version),
            ]
        case .versionMissing: [HeaderField(known: "Sec-WebSocket-Version", ServerHandshake.version)]
        case .connectionWithoutUpgrade, .keyMissing, .keyRepeated, .keyInvalid, .bodyNotAllowed, .subprotocolInvalid:
            []
        }
    }

    package var description: String {
        switch self {
        case .methodNotAllowed: "a WebSocket is opened with GET (RFC 6455 §4.2.1)"
        case .upgradeMissing:
            "this is a WebSocket endpoint; send 'Upgrade: websocket' in an HTTP/1.1 request (RFC 6455 §4.2.1)"
        case .connectionWithoutUpgrade: "'Connection' header must contain 'Upgrade' (RFC 6455 §4.2.1)"
        case .versionMissing: "'Sec-WebSocket-Version' header is missing; send 13 (RFC 6455 §4.2.1)"
        case .versionUnsupported: "'Sec-WebSocket-Version' must be 13 and sent once (RFC 6455 §4.4)"
        case .keyMissing: "'Sec-WebSocket-Key' header is missing (RFC 6455 §4.2.1)"
        case .keyRepeated: "'Sec-WebSocket-Key' header must be sent once (RFC 6455 §11.3.1)"
        case .keyInvalid: "'Sec-WebSocket-Key' header must be base64 of 16 bytes (RFC 6455 §4.2.1)"
        case .bodyNotAllowed: "an upgrade request must not have a body; send it without Content-Length"
        case .subprotocolInvalid:
            "'Sec-WebSocket-Protocol' header must list distinct tokens (RFC 6455 §11.3.4)"
        }
    }

    /// The whole response, without its body to HEAD. It announces that the connection ends, as nothing else is spoken
    /// on it.
    package func response(isHead: Bool = false) -> [UInt8] {
        var fields = fields
        if !fields.contains(where: { $0.name == "Connection" }) {
            fields.append(HeaderField(known: "Connection", "close"))
        }
        fields.append(HeaderField(known: "Content-Type", "text/plain; charset=utf-8"))
        let body = description + "\n"
        guard isHead else { return ResponseEncoder.encode(status: status, fields: fields, body: body) }
        return ResponseEncoder.encodeHead(status: status, fields: fields, contentLength: body.utf8.count)
    }
}
