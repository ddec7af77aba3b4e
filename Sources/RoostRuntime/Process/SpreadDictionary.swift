// SPDX-License-Identifier: Apache-2.0

/// A dictionary that never grows in one long step: past some thousands of entries it is many small dictionaries.
///
/// A plain dictionary of a million entries that outgrows its storage moves all of them at once, which holds a scheduler
/// up for tens of milliseconds. Here the longest step moves `entriesInOneMax` entries, once.
struct SpreadDictionary<Key: Hashable, Value> {
    /// A power of two: the hash picks the part by its low bits.
    static var partCountMax: Int { 1_024 }
    /// Moving so many takes a few tenths of a millisecond.
    static var entriesInOneMax: Int { 4_096 }

    /// None while there are no entries: an empty one allocates nothing.
    private var parts: [[Key: Value]] = []
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }
    /// Parts, for whoever goes through the entries in steps. Constant while entries are only removed and some are left.
    var partCount: Int { parts.count }

    private func part(of key: Key) -> Int { parts.count == 1 ? 0 : key.hashValue & (Self.partCountMax - 1) }

    subscript(key: Key) -> Value? {
        get { parts.isEmpty ? nil : parts[part(of: key)][key] }
        set {
            if let newValue { updateValue(newValue, forKey: key) } else { removeValue(forKey: key) }
        }
    }

    /// The value that `key` had.
    @discardableResult
    mutating func updateValue(_ value: Value, forKey key: Key) -> Value? {
        if parts.isEmpty { parts = [[:]] }
        let old = parts[part(of: key)].updateValue(value, forKey: key)
        if old == nil {
            count += 1
            if parts.count == 1, count > Self.entriesInOneMax { spread() }
        }
        return old
    }

    @discardableResult
    mutating func removeValue(forKey key: Key) -> Value? {
        guard !parts.isEmpty, let old = parts[part(of: key)].removeValue(forKey: key) else { return nil }
        count -= 1
        if count == 0 { parts = [] }
        return old
    }

    /// The keys of one part; none where there is no such part any more.
    func keys(inPart part: Int) -> [Key] { part < parts.count ? Array(parts[part].keys) : [] }

    func forEach(_ body: (Key, Value) -> Void) {
        for part in parts { for (key, value) in part { body(key, value) } }
    }

    private mutating func spread() {
        let all = parts[0]
        parts = Array(repeating: [:], count: Self.partCountMax)
        for (key, value) in all { parts[part(of: key)][key] = value }
    }
}
