/// The status line and headers of a response, as a client receives it.
package struct ResponseHead: Sendable {
    package let version: HTTPVersion
    package let statusCode: UInt16
    package let headers: HeaderFields
}
