// SPDX-License-Identifier: Apache-2.0

/// A process's links or monitors: in place while there is one, as nearly always, an array while there are few, and a
/// dictionary beyond; so a supervisor of a million children loses none of them slowly.
struct TieTable<Key: Hashable, Value> {
    static var fewCountMax: Int { 16 }

    private enum Ties {
        case none
        case one(Key, Value)
        case few([(key: Key, value: Value)])
        /// Until it is empty again.
        case many(SpreadDictionary<Key, Value>)
    }

    private var ties = Ties.none

    var count: Int {
        switch ties {
        case .none: 0
        case .one: 1
        case .few(let few): few.count
        case .many(let many): many.count
        }
    }

    func contains(_ key: Key) -> Bool { self[key] != nil }

    /// Adds `key`, which must not be there.
    mutating func add(_ key: Key, _ value: Value) {
        switch ties {
        case .none:
            ties = .one(key, value)
        case .one(let only, let onlyValue):
            ties = .few([(only, onlyValue), (key, value)])
        case .few(var few):
            ties = .none  // the array is this one's alone, and is changed in place
            few.append((key, value))
            ties = few.count > Self.fewCountMax ? .many(Self.spread(few)) : .few(few)
        case .many(var many):
            ties = .none
            many[key] = value
            ties = .many(many)
        }
    }

    @discardableResult
    mutating func remove(_ key: Key) -> Value? {
        switch ties {
        case .none:
            return nil
        case .one(let only, let value):
            guard only == key else { return nil }
            ties = .none
            return value
        case .few(var few):
            guard let index = few.firstIndex(where: { $0.key == key }) else { return nil }
            ties = .none
            let value = few.remove(at: index).value
            ties = .few(few)
            return value
        case .many(var many):
            ties = .none
            let value = many.removeValue(forKey: key)
            if !many.isEmpty { ties = .many(many) }
            return value
        }
    }

    /// Removes `key` where its value is as `matches` wants it.
    mutating func remove(_ key: Key, where matches: (Value) -> Bool) {
        if let value = self[key], matches(value) { remove(key) }
    }

    private subscript(key: Key) -> Value? {
        switch ties {
        case .none: nil
        case .one(let only, let value): only == key ? value : nil
        case .few(let few): few.first { $0.key == key }?.value
        case .many(let many): many[key]
        }
    }

    func forEach(_ body: (Key, Value) -> Void) {
        switch ties {
        case .none: break
        case .one(let key, let value): body(key, value)
        case .few(let few): for (key, value) in few { body(key, value) }
        case .many(let many): many.forEach(body)
        }
    }

    private static func spread(_ few: [(key: Key, value: Value)]) -> SpreadDictionary<Key, Value> {
        var many = SpreadDictionary<Key, Value>()
        for (key, value) in few { many[key] = value }
        return many
    }
}
