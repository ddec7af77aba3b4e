// SPDX-License-Identifier: Apache-2.0

/// Why a process ended. (Erlang reference manual, "Errors and Error Handling", "Exit Reasons".)
public enum ExitReason: Sendable {
    /// Its code returned.
    case normal
    /// It was asked to end in an orderly way, by its supervisor for one.
    case shutdown
    /// As `shutdown`, and why. (Erlang: `{shutdown, Term}`.)
    case shutdownTerm(any Error)
    /// `exit(pid, .kill)`: it could not refuse.
    case killed
    /// There was no such process: the answer to a link or a monitor of a pid that has ended.
    case noProcess
    /// Its code threw.
    case error(any Error)
    /// Its code trapped, or recursed until its stack was used up. Boxed: a trap carries a backtrace.
    case trapped(Trap)
    /// It held more memory than its `maxHeapSize`. Boxed: it says where it grew.
    case heapLimit(HeapOverflow)
    /// More messages waited for it than its mailbox limit.
    case mailboxLimit(messageCount: Int, limit: Int)
    /// The signal `exit(pid, .kill)`. Never the reason of an ended process, which is `.killed`.
    case kill

    /// `normal` and `shutdown`, with a term or without, are no failures: a transient child that ends so stays ended.
    public var isNormal: Bool {
        switch self {
        case .normal, .shutdown, .shutdownTerm: true
        case .killed, .noProcess, .error, .trapped, .heapLimit, .mailboxLimit, .kill: false
        }
    }
}

extension ExitReason: CustomStringConvertible {
    public var description: String {
        switch self {
        case .normal: "normal"
        case .shutdown: "shutdown"
        case .shutdownTerm(let term): "shutdown: \(term)"
        case .killed: "killed"
        case .kill: "kill"
        case .noProcess: "no such process"
        case .error(let error): "threw \(error)"
        case .trapped(let trap): trap.description
        case .heapLimit(let overflow): overflow.description
        case .mailboxLimit(let messageCount, let limit):
            "\(messageCount) messages waited; raise its mailbox limit (now \(limit)) to allow it"
        }
    }

    /// One word for metrics and log metadata.
    public var label: String {
        switch self {
        case .normal: "normal"
        case .shutdown, .shutdownTerm: "shutdown"
        case .killed, .kill: "killed"
        case .noProcess: "no_process"
        case .error: "error"
        case .trapped: "trapped"
        case .heapLimit: "heap_limit"
        case .mailboxLimit: "mailbox_limit"
        }
    }
}

/// Thrown out of `receive`, `sleep` and every other waiting call of a process that has been told to end, so that its
/// frames unwind.
///
/// Code that catches it meets it again at its next waiting call.
public struct ProcessExit: Error, CustomStringConvertible {
    public let reason: ExitReason

    /// To throw: the process ends for `reason`. A process that traps exits ends so when it is asked to.
    public init(reason: ExitReason) { self.reason = reason }

    public var description: String { "process told to exit: \(reason)" }
}

/// A trap of handler code, as it was found when it landed.
public final class Trap: Sendable, CustomStringConvertible {
    /// What kind of trap it was.
    public enum Kind: String, Sendable {
        /// SIGILL or SIGTRAP: a Swift runtime check, `fatalError`, a precondition.
        case check
        /// SIGFPE: a division in C code.
        case arithmetic
        /// SIGABRT after a report of the Swift runtime: a failed cast, an exclusivity violation.
        case abort
        /// Recursion used up the process stack.
        case stackOverflow = "stack overflow"
    }

    public let kind: Kind
    /// What the Swift runtime said, where it said something: optimised code traps without a word for most checks.
    public let message: String?
    /// The instruction that trapped.
    public let address: UInt
    /// Return addresses, innermost first; at most 48.
    package let frames: [UInt]
    /// Bytes the process had allocated and not freed; what its abandoned frames owned is among them and is lost.
    public let leakedByteCount: Int
    /// Whose code it was.
    public let process: ProcessName?

    package init(
        kind: Kind, message: String?, address: UInt, frames: [UInt], leakedByteCount: Int, process: ProcessName? = nil
    ) {
        self.kind = kind
        self.message = message
        self.address = address
        self.frames = frames
        self.leakedByteCount = leakedByteCount
        self.process = process
    }

    /// The function of each frame, innermost first. Looks the names up in the symbol table: microseconds a frame.
    public var backtrace: [String] {
        frames.enumerated().map { depth, address in
            // A return address is after its call; the byte before it belongs to the caller.
            let symbol = Symbol(at: depth == 0 ? address : address - 1)
            return "\(symbol.name) + \(symbol.offset)"
        }
    }

    /// With the label of its process, where it has one: a pid says nothing to who reads a log.
    private var owner: String { process?.label.map { " of \"\($0)\"" } ?? "" }

    public var description: String {
        let text = message.map { ": \($0)" } ?? ""
        let place = frames.first.map { " in \(Symbol(at: $0).name)" } ?? ""
        return "trapped (\(kind.rawValue))\(text)\(place)\(owner)"
    }
}
