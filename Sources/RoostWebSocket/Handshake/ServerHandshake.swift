package import RoostHTTP

/// The server's side of the opening handshake (RFC 6455 §4.2).
package enum ServerHandshake {
    package static let version = "13"

    package enum Outcome: Equatable, Sendable {
        case accept(Acceptance)
        case refuse(HandshakeRefusal)
    }

    /// What a server agrees to.
    package struct Acceptance: Equatable, Sendable {
        package let acceptValue: String
        package let subprotocol: String?
        /// What was agreed on about compression; nil if nothing was.
        package let deflate: DeflateParameters?
        /// The value of Sec-WebSocket-Extensions that says so.
        package let extensionsValue: String?
    }

    /// Checks an upgrade request and chooses a subprotocol: the first of `supportedSubprotocols` that the client
    /// offers, or none. Compression is agreed on if there is a policy for it and the client offers it. Origin and path
    /// are the caller's to judge.
    package static func evaluate(
        _ request: RequestHead, supportedSubprotocols: [String] = [], deflate: DeflatePolicy? = nil
    ) -> Outcome {
        do throws(HandshakeRefusal) {
            return .accept(try accept(request, supportedSubprotocols, deflate))
        } catch {
            return .refuse(error)
        }
    }

    private static func accept(
        _ request: RequestHead, _ supportedSubprotocols: [String], _ deflate: DeflatePolicy?
    ) throws(HandshakeRefusal) -> Acceptance {
        let headers = request.headers
        guard request.method == "GET" else { throw .methodNotAllowed }
        // Upgrade in an HTTP/1.0 request is to be ignored (RFC 9110 §7.8).
        guard request.version == .http11, headers.contains(token: "websocket", in: "upgrade") else {
            throw .upgradeMissing
        }
        guard headers.contains(token: "upgrade", in: "connection") else { throw .connectionWithoutUpgrade }
        guard headers.count(of: "sec-websocket-version") > 0 else { throw .versionMissing }
        guard let version = headers.only("sec-websocket-version"), headers.equalsIgnoringCase(version, Self.version)
        else { throw .versionUnsupported }
        guard headers.count(of: "sec-websocket-key") > 0 else { throw .keyMissing }
        guard let keyRange = headers.only("sec-websocket-key") else { throw .keyRepeated }
        guard let key = HandshakeKey(received: headers.bytes(in: keyRange)) else { throw .keyInvalid }
        switch request.bodyFraming {
        case .none, .contentLength(0): break
        case .contentLength, .chunked: throw .bodyNotAllowed
        }
        guard let offered = Subprotocols.offered(in: headers) else { throw .subprotocolInvalid }
        let agreed = deflate.flatMap { DeflateNegotiation.accept(headers, policy: $0) }
        return Acceptance(
            acceptValue: key.acceptValue,
            subprotocol: Subprotocols.choose(from: offered, supported: supportedSubprotocols),
            deflate: agreed?.parameters, extensionsValue: agreed?.responseValue)
    }

    /// The 101 response (RFC 6455 §4.2.2).
    ///
    /// Traps if `extraFields` holds one of the handshake's own headers, or the subprotocol is not a token.
    package static func response(_ acceptance: Acceptance, extraFields: [HeaderField] = []) -> [UInt8] {
        var fields = [
            HeaderField(known: "Upgrade", "websocket"),
            HeaderField(known: "Connection", "Upgrade"),
            HeaderField(known: "Sec-WebSocket-Accept", acceptance.acceptValue),
        ]
        if let subprotocol = acceptance.subprotocol {
            precondition(Subprotocols.isValid(subprotocol), "ServerHandshake.response: subprotocol is not a token")
            fields.append(HeaderField(known: "Sec-WebSocket-Protocol", subprotocol))
        }
        if let value = acceptance.extensionsValue {
            fields.append(HeaderField(known: "Sec-WebSocket-Extensions", value))
        }
        for field in extraFields {
            precondition(!isReserved(field.name), "ServerHandshake.response: \(field.name) is the handshake's own")
            fields.append(field)
        }
        return ResponseEncoder.encodeHead(status: .switchingProtocols, fields: fields)
    }

    /// True for headers that the handshake itself writes; a 101 has no body, so lengths count too.
    package static func isReserved(_ name: String) -> Bool {
        reservedNames.contains(name.lowercased())
    }

    private static let reservedNames: Set = [
        "upgrade", "connection", "sec-websocket-accept", "sec-websocket-protocol", "sec-websocket-extensions",
        "sec-websocket-version", "content-length", "transfer-encoding",
    ]
}
