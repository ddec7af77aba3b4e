// SPDX-License-Identifier: Apache-2.0

/// One thing that is wrong with a scenario file: names the key, its value and what is allowed.
package struct ScenarioProblem: Sendable, Hashable {
    package let path: String
    /// From 1; 0: the file as a whole, or the command line.
    package let line: Int
    package let column: Int
    package let message: String
}

extension ScenarioProblem: CustomStringConvertible {
    /// One line, also where a value has more, or would steer a terminal.
    package var description: String {
        Printable.text(line == 0 ? "\(path): \(message)" : "\(path):\(line):\(column): \(message)")
    }
}

/// All that is wrong with a scenario file.
package struct ScenarioError: Error, CustomStringConvertible {
    package let problems: [ScenarioProblem]

    package var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// Gathers problems while a file is read: all are told at once.
final class ProblemList {
    private let path: String
    private(set) var problems: [ScenarioProblem] = []
    /// More say nothing new, and a file of nonsense has very many.
    private static let countMax = 100

    init(path: String) { self.path = path }

    func add(_ node: YAMLNode, _ message: String) { add(line: node.line, column: node.column, message) }

    func add(line: Int, column: Int, _ message: String) {
        guard problems.count < Self.countMax else { return }
        let problem = ScenarioProblem(path: path, line: line, column: column, message: message)
        if !problems.contains(problem) { problems.append(problem) }
    }

    /// In the file's order.
    func check() throws(ScenarioError) {
        guard !problems.isEmpty else { return }
        throw ScenarioError(problems: problems.sorted { ($0.line, $0.column) < ($1.line, $1.column) })
    }
}

/// Text of others for a terminal.
enum Printable {
    /// What a terminal would obey as `\x..`.
    static func text(_ text: String) -> String {
        let isControl = TerminalText.isControl
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        return text.unicodeScalars.reduce(into: "") { result, scalar in
            guard isControl(scalar) else { return result.unicodeScalars.append(scalar) }
            let digits = String(scalar.value, radix: 16)
            result += "\\x" + String(repeating: "0", count: max(0, 2 - digits.count)) + digits
        }
    }

    /// At most `countMax` characters of it.
    static func short(_ text: String, _ countMax: Int = 60) -> String {
        text.count <= countMax ? text : "\(text.prefix(countMax))…"
    }
}

/// What somebody who mistyped a name may have meant.
enum Nearest {
    /// "; did you mean x?" where a candidate is near, else the choice.
    static func hint(_ word: String, among candidates: [String]) -> String {
        let best = candidates.map { ($0, editCount(Array(plain(word)), Array(plain($0)))) }.min { $0.1 < $1.1 }
        if let best, best.1 <= max(word.count > 3 ? 2 : 1, word.count / 3) { return "; did you mean \(best.0)?" }
        return candidates.isEmpty ? "" : "; use one of: \(candidates.sorted().joined(separator: ", "))"
    }

    /// `failIf` and `fail_if` are the same word as `fail-if`.
    private static func plain(_ word: String) -> String {
        var result = ""
        for letter in word.prefix(64) {
            if letter.isUppercase, result.last?.isLowercase == true { result += "-" }
            result += letter == "_" ? "-" : letter.lowercased()
        }
        return result
    }

    /// Insertions, deletions and replacements (Levenshtein).
    static func editCount(_ first: [Character], _ second: [Character]) -> Int {
        var previous = Array(0...second.count)
        for (row, letter) in first.enumerated() {
            var current = [row + 1]
            for (column, other) in second.enumerated() {
                let replaced = previous[column] + (letter == other ? 0 : 1)
                current.append(min(previous[column + 1] + 1, current[column] + 1, replaced))
            }
            previous = current
        }
        return previous[second.count]
    }
}
