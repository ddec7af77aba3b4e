/// Writes responses. What is written comes from checked types, so no value can add a line (RFC 9112 §11.1).
package enum ResponseEncoder {
    /// A response with `body`. Content-Length is added, as a response that may have a body must tell its end
    /// (RFC 9110 §8.6); `fields` must not hold it.
    package static func encode(status: HTTPStatus, fields: [HeaderField], body: String = "") -> [UInt8] {
        var bytes = encodeHead(status: status, fields: fields, contentLength: body.utf8.count)
        bytes.append(contentsOf: body.utf8)
        return bytes
    }

    /// Tells a client that waits with its body to send it (RFC 9110 §10.1.1). A further response follows.
    package static let continueResponse = encodeHead(status: .continue, fields: [])

    /// The response to a request that may have been HEAD, on a connection that may go on.
    ///
    /// To HEAD it tells the length of `body` and leaves `body` out (RFC 9110 §9.3.2). Responses that have no body by
    /// their status (1xx, 204, 304) get none, nor a length (§8.6). `Connection` is written as `keepsAlive`, the
    /// client's `version` and an `Upgrade` among `fields` require (RFC 9112 §9.3, RFC 9110 §7.8). `date` nil writes no
    /// Date: a server without a clock leaves it out (RFC 9110 §6.6.1).
    ///
    /// Traps if `fields` holds a header for which `isReserved` is true: the caller refuses it where it comes from.
    package static func encode(
        status: HTTPStatus, fields: [HeaderField], body: [UInt8], isHead: Bool, keepsAlive: Bool,
        version: HTTPVersion = .http11, date: HTTPDate? = nil
    ) -> [UInt8] {
        for field in fields {
            precondition(!isReserved(field.name), "ResponseEncoder.encode: \(field.name) is the encoder's own")
        }
        var fields = fields
        let isUpgrade = fields.contains { $0.name.lowercased() == "upgrade" }
        if let connection = connectionOptions(keepsAlive: keepsAlive, isUpgrade: isUpgrade, version: version) {
            fields.append(HeaderField(known: "Connection", connection))
        }
        if let date { fields.append(HeaderField(known: "Date", date.description)) }
        let mayHaveBody = status.mayHaveBody
        var bytes = encodeHead(status: status, fields: fields, contentLength: mayHaveBody ? body.count : nil)
        if mayHaveBody, !isHead { bytes.append(contentsOf: body) }
        return bytes
    }

    /// True for headers that `encode(status:fields:body:isHead:keepsAlive:)` writes itself, and for those that would
    /// contradict them.
    package static func isReserved(_ name: String) -> Bool { reservedNames.contains(name.lowercased()) }

    private static let reservedNames: Set = [
        "connection", "content-length", "date", "keep-alive", "proxy-connection", "trailer", "transfer-encoding",
    ]

    private static func connectionOptions(keepsAlive: Bool, isUpgrade: Bool, version: HTTPVersion) -> String? {
        switch (keepsAlive, isUpgrade, version) {
        case (false, false, _): "close"
        case (false, true, _): "Upgrade, close"
        case (true, false, .http10): "keep-alive"
        case (true, true, .http10): "Upgrade, keep-alive"
        case (true, false, .http11): nil
        case (true, true, .http11): "Upgrade"
        }
    }

    /// Status line, headers and the empty line. `contentLength` nil writes no Content-Length, as for 101 and 204.
    package static func encodeHead(status: HTTPStatus, fields: [HeaderField], contentLength: Int? = nil) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(256)
        bytes.append(contentsOf: "HTTP/1.1 \(status.rawValue) \(status.reasonPhrase)".utf8)
        appendLineEnd(to: &bytes)
        for field in fields { append(field.name, field.value, to: &bytes) }
        if let contentLength { append("Content-Length", String(contentLength), to: &bytes) }
        appendLineEnd(to: &bytes)
        return bytes
    }

    private static func append(_ name: String, _ value: String, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: name.utf8)
        bytes.append(UInt8(ascii: ":"))
        bytes.append(.space)
        bytes.append(contentsOf: value.utf8)
        appendLineEnd(to: &bytes)
    }

    private static func appendLineEnd(to bytes: inout [UInt8]) {
        bytes.append(.carriageReturn)
        bytes.append(.lineFeed)
    }
}
