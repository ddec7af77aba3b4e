// SPDX-License-Identifier: Apache-2.0

/// Somewhere that messages of one type can be sent to: an address, or a name under which one is found at each send.
///
/// Whoever takes an `Address` to send to it, call it or monitor it should take `some Destination<Message>` instead:
/// then callers may pass either. (Elixir: `t:GenServer.server/0`, a pid, a registered name or a `:via` tuple.)
public protocol Destination<Message>: Sendable {
    associatedtype Message: Sendable

    /// The process that a message would reach now; nil when there is none. What it finds may end, or lose its name, at
    /// any time: ask again for each send. Any thread.
    var address: Address<Message>? { get }

    /// As `address`, with an error that says why there is none. Any thread.
    func resolve() throws(NameError) -> Address<Message>
}

extension Destination {
    /// Sends `message` to the process that is there now. Never waits. Any thread.
    ///
    /// False, and the message destroyed here, where there is no such process; as with an address, true says that it was
    /// delivered, not that it will be received.
    @discardableResult
    @inlinable
    public func send(_ message: consuming sending Message) -> Bool {
        guard let address else { return false }
        return address.send(message)
    }
}

extension Address: Destination {
    /// Itself, whether or not its process lives.
    @inlinable public var address: Address<Message>? { self }

    /// Itself, whether or not its process lives.
    @inlinable
    public func resolve() throws(NameError) -> Address<Message> { self }
}
