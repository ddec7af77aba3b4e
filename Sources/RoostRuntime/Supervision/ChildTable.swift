// SPDX-License-Identifier: Apache-2.0

/// A child and what has become of it.
struct Child {
    var specification: ChildSpecification
    /// Its place: in the order of start, kept over restarts, or under a dynamic supervisor the word of its (last) pid.
    var number: UInt64
    var state: ChildInformation.State

    var pid: Pid? { if case .running(let pid) = state { pid } else { nil } }
    var information: ChildInformation {
        ChildInformation(id: specification.id, state: state, kind: specification.kind)
    }
}

/// The children of one supervisor, found by their place, pid or id. No operation but `numbers` and `information` takes
/// longer the more children there are.
struct ChildTable {
    private var children = SpreadDictionary<UInt64, Child>()
    // Both empty in a dynamic table: ids need not be unique there, and the place is the pid.
    private var numbersByPid = SpreadDictionary<Pid, UInt64>()
    private var numbersByID = SpreadDictionary<String, UInt64>()
    private let isDynamic: Bool
    private var last: UInt64 = 0
    private(set) var counts = ChildCounts()
    /// Significant children that run, or are about to again.
    private(set) var activeSignificantCount = 0
    /// What is kept of the last temporary child: the next ones are mostly of its kind, and share it.
    private var temporary: ChildSpecification?

    init(isDynamic: Bool) { self.isDynamic = isDynamic }

    var isEmpty: Bool { children.isEmpty }
    /// Parts of a dynamic table, for whoever goes through it in steps.
    var partCount: Int { children.partCount }
    func numbers(inPart part: Int) -> [UInt64] { children.keys(inPart: part) }

    /// The places from `first` on, in the order of start; in no order in a dynamic table.
    func numbers(from first: UInt64 = 0) -> [UInt64] {
        var numbers: [UInt64] = []
        for part in 0..<children.partCount { numbers += children.keys(inPart: part).filter { $0 >= first } }
        if !isDynamic { numbers.sort() }
        return numbers
    }

    func child(_ number: UInt64) -> Child? { children[number] }
    func child(_ pid: Pid) -> Child? {
        if !isDynamic { return numbersByPid[pid].flatMap { children[$0] } }
        return children[pid.word]
    }
    func child(_ id: String) -> Child? { numbersByID[id].flatMap { children[$0] } }

    mutating func add(_ specification: ChildSpecification, _ state: ChildInformation.State) {
        var child = Child(specification: specification, number: last + 1, state: state)
        if specification.restart == .temporary { child.specification = kept(specification) }
        if isDynamic, let pid = child.pid {
            child.number = pid.word
        } else {
            last += 1
            numbersByID[specification.id] = child.number
        }
        children.updateValue(child, forKey: child.number)
        enter(child, 1)
    }

    mutating func set(_ state: ChildInformation.State, of child: Child) {
        guard var child = children[child.number] else { return }
        enter(child, -1)
        child.state = state
        if isDynamic, let pid = child.pid {
            children.removeValue(forKey: child.number)
            child.number = pid.word
        }
        children.updateValue(child, forKey: child.number)
        enter(child, 1)
    }

    mutating func remove(_ child: Child) {
        guard let removed = children.removeValue(forKey: child.number) else { return }
        enter(removed, -1)
        if !isDynamic { numbersByID.removeValue(forKey: removed.specification.id) }
    }

    /// Keeps the counts, and who has which pid.
    private mutating func enter(_ child: Child, _ one: Int) {
        counts.specifications += one
        switch child.specification.kind {
        case .supervisor: counts.supervisors += one
        case .worker: counts.workers += one
        }
        if child.specification.isSignificant, child.state != .undefined { activeSignificantCount += one }
        guard let pid = child.pid else { return }
        counts.active += one
        if !isDynamic { numbersByPid[pid] = one > 0 ? child.number : nil }
    }

    private mutating func kept(_ specification: ChildSpecification) -> ChildSpecification {
        if let temporary, temporary.isLike(specification) { return temporary }
        let kept = specification.withoutStart
        temporary = kept
        return kept
    }
}
