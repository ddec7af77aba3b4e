// SPDX-License-Identifier: Apache-2.0

/// A process's links or monitors: an array while there are few, as nearly always, and a dictionary beyond; so a
/// supervisor of a million children loses none of them slowly.
struct TieTable<Key: Hashable, Value> {
    static var fewCountMax: Int { 16 }

    private var few: [(key: Key, value: Value)] = Array()
    /// Everything, once there have been more than a few; until it is empty again.
    private var many = SpreadDictionary<Key, Value>()

    var count: Int { few.count + many.count }

    func contains(_ key: Key) -> Bool {
        if many.isEmpty { return few.contains { $0.key == key } }
        return many[key] != nil
    }

    /// Adds `key`, which must not be there.
    mutating func add(_ key: Key, _ value: Value) {
        if many.isEmpty {
            few.append((key, value))
            if few.count > Self.fewCountMax { spill() }
        } else {
            many[key] = value
        }
    }

    @discardableResult
    mutating func remove(_ key: Key) -> Value? {
        if !many.isEmpty { return many.removeValue(forKey: key) }
        guard let index = few.firstIndex(where: { $0.key == key }) else { return nil }
        return few.remove(at: index).value
    }

    /// Removes `key` where its value is as `matches` wants it.
    mutating func remove(_ key: Key, where matches: (Value) -> Bool) {
        let value = many.isEmpty ? few.first { $0.key == key }?.value : many[key]
        if let value, matches(value) { remove(key) }
    }

    func forEach(_ body: (Key, Value) -> Void) {
        for (key, value) in few { body(key, value) }
        many.forEach(body)
    }

    private mutating func spill() {
        for (key, value) in few { many[key] = value }
        few = []
    }
}
