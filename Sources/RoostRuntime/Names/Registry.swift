// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// Unique names for processes: a name belongs to one process at a time, and is free again when that process ends.
/// (Elixir: `Registry` with `keys: :unique`; Erlang: `register`, `whereis`, `unregister`.)
///
///     let names = Registry<String>()
///     try names.register("clock", process)                       // in the clock's own process
///     try names.address(of: "clock", receiving: Tick.self)?.send(.now)
///     names.via("clock", receiving: Tick.self).send(.now)        // the same, looked up at each send
///
/// A name vanishes before anyone is told that its process has ended, by a monitor, a link or a supervisor: who restarts
/// a process finds its name free. A process may have any number of names. Every method may be called in any process and
/// on any thread; none waits. `hash(into:)` and `==` of the key run as the caller's code, outside every lock. The table
/// is spread over 64 locks.
///
/// A registry lives as long as somebody holds it or has a name in it.
public final class Registry<Key: Hashable & Sendable>: Sendable {
    private let shards: NameShards

    public init() { shards = NameShards() }

    // MARK: Registering

    /// Gives the calling process the name `key`. `value` lies beside the name, for whoever looks it up.
    ///
    /// Throws `NameError.taken` with the holder's pid where somebody has the name, this process included.
    public func register<Message: Sendable>(
        _ key: Key, _ process: borrowing ProcessContext<Message>, value: (any Sendable)? = nil
    ) throws(NameError) {
        try register(key, process.address, value: value)
    }

    /// Gives the process behind `address` the name `key`.
    ///
    /// Throws `NameError.taken`, or `NameError.noProcess` where the process has ended or is ending.
    public func register<Message: Sendable>(
        _ key: Key, _ address: Address<Message>, value: (any Sendable)? = nil
    ) throws(NameError) {
        let name = RegisteredName(key, hash: key.nameHash, address.pid, Message.self, value, shards)
        var others: [TieTarget] = []
        while true {
            switch add(name, besides: others) {
            case .added: return
            case .noProcess: throw .noProcess(name: describe(key), pid: address.pid)
            case .sameHash(let entry):
                guard let present = entry as? RegisteredName<Key>, present.key == key else {
                    others.append(entry)
                    continue
                }
                if TieOwners.isAlive(present.pid) { throw .taken(name: describe(key), holder: present.pid) }
                // N2: it ends; its names are free, whether or not it has come to giving them up.
                roost_enter()
                present.remove()
                roost_leave()
            }
        }
    }

    private enum Addition {
        case added, noProcess
        /// An entry that may be the same, and has not been compared.
        case sameHash(TieTarget)
    }

    private func add(_ name: RegisteredName<Key>, besides others: [TieTarget]) -> Addition {
        roost_enter()
        defer { roost_leave() }
        roost_charge(TieOwners.reductions)
        var addition = Addition.added
        let isAlive = TieOwners.whileAlive(name.pid) { ties in
            let present = shards.withShard(name.shardIndex) { entries in
                let present = entries.first(name.hash, besides: others)
                if present == nil { entries.insert(name) }
                return present
            }
            if let present {
                addition = .sameHash(present)
            } else {
                ties.insert(Tie(name, slot: 0, ordinal: 0, owner: name.pid))
            }
        }
        return isAlive ? addition : .noProcess
    }

    /// Takes the name `key` from whoever has it; false where nobody does. (Erlang: `unregister/1`.)
    @discardableResult
    public func unregister(_ key: Key) -> Bool {
        guard let name = entry(of: key) else { return false }
        // A process that has ended has no names, also while they are being undone.
        let isAlive = TieOwners.isAlive(name.pid)
        return unregister(name) && isAlive
    }

    /// Takes the name `key` from `holder`; false where that process does not have it.
    @discardableResult
    public func unregister(_ key: Key, holder: Pid) -> Bool {
        guard let name = entry(of: key), name.pid == holder else { return false }
        let isAlive = TieOwners.isAlive(name.pid)
        return unregister(name) && isAlive
    }

    private func unregister(_ name: RegisteredName<Key>) -> Bool {
        roost_enter()
        defer { roost_leave() }
        roost_charge(TieOwners.reductions)
        guard let tie = TieOwners.withTies(of: name.pid, { $0.remove(name) }) else { return false }
        let isRemoved = name.remove()
        // The caller holds the name: it is destroyed, with key and value, as the caller's code.
        unsafe tie.free(owner: name.pid).release()
        return isRemoved
    }

    // MARK: Looking up

    /// Where messages to the holder of `key` go; nil where nobody has the name.
    ///
    /// Throws `NameError.wrongMessageType` where the holder receives another type of messages.
    public func address<Message: Sendable>(
        of key: Key, receiving type: Message.Type = Message.self
    ) throws(NameError) -> Address<Message>? {
        guard let name = entry(of: key), TieOwners.isAlive(name.pid) else { return nil }
        guard name.messageType == type else {
            throw .wrongMessageType(
                name: describe(key), holder: name.pid, receives: "\(name.messageType)", asked: "\(type)")
        }
        return Address(pid: name.pid)
    }

    /// The process that has the name `key`, whatever it receives. (Erlang: `whereis/1`.)
    public func whereis(_ key: Key) -> Pid? {
        guard let name = entry(of: key), TieOwners.isAlive(name.pid) else { return nil }
        return name.pid
    }

    /// The name `key` as a destination: whoever has it at each send.
    public func via<Message: Sendable>(_ key: Key, receiving type: Message.Type = Message.self) -> Name<Key, Message> {
        Name(registry: self, key: key)
    }

