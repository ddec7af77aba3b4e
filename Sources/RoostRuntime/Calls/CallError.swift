// SPDX-License-Identifier: Apache-2.0

/// Why a call has no answer. Its description names the callee, the type of the request, and what to do.
public struct CallError: Error, Sendable, CustomStringConvertible {
    public enum Cause: Sendable {
        /// There was no process behind the address or the name. (OTP: `noproc`.)
        case noProcess
        /// The callee ended before it answered, for this reason.
        case ended(ExitReason)
        /// No answer came within so long. The callee may still do what it was asked to; its answer will be dropped.
        case timedOut(Duration)
        /// A process that calls itself would wait for ever. (OTP: `calling_self`.)
        case callingItself
        /// The callee destroyed its `PromisedReply` without answering.
        case unanswered
    }

    public let cause: Cause
    /// The process that was called; nil where a name had none.
    public let callee: Pid?
    /// What the callee is called: its label where it had one and has ended, or the name it was called by.
    public let calleeName: String?
    /// The type of the request.
    public let request: String

    package init(_ cause: Cause, callee: Pid?, calleeName: String? = nil, request: Any.Type) {
        self.cause = cause
        self.callee = callee
        self.calleeName = calleeName
        self.request = String(describing: request)
    }

    public var description: String {
        let name = [callee?.description, calleeName.map { "'\($0)'" }].compactMap(\.self).joined(separator: " ")
        return "call of \(request) to \(name.isEmpty ? "nobody" : name): \(explanation)"
    }

    private var explanation: String {
        switch cause {
        case .noProcess: "there is no such process; start it first, or look its address up again"
        case .ended(let reason): "it ended before it answered (\(reason)); call what was started in its place"
        case .timedOut(let duration): "no answer within \(duration); give the call more time, or the callee less to do"
        case .callingItself: "a process that calls itself waits for ever; do the work directly, or send it a message"
        case .unanswered: "it destroyed the PromisedReply without an answer; answer on every path"
        }
    }
}
