/// Writes responses. What is written comes from checked types, so no value can add a line (RFC 9112 §11.1).
package enum ResponseEncoder {
    /// A response with `body`. Content-Length is added, as a response that may have a body must tell its end
    /// (RFC 9110 §8.6); `fields` must not hold it.
    package static func encode(status: HTTPStatus, fields: [HeaderField], body: String = "") -> [UInt8] {
        var bytes = encodeHead(status: status, fields: fields, contentLength: body.utf8.count)
        bytes.append(contentsOf: body.utf8)
        return bytes
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