    /// The names of `pid` in this registry, in no order. Holds up who changes names of that process for some 50 ns a
    /// name.
    public func keys(of pid: Pid) -> [Key] {
        var names: [RegisteredName<Key>] = []
        roost_enter()
        TieOwners.withTies(of: pid) { ties in
            ties.forEach { tie in
                let target = unsafe tie.target.takeUnretainedValue()
                guard let name = target as? RegisteredName<Key>, name.pid == pid, name.shards === shards else { return }
                names.append(name)
            }
        }
        roost_charge(Int64(names.count))
        roost_leave()
        return names.map(\.key)
    }

    /// Names that are registered. A name counts until its process, while it ends, has given it up.
    public var count: Int { shards.entryCount }

    // MARK: Values

    /// The value beside the name `key`; nil where nobody has the name, or it has no value.
    ///
    /// Throws `NameError.wrongValueType` where the value is of another type. (Elixir: `Registry.lookup/2`.)
    public func value<Value: Sendable>(
        of key: Key, as type: Value.Type = Value.self
    ) throws(NameError) -> Value? {
        guard let name = entry(of: key), TieOwners.isAlive(name.pid), let value = name.readValue().value else {
            return nil
        }
        return try cast(value, of: name, to: type)
    }

    /// Replaces the value beside a name of the calling process by what `change` makes of it, and returns that.
    ///
    /// `change` runs without a lock, and again where another had changed the value meanwhile. Throws
    /// `NameError.notRegistered` or, to anyone but the holder, `NameError.notTheHolder`. (Elixir:
    /// `Registry.update_value/3`.)
    @discardableResult
    public func updateValue<Value: Sendable>(
        of key: Key, as type: Value.Type = Value.self, _ change: (Value?) -> Value
    ) throws(NameError) -> Value {
        guard let name = entry(of: key) else { throw .notRegistered(name: describe(key)) }
        guard SchedulerRef.currentProcess?.pid == name.pid else {
            throw .notTheHolder(name: describe(key), holder: name.pid)
        }
        while true {
            let (old, version) = name.readValue()
            let new = change(try old.map { value throws(NameError) in try cast(value, of: name, to: type) })
            if name.replaceValue(new, version: version) { return new }
        }
    }

    private func cast<Value: Sendable>(
        _ value: any Sendable, of name: RegisteredName<Key>, to type: Value.Type
    ) throws(NameError) -> Value {
        guard let cast = value as? Value else {
            throw .wrongValueType(
                name: describe(name.key), holder: name.pid, has: "\(Swift.type(of: value))", asked: "\(type)")
        }
        return cast
    }

    private func entry(of key: Key) -> RegisteredName<Key>? {
        let hash = key.nameHash
        // Safe to cast: a registry's table holds its names only.
        return shards.find(hash, in: shards.index(ofHash: hash)) {
            unsafe unsafeDowncast($0, to: RegisteredName<Key>.self).key == key
        }.map { unsafe unsafeDowncast($0, to: RegisteredName<Key>.self) }
    }

    fileprivate func describe(_ key: Key) -> String { "\(key)" }
}

/// One name and its holder.
///
/// `value` and `valueVersion` are guarded by the lock of its shard; the rest does not change.
final class RegisteredName<Key: Hashable & Sendable>: TieTarget, @unchecked Sendable {
    let key: Key
    let pid: Pid
    let messageType: Any.Type
    let shards: NameShards
    private var stored: (any Sendable)?
    private var version = 0

    init(
        _ key: Key, hash: UInt, _ pid: Pid, _ messageType: Any.Type, _ value: (any Sendable)?, _ shards: NameShards
    ) {
        self.key = key
        self.pid = pid
        self.messageType = messageType
        self.shards = shards
        stored = value
        super.init(hash: hash)
    }

    var shardIndex: Int { shards.index(ofHash: hash) }

    /// Takes the name out of the table; false where it was not there any more. Depth 1 or more.
    @discardableResult
    func remove() -> Bool { shards.withShard(shardIndex) { $0.remove(self) } }

    override func undo(slot: UInt32, of pid: Pid) { remove() }

    func readValue() -> (value: (any Sendable)?, version: Int) {
        roost_enter()
        defer { roost_leave() }
        return shards.withShard(shardIndex) { _ in (stored, version) }
    }

    /// Stores `new`, unless the value is no longer of `version`. The old one is destroyed as the caller's code.
    func replaceValue(_ new: any Sendable, version expected: Int) -> Bool {
        var old: (any Sendable)? = new
        roost_enter()
        let isReplaced = shards.withShard(shardIndex) { _ in
            guard version == expected else { return false }
            swap(&stored, &old)
            version += 1
            return true
        }
        roost_leave()
        return isReplaced
    }
}

/// A name as a destination: messages go to whoever has it when they are sent. (Elixir: `{:via, Registry, …}`.)
///
/// What is sent while nobody has the name, or while its holder receives another type, is destroyed, and `send` returns
/// false; `resolve` says why.
public struct Name<Key: Hashable & Sendable, Message: Sendable>: Destination, Hashable, CustomStringConvertible {
    public let registry: Registry<Key>
    public let key: Key

    public var address: Address<Message>? { try? registry.address(of: key) }

    /// Throws `NameError.notRegistered` or `NameError.wrongMessageType`.
    public func resolve() throws(NameError) -> Address<Message> {
        guard let address = try registry.address(of: key, receiving: Message.self) else {
            throw .notRegistered(name: "\(key)")
        }
        return address
    }

    public static func == (a: Name, b: Name) -> Bool { a.registry === b.registry && a.key == b.key }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(ObjectIdentifier(registry))
        hasher.combine(key)
    }

    public var description: String { "\(key) of \(Message.self)" }
}
