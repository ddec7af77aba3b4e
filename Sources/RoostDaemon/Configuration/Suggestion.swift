// SPDX-License-Identifier: Apache-2.0

/// Finds what somebody meant who wrote a name that does not exist.
enum Suggestion {
    /// The candidate that takes the fewest edits to reach; nil when there is none.
    static func nearest(to word: String, among candidates: [String]) -> (name: String, editCount: Int)? {
        let wanted = normalized(word)
        var best: (name: String, editCount: Int)?
        for candidate in candidates {
            let count = editCount(wanted, normalized(candidate))
            if count < best?.editCount ?? .max { best = (candidate, count) }
        }
        return best
    }

    /// `maxConnections` and `max_connections` are the same word as `max-connections`.
    private static func normalized(_ word: String) -> [Character] {
        var letters: [Character] = []
        for letter in word {
            if letter.isUppercase, letters.last?.isLowercase == true { letters.append("-") }
            letters.append(letter == "_" ? "-" : letter)
        }
        return letters.flatMap { $0.lowercased() }
    }

    /// Insertions, deletions, replacements and swaps of neighbours (the distance "optimal string alignment").
    static func editCount(_ first: [Character], _ second: [Character]) -> Int {
        if first.isEmpty || second.isEmpty { return max(first.count, second.count) }
        var beforePrevious: [Int] = []
        var previous = Array(0...second.count)
        for row in 1...first.count {
            var current = [row]
            for column in 1...second.count {
                let isSame = first[row - 1] == second[column - 1]
                var cost = min(previous[column] + 1, current[column - 1] + 1, previous[column - 1] + (isSame ? 0 : 1))
                if row > 1, column > 1, first[row - 1] == second[column - 2], first[row - 2] == second[column - 1] {
                    cost = min(cost, beforePrevious[column - 2] + 1)
                }
                current.append(cost)
            }
            beforePrevious = previous
            previous = current
        }
        return previous[second.count]
    }
}
