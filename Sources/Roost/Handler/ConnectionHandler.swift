// SPDX-License-Identifier: Apache-2.0

public import RoostRuntime

/// What an application does with one WebSocket connection.
///
/// The runtime keeps one value for each connection, in the connection's own process: its state is nobody else's, no
/// lock is needed. A callback that throws, traps, loops or hoards memory ends that process only; a fresh one, with a
/// copy of the value as it was when the connection opened, goes on with the same socket (`RestartPolicy`). So make it a
/// struct: state behind a class reference would be the crashed handler's.
///
/// Received bytes are lent for the length of the callback. They are neither copied nor able to escape.
public protocol ConnectionHandler {
    /// What other processes may send to this connection's `address`.
    associatedtype Message: Sendable = Never

    /// The connection is open: also called on a fresh handler after a restart.
    mutating func opened(_ connection: borrowing Connection<Message>) throws

    /// A text message arrived; it is valid UTF-8.
    mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<Message>) throws

    /// A binary message arrived.
    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Message>) throws

    /// A message of another process arrived.
    mutating func receive(_ message: Message, _ connection: borrowing Connection<Message>) throws

    /// A process that this one monitors has ended.
    mutating func down(_ down: Down, _ connection: borrowing Connection<Message>) throws

    /// A timer set with `setTimer` is due.
    mutating func timer(_ id: Int, _ connection: borrowing Connection<Message>) throws

    /// The connection is over, for `reason`. Nothing can be sent any more. Not called on a handler that crashed.
    mutating func terminated(_ reason: CloseReason, _ connection: borrowing Connection<Message>)
}

extension ConnectionHandler {
    public mutating func opened(_ connection: borrowing Connection<Message>) throws {}

    /// Refuses text with close code 1003 (RFC 6455 §7.4.1) unless the handler takes it.
    public mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<Message>) throws {
        connection.close(.unsupportedData, reason: "text messages are not accepted here")
    }

    /// Refuses binary messages with close code 1003 unless the handler takes them.
    public mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Message>) throws {
        connection.close(.unsupportedData, reason: "binary messages are not accepted here")
    }

    public mutating func receive(_ message: Message, _ connection: borrowing Connection<Message>) throws {}
    public mutating func down(_ down: Down, _ connection: borrowing Connection<Message>) throws {}
    public mutating func timer(_ id: Int, _ connection: borrowing Connection<Message>) throws {}
    public mutating func terminated(_ reason: CloseReason, _ connection: borrowing Connection<Message>) {}
}
