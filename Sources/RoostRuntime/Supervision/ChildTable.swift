// SPDX-License-Identifier: Apache-2.0

/// A child and what has become of it.
struct Child {
    let specification: ChildSpecification
    /// Its place in the order of start; kept over restarts.
    let number: UInt64
    var state: ChildInformation.State

    var pid: Pid? { if case .running(let pid) = state { pid } else { nil } }
    var information: ChildInformation {
        ChildInformation(id: specification.id, state: state, kind: specification.kind)
    }
}

/// The children of one supervisor, found by their place, pid or id; the order is that of their first start.
struct ChildTable {
    private var children: [UInt64: Child] = [:]
    private var numbersByPid: [Pid: UInt64] = [:]
    /// Empty where ids need not be unique.
    private var numbersByID: [String: UInt64] = [:]
    private let hasUniqueIDs: Bool
    private var last: UInt64 = 0

    init(hasUniqueIDs: Bool) { self.hasUniqueIDs = hasUniqueIDs }

    /// In the order of start.
    var all: [Child] { children.values.sorted { $0.number < $1.number } }
    var isEmpty: Bool { children.isEmpty }

    func child(_ number: UInt64) -> Child? { children[number] }
    func child(_ pid: Pid) -> Child? { numbersByPid[pid].flatMap { children[$0] } }
    func child(_ id: String) -> Child? { numbersByID[id].flatMap { children[$0] } }

    @discardableResult
    mutating func add(_ specification: ChildSpecification, _ state: ChildInformation.State) -> Child {
        last += 1
        let child = Child(specification: specification, number: last, state: state)
        children[last] = child
        if hasUniqueIDs { numbersByID[specification.id] = last }
        if let pid = child.pid { numbersByPid[pid] = last }
        return child
    }

    mutating func set(_ state: ChildInformation.State, of child: Child) {
        if let pid = children[child.number]?.pid { numbersByPid[pid] = nil }
        children[child.number]?.state = state
        if case .running(let pid) = state { numbersByPid[pid] = child.number }
    }

    mutating func remove(_ child: Child) {
        guard let removed = children.removeValue(forKey: child.number) else { return }
        if let pid = removed.pid { numbersByPid[pid] = nil }
        if hasUniqueIDs { numbersByID[removed.specification.id] = nil }
    }

    var counts: ChildCounts {
        var counts = ChildCounts(specifications: children.count, active: numbersByPid.count)
        for child in children.values {
            switch child.specification.kind {
            case .supervisor: counts.supervisors += 1
            case .worker: counts.workers += 1
            }
        }
        return counts
    }
}
