// SPDX-License-Identifier: Apache-2.0

internal import Yams

/// A value of a scenario file, and where it begins.
struct YAMLNode: Sendable {
    var content: Content
    let line: Int
    let column: Int

    enum Content: Sendable {
        case scalar(String)
        case list([YAMLNode])
        case section([Entry])
    }

    struct Entry: Sendable {
        let key: String
        /// Where the key begins.
        let line: Int
        let column: Int
        var value: YAMLNode
    }

    /// What messages call it.
    var shown: String {
        switch content {
        case .scalar(""): "empty"
        case .scalar(let text): "'\(Printable.short(text))'"
        case .list: "a list"
        case .section: "a section"
        }
    }

    var scalar: String? {
        guard case .scalar(let text) = content else { return nil }
        return text
    }

    func first(_ key: String) -> YAMLNode? {
        guard case .section(let entries) = content else { return nil }
        return entries.first { $0.key == key }?.value
    }
}

extension YAMLNode {
    /// Bounds of what a file may hold: anchors make a few lines of it more than memory can.
    private static let byteCountMax = 4 << 20
    private static let valueCountMax = 100_000
    private static let depthMax = 32

    /// Parses a file's text; its root is a section.
    init(text: String, path: String) throws(ScenarioError) {
        guard text.utf8.count <= Self.byteCountMax else {
            throw Self.error(path, 0, 0, "is larger than \(Self.byteCountMax >> 20) MiB: it is no scenario file")
        }
        if let (line, column) = Self.deepLine(text) {
            throw Self.error(path, line, column, "is nested too deep: it is no scenario file")
        }
        let root: YAMLNode
        do {
            var count = 0
            // A byte order mark is no part of the text.
            let text = text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
            let node = try Yams.Parser(yaml: text).singleRoot()
            root = try node.map { try Self.convert($0, depth: 0, &count) } ?? Self.empty
        } catch let excess as Excess {
            throw Self.error(path, excess.line, excess.column, excess.message)
        } catch {
            throw Self.syntaxError(error, path, text)
        }
        switch root.content {
        case .section: self = root
        case .scalar(""): self = Self.empty
        case .scalar, .list:
            throw Self.error(
                path, root.line, root.column,
                "the file is no section of `key: value` lines; see docs/loadtest-scenarios.md")
        }
    }

    private static let empty = YAMLNode(content: .section([]), line: 1, column: 1)

    private struct Excess: Error {
        let line: Int
        let column: Int
        let message: String
    }

