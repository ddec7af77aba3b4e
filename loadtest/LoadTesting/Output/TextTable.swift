// SPDX-License-Identifier: Apache-2.0

/// Text in columns and lines that fit a terminal.
enum TextTable {
    /// Of a line.
    @TaskLocal static var columnCountMax = 100
    static let indent = "  "

    /// The first column to the left, the others to the right, each as wide as its widest cell. Lines of a first column
    /// that leave no room for the others are cut. The columns of `names`, in the first row, are left out one by one
    /// where there is no room for all.
    static func columns(_ rows: [[String]], leavingOut names: [String] = []) -> String {
        var rows = rows
        for name in names where leastWidth(rows) > columnCountMax {
            guard let column = rows[0].firstIndex(of: name) else { continue }
            for index in rows.indices { rows[index].remove(at: column) }
        }
        var widths = widths(rows)
        guard !widths.isEmpty else { return "" }
        let others = widths.dropFirst().reduce(0) { $0 + $1 + 2 }
        widths[0] = max(min(widths[0], columnCountMax - indent.count - others), 8)
        return rows.map { row in
            var line = indent
            for (column, cell) in row.enumerated() {
                let width = widths[column]
                if column == 0 {
                    let text = cell.count > width ? cell.prefix(width - 1) + "…" : cell[...]
                    line += text + String(repeating: " ", count: width - text.count)
                } else {
                    line += "  " + String(repeating: " ", count: width - cell.count) + cell
                }
            }
            return line.trimmingTrailingBlanks + "\n"
        }.joined()
    }

    /// Names may be cut to so much.
    private static let nameWidthMin = 16

    private static func leastWidth(_ rows: [[String]]) -> Int {
        let widths = widths(rows)
        return indent.count + min(widths[0], nameWidthMin) + widths.dropFirst().reduce(0) { $0 + $1 + 2 }
    }

    private static func widths(_ rows: [[String]]) -> [Int] {
        (0..<(rows.map(\.count).max() ?? 0)).map { column in
            rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
    }

    /// A name and a value in each row, the values in one column, with what is too long continued below.
    static func pairs(_ rows: [(String, String)]) -> String {
        let width = (rows.map(\.0.count).max() ?? 0) + 3
        return rows.map { name, value in
            let first = indent + name + String(repeating: " ", count: width - name.count)
            return wrapped(first, value, continued: String(repeating: " ", count: indent.count + width))
        }.joined()
    }

    /// `text` behind `first`, broken at blanks (or anywhere, where a word is too long for a line).
    static func wrapped(_ first: String, _ text: String, continued: String) -> String {
        var result = ""
        var line = first
        var isFresh = true
        for word in text.split(whereSeparator: { $0.isWhitespace }) {
            var word = word
            if !isFresh, line.count + 1 + word.count > columnCountMax {
                result += line + "\n"
                (line, isFresh) = (continued, true)
            }
            while line.count + (isFresh ? 0 : 1) + word.count > columnCountMax {
                let room = max(columnCountMax - line.count, 1)
                result += line + word.prefix(room) + "\n"
                word = word.dropFirst(room)
                line = continued
            }
            line += (isFresh ? "" : " ") + word
            isFresh = false
        }
        return result + line.trimmingTrailingBlanks + "\n"
    }
}

extension String {
    fileprivate var trimmingTrailingBlanks: Substring {
        lastIndex { $0 != " " }.map { self[...$0] } ?? ""
    }
}
