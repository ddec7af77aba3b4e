// SPDX-License-Identifier: Apache-2.0

/// Why a name was not given, or leads nowhere.
public enum NameError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Somebody has the name. (Erlang: `badarg` of `register/2`; Elixir: `{:already_registered, pid}`.)
    case taken(name: String, holder: Pid)
    /// Nobody has the name.
    case notRegistered(name: String)
    /// The process that has the name receives messages of another type than the one asked for.
    case wrongMessageType(name: String, holder: Pid, receives: String, asked: String)
    /// The value beside the name is of another type than the one asked for.
    case wrongValueType(name: String, holder: Pid, has: String, asked: String)
    /// Only the process that has the name may do this.
    case notTheHolder(name: String, holder: Pid)
    /// The process has ended, or is ending: it gets no name and joins no group.
    case noProcess(name: String, pid: Pid)

    public var description: String {
        switch self {
        case .taken(let name, let holder):
            "the name \(name) belongs to \(holder); unregister it first, or use another name"
        case .notRegistered(let name):
            "no process has the name \(name); register one, or look whether it has ended"
        case .wrongMessageType(let name, let holder, let receives, let asked):
            "\(holder), which has the name \(name), receives \(receives), not \(asked); look it up as \(receives)"
        case .wrongValueType(let name, let holder, let has, let asked):
            "the value of the name \(name) of \(holder) is of type \(has), not \(asked); ask for \(has)"
        case .notTheHolder(let name, let holder):
            "the name \(name) belongs to \(holder), and only that process may change its value"
        case .noProcess(let name, let pid):
            "\(pid) has ended and cannot have the name or group \(name); use a process that lives"
        }
    }
}
