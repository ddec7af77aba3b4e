// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// Named groups of processes that receive the same type of messages. (Erlang: `pg`; Elixir: `Registry` with
/// `keys: :duplicate`, `Phoenix.PubSub`.)
///
///     let rooms = ProcessGroups<String, RoomMessage>()
///     rooms.join("lobby", process)                               // in the member's own process
///     rooms.dispatch(.said("hello"), to: "lobby")
///
/// A process may be in any number of groups, and in one group several times, as in `pg`: it then gets as many copies of
/// a message, and has to leave as often. A group exists while it has members. All memberships of a process vanish when
/// it ends, before anyone is told of its end.
///
/// Every method may be called in any process and on any thread; none waits. `hash(into:)` and `==` of the group's name
/// run as the caller's code, outside every lock. A membership takes some 42 bytes, 32 of which are charged to its
/// process; a process that has any takes 8 more, and a group some 250.
///
/// Groups live as long as somebody holds the `ProcessGroups` or is in one of them.
public final class ProcessGroups<Group: Hashable & Sendable, Message: Sendable>: Sendable {
    private let shards: NameShards

    public init() { shards = NameShards() }

    // MARK: Joining and leaving

    /// The calling process joins `group`. False only in a process that has begun to end, in a deinit of its messages.
    @discardableResult
    public func join(_ group: Group, _ process: borrowing ProcessContext<Message>) -> Bool {
        join(group, process.address)
    }

    /// The process behind `address` joins `group`; false where it has ended or is ending.
    @discardableResult
    public func join(_ group: Group, _ address: Address<Message>) -> Bool {
        let hash = group.nameHash
        while true {
            var others: [TieTarget] = []
            let present = segment(of: group, hash, for: address.pid, &others)
            let segment = present ?? makeHome(group, hash)
            roost_enter()
            roost_charge(TieOwners.reductions)
            let attachment = segment.attach(address.pid, isNew: present == nil, besides: others)
            roost_leave()
            switch attachment {
            case .attached: return true
            case .crowded:
                segment.spread()
                return true
            case .noProcess: return false
            case .stale: continue
            }
        }
    }

    /// The calling process leaves `group` once; false where it was not in it.
    @discardableResult
    public func leave(_ group: Group, _ process: borrowing ProcessContext<Message>) -> Bool {
        leave(group, process.address)
    }

    /// The process behind `address` leaves `group` once; false where it was not in it.
    @discardableResult
    public func leave(_ group: Group, _ address: Address<Message>) -> Bool {
        let hash = group.nameHash
        // It may have joined at home before the group was spread, and near afterwards.
        for index in [nearIndex(address.pid), shards.index(ofHash: hash)] {
            guard let segment = find(group, hash, in: index) else { continue }
            roost_enter()
            roost_charge(TieOwners.reductions)
            let hasLeft = segment.detach(address.pid)
            roost_leave()
            if hasLeft { return true }
        }
        return false
    }

    private func makeHome(_ group: Group, _ hash: UInt) -> GroupSegment {
        KeyedGroupSegment(group, hash: hash, shards, shards.index(ofHash: hash), home: nil)
    }

    /// The shard in which `pid` joins groups that are spread. Processes that were started together, which are most
    /// often on one scheduler, share one.
    private func nearIndex(_ pid: Pid) -> Int { Int(pid.index) / ProcessTable.batchCount & (shards.count - 1) }

    /// Where `pid` is to join `group`; nil where it has no members. `others`: what has its hash at home and is another.
    private func segment(
        of group: Group, _ hash: UInt, for pid: Pid, _ others: inout [TieTarget]
    ) -> GroupSegment? {
        let (near, home) = (nearIndex(pid), shards.index(ofHash: hash))
        if near != home, let segment = find(group, hash, in: near) { return segment }
        while let candidate = shards.first(hash, in: home, besides: others) {
            if Self.isOf(candidate, group) { return unsafe unsafeDowncast(candidate, to: GroupSegment.self) }
            others.append(candidate)
        }
        return nil
    }

    private func find(_ group: Group, _ hash: UInt, in index: Int) -> GroupSegment? {
        shards.find(hash, in: index) { Self.isOf($0, group) }.map { unsafe unsafeDowncast($0, to: GroupSegment.self) }
    }

    private static func isOf(_ target: TieTarget, _ group: Group) -> Bool {
        // Safe: the table of these groups holds segments with such keys only.
        unsafe unsafeDowncast(target, to: KeyedGroupSegment<Group>.self).key == group
    }

    private func home(of group: Group) -> GroupSegment? {
        let hash = group.nameHash
        return find(group, hash, in: shards.index(ofHash: hash))
    }

    // MARK: Members

    /// The members of `group` that have not begun to end, in no order; a process that is in it several times appears as
    /// often. (Erlang: `pg:get_members/2`.)
    public func members(of group: Group) -> [Address<Message>] {
        var members: [Address<Message>] = []
        forEachMember(of: group) { members.append($0) }
        return members
    }

    /// How many memberships `group` has. Members that have ended count until they have been taken out.
    public func memberCount(of group: Group) -> Int {
        guard let home = home(of: group) else { return 0 }
        roost_enter()
        defer { roost_leave() }
        return home.segments.reduce(0) { $0 + $1.count }
    }

    /// The groups that have members, in no order. (Erlang: `pg:which_groups/1`.) Holds up joins to a 64th of the groups
    /// at a time, for some 50 ns a group.
    public var groups: [Group] {
        (0..<shards.count).flatMap { index in
            shards.entries(of: index).compactMap { entry in
                let segment = unsafe unsafeDowncast(entry, to: KeyedGroupSegment<Group>.self)
                return segment.home == nil ? segment.key : nil
            }
        }
    }

    // MARK: Dispatch

    /// Sends `message` to each member of `group`, and returns to how many it was delivered.
    ///
    /// Who is in the group from before the call until after it gets the message once for each membership; who joins or
    /// leaves meanwhile may get it or not. No lock is held during a send, nobody who joins or leaves has to wait, and
    /// the caller is preempted as in any loop of sends.
    @discardableResult
    @inlinable
    public func dispatch(_ message: Message, to group: Group) -> Int {
        guard var cursor = cursor(group) else { return 0 }
        var sent = 0
        while let pid = cursor.next() { if Address<Message>(member: pid).send(message) { sent += 1 } }
        return sent
    }

    /// Calls `body` with each member of `group` that has not begun to end, under the same terms. `body` runs without a
    /// lock: it may send, join, leave and wait.
    @inlinable
    public func forEachMember<Failure: Error>(
        of group: Group, _ body: (Address<Message>) throws(Failure) -> Void
    ) throws(Failure) {
        guard var cursor = cursor(group) else { return }
        while let pid = cursor.next() { if Self.isAlive(pid) { try body(Address(member: pid)) } }
    }

    @usableFromInline
    static func isAlive(_ pid: Pid) -> Bool { TieOwners.isAlive(pid) }

    @usableFromInline
    func cursor(_ group: Group) -> MemberCursor? { home(of: group).map { MemberCursor($0) } }
}

extension Address {
    /// Of a member of a group, which only an `Address<Message>` could join.
    @usableFromInline init(member pid: Pid) { self.init(pid: pid) }
}