    /// The parser is recursive: brackets that open and open, or a line of dashes, would end it, and the program.
    private static func deepLine(_ text: String) -> (line: Int, column: Int)? {
        let levelCountMax = 1_000
        var (open, line, column) = (0, 1, 0)
        // Each level of a block needs a column before the line's first word.
        var (isBeforeWord, blankCount) = (true, 0)
        for byte in text.utf8 {
            column += 1
            switch byte {
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                line += byte == UInt8(ascii: "\n") ? 1 : 0
                (column, isBeforeWord, blankCount) = (0, true, 0)
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "-"), UInt8(ascii: "?"), UInt8(ascii: ":"):
                blankCount += 1
                if isBeforeWord, blankCount > levelCountMax { return (line, column) }
            case 0x80...:
                // Perhaps the end of one of Unicode's line breaks.
                (isBeforeWord, blankCount) = (true, 0)
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                open += 1
                isBeforeWord = false
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                open = max(open - 1, 0)
                isBeforeWord = false
            default: isBeforeWord = false
            }
            if open > levelCountMax { return (line, column) }
        }
        return nil
    }

    private static func convert(_ node: Node, depth: Int, _ count: inout Int) throws(Excess) -> YAMLNode {
        let (line, column) = (node.mark?.line ?? 1, node.mark?.column ?? 1)
        count += 1
        if depth > depthMax {
            throw Excess(line: line, column: column, message: "is nested more than \(depthMax) levels deep")
        }
        if count > valueCountMax {
            throw Excess(line: line, column: column, message: "the file has more than \(valueCountMax) values")
        }
        if let mapping = node.mapping {
            var entries: [Entry] = []
            var merged: [Entry] = []
            for (key, value) in mapping {
                let mark = key.mark
                guard let name = key.scalar?.string else {
                    throw Excess(line: line, column: column, message: Self.strangeKey)
                }
                let value = try convert(value, depth: depth + 1, &count)
                guard name != "<<" else {
                    merged += try mergedEntries(value)
                    continue
                }
                entries.append(Entry(key: name, line: mark?.line ?? line, column: mark?.column ?? column, value: value))
            }
            // What stands in the section itself goes before what is merged into it.
            for entry in merged where !entries.contains(where: { $0.key == entry.key }) { entries.append(entry) }
            return YAMLNode(content: .section(entries), line: line, column: column)
        }
        if let sequence = node.sequence {
            var elements: [YAMLNode] = []
            for element in sequence { elements.append(try convert(element, depth: depth + 1, &count)) }
            return YAMLNode(content: .list(elements), line: line, column: column)
        }
        return YAMLNode(content: .scalar(node.scalar?.string ?? ""), line: line, column: column)
    }

    private static let strangeKey =
        "a key is a list or a section; use a word, and write a value that begins with { in quotes, as in "
        + "\"{{clients}}\""

    /// Of `<<: *name`, or of a list of such.
    private static func mergedEntries(_ value: YAMLNode) throws(Excess) -> [Entry] {
        switch value.content {
        case .section(let entries): return entries
        case .list(let elements):
            var entries: [Entry] = []
            for element in elements {
                guard case .section(let more) = element.content else { break }
                entries += more
            }
            if elements.allSatisfy({ if case .section = $0.content { true } else { false } }) { return entries }
        case .scalar: break
        }
        throw Excess(
            line: value.line, column: value.column, message: "<< is \(value.shown); merge a section, as in `<<: *name`")
    }

    private static func error(_ path: String, _ line: Int, _ column: Int, _ message: String) -> ScenarioError {
        ScenarioError(problems: [ScenarioProblem(path: path, line: line, column: column, message: message)])
    }

    private static func syntaxError(_ cause: any Error, _ path: String, _ text: String) -> ScenarioError {
        switch cause as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
            let line = (1...lines.count).contains(mark.line) ? lines[mark.line - 1] : ""
            let hint =
                line.prefix { $0 == " " || $0 == "\t" }.contains("\t") ? "; indent with blanks: YAML takes no tabs" : ""
            return error(path, max(mark.line, 1), mark.column, "is not YAML here: \(problem)\(hint)")
        case .duplicatedKeysInMapping(let names, let context):
            let name = names.joined(separator: ", ")
            return error(
                path, context.mark.line, context.mark.column,
                "\(name) is given more than once in this section; remove all but one")
        default: return error(path, 1, 1, "is not YAML: \(cause)")
        }
    }
}

extension YAMLNode {
    /// With `{{name}}` replaced in every value, for the names of `variables`. What has other names stays.
    func replacing(_ variables: [String: String], _ budget: inout ByteBudget) throws(ByteBudget.Spent) -> YAMLNode {
        var result = self
        switch content {
        case .scalar(let text):
            if text.contains("{{") {
                let replaced = Self.replace(text, variables)
                try budget.spend(replaced.utf8.count, self)
                result.content = .scalar(replaced)
            }
        case .list(let elements):
            var replaced: [YAMLNode] = []
            for element in elements { replaced.append(try element.replacing(variables, &budget)) }
            result.content = .list(replaced)
        case .section(var entries):
            for index in entries.indices {
                entries[index].value = try entries[index].value.replacing(variables, &budget)
            }
            result.content = .section(entries)
        }
        return result
    }

    private static func replace(_ text: String, _ variables: [String: String]) -> String {
        var result = ""
        var rest = text[...]
        while let open = rest.firstRange(of: "{{") {
            result += rest[..<open.lowerBound]
            rest = rest[open.upperBound...]
            guard !rest.hasPrefix("{{"), let close = rest.firstRange(of: "}}") else {
                let isEscaped = rest.hasPrefix("{{")
                result += isEscaped ? "{{{{" : "{{"
                if isEscaped { rest = rest.dropFirst(2) }
                continue
            }
            let inside = rest[..<close.lowerBound]
            // A variable may stand in a place, as in {{random 1 {{most}}}}.
            if let inner = inside.firstRange(of: "{{") {
                result += "{{\(rest[..<inner.lowerBound])"
                rest = rest[inner.lowerBound...]
                continue
            }
            let name = String(inside.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
            result += variables[name] ?? "{{\(inside)}}"
            rest = rest[close.upperBound...]
        }
        return result + rest
    }
}

/// How much text variables may become: a long one in many places is more than memory can hold.
struct ByteBudget {
    struct Spent: Error { let node: YAMLNode }
    private var left = 16 << 20

    mutating func spend(_ byteCount: Int, _ node: YAMLNode) throws(Spent) {
        left -= byteCount
        if left < 0 { throw Spent(node: node) }
    }
}
