// SPDX-License-Identifier: Apache-2.0

/// The identity of one process, for its whole life and after it.
///
/// A pid is a slot of the process table and the generation of its use: it stays unique when the slot is used again, so
/// a pid of a process that has ended is safe to keep and a send to it does nothing. (Erlang reference manual,
/// "Processes".)
public struct Pid: Hashable, Sendable {
    package let index: UInt32
    package let generation: UInt32

    package init(index: UInt32, generation: UInt32) {
        self.index = index
        self.generation = generation
    }

    /// The pid as one word: generation in the upper half, as malloc's accounts and epoll's events carry it.
    package var word: UInt64 { UInt64(generation) << 32 | UInt64(index) }
    package init(word: UInt64) {
        self.init(index: UInt32(truncatingIfNeeded: word), generation: UInt32(truncatingIfNeeded: word >> 32))
    }
}

extension Pid: CustomStringConvertible {
    /// `<index.generation>`, as logs and the inspection show it.
    public var description: String { "<\(index).\(generation)>" }
}

/// Where messages of one type go: the pid of a process and the type that it receives.
///
/// Copyable and `Sendable`. A send to a process that has ended destroys the message and does nothing else.
public struct Address<Message: Sendable>: Hashable, Sendable, CustomStringConvertible {
    /// The process behind the address, for links, monitors and exit signals.
    public let pid: Pid

    package init(pid: Pid) { self.pid = pid }

    public var description: String { "\(pid) of \(Message.self)" }
}

/// Identifies one monitor or timer; unique in the program's life.
public struct Reference: Hashable, Sendable, CustomStringConvertible {
    package let number: UInt64

    package init(number: UInt64) { self.number = number }

    public var description: String { "#ref<\(number)>" }
}
