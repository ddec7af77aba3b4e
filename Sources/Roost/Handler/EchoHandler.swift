// SPDX-License-Identifier: Apache-2.0

/// Sends every message back as it came. The built-in route `/echo`.
public struct EchoHandler: ConnectionHandler {
    public init() {}

    public mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<Never>) {
        connection.send(text)
    }

    public mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Never>) {
        connection.send(binary: bytes)
    }
}
