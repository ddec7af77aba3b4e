// SPDX-License-Identifier: Apache-2.0

internal import Configuration
internal import Foundation
internal import Glibc
internal import Yams

/// A value of a configuration file and the line it begins on.
indirect enum YAMLValue: Sendable {
    case scalar(String, line: Int)
    case list([YAMLValue], line: Int)
    case section([(key: String, value: YAMLValue, line: Int)], line: Int)

    var line: Int {
        switch self {
        case .scalar(_, let line), .list(_, let line), .section(_, let line): line
        }
    }
}

/// Bounds of what a file may hold: anchors make a few lines of it more than memory can.
private struct ValueBounds {
    struct Excess: Error {
        let line: Int
        let message: String
    }
    private var count = 0
    private var depth = 0
    private static let countMax = 100_000
    static let depthMax = 32

    static func tooDeep(_ line: Int) -> Excess {
        Excess(line: line, message: "is nested more than \(depthMax) levels deep: it is no configuration file")
    }

    mutating func enter(_ line: Int) throws(Excess) {
        count += 1
        depth += 1
        if depth > Self.depthMax + 1 { throw Self.tooDeep(line) }
        if count > Self.countMax {
            throw Excess(line: line, message: "has more than \(Self.countMax) values: it is no configuration file")
        }
    }

    mutating func leave() { depth -= 1 }
}

/// A configuration file, read and parsed, as a provider of settings.
///
/// swift-configuration's own YAML provider has neither lists of sections, which `routes` is, nor line numbers.
struct YAMLDocument: Sendable {
    let path: String
    let root: YAMLValue

    /// Bytes of a configuration file. Past it something else was named by mistake.
    private static let byteCountMax = 16 << 20

    init(path: String) throws(ConfigurationError) {
        try self.init(path: path, text: Self.contents(of: path))
    }

    init(path: String, text: String) throws(ConfigurationError) {
        self.path = path
        do {
            let node = try Yams.Parser(yaml: text).singleRoot()
            var bounds = ValueBounds()
            root =
                try node.flatMap { Self.isEmpty($0) ? nil : try Self.value($0, &bounds) } ?? .section([], line: 1)
        } catch {
            throw Self.syntaxError(error, path, text)
        }
        guard case .section = root else {
            throw Self.error(path, root.line, "the file is no list of `key: value` lines; see config/roost.yaml")
        }
    }

    private static func contents(of path: String) throws(ConfigurationError) -> String {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
        guard descriptor >= 0 else { throw error(path, 0, "cannot be opened: \(errorText(errno))") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = unsafe read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw error(path, 0, "cannot be read: \(errorText(errno))") }
            if count == 0 { break }
            bytes += chunk[..<count]
            if bytes.count > byteCountMax { throw error(path, 0, "is larger than 16MiB: it is no configuration file") }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw error(path, 0, "is not UTF-8 text")
        }
        return text
    }

    private static func errorText(_ code: CInt) -> String { unsafe String(cString: strerror(code)) }

    private static func error(_ path: String, _ line: Int, _ message: String) -> ConfigurationError {
        ConfigurationError(problems: [ConfigurationProblem(origin: .file(path: path, line: line), message: message)])
    }

    private static func syntaxError(_ cause: any Error, _ path: String, _ text: String) -> ConfigurationError {
        // At the end of a file the parser may say the line behind the last.
        let lineCount = text.unicodeScalars.count { ["\n", "\r", "\u{85}", "\u{2028}", "\u{2029}"].contains($0) } + 1
        func inFile(_ line: Int) -> Int { min(max(line, 1), lineCount) }
        if let excess = cause as? ValueBounds.Excess { return error(path, excess.line, excess.message) }
        switch cause as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return error(path, inFile(mark.line), "is not YAML here: \(problem) (column \(mark.column))")
        case .duplicatedKeysInMapping(let names, let context):
            let name = names.joined(separator: ", ")
            return error(
                path, inFile(context.mark.line), "\(name) is given more than once in this section; remove all but one")
        case .reader(let problem, let offset, _, _):
            let line = text.utf8.prefix(offset ?? 0).count { $0 == UInt8(ascii: "\n") } + 1
            return error(path, line, "is not YAML: \(problem)")
        default: return error(path, 1, "is not YAML: \(cause)")
        }
    }

    /// A file of comments alone has a root that is an empty scalar.
    private static func isEmpty(_ node: Node) -> Bool {
        if let scalar = node.scalar, scalar.string.isEmpty { return true }
        return false
    }

    private static func value(_ node: Node, _ bounds: inout ValueBounds) throws -> YAMLValue {
        let line = node.mark?.line ?? 1
        try bounds.enter(line)
        defer { bounds.leave() }
        if let mapping = node.mapping {
            let entries = try mapping.map { key, value in
                (
                    key: key.scalar?.string ?? "?", value: try self.value(value, &bounds),
                    line: key.mark?.line ?? line
                )
            }
            return .section(entries, line: line)
        }
        if let sequence = node.sequence { return .list(try sequence.map { try value($0, &bounds) }, line: line) }
        return .scalar(node.scalar?.string ?? "", line: line)
    }

    /// The value at a path whose components are keys or, in lists, indices; and the line of its key.
    func find(_ components: [String]) -> (value: YAMLValue, line: Int)? {
        var current = (value: root, line: root.line)
        for component in components {
            switch current.value {
            case .section(let entries, _):
                guard let entry = entries.first(where: { $0.key == component }) else { return nil }
                current = (entry.value, entry.line)
            case .list(let elements, _):
                guard let index = Int(component), elements.indices.contains(index) else { return nil }
                current = (elements[index], elements[index].line)
            case .scalar: return nil
            }
        }
        return current
    }
}

extension YAMLDocument: ConfigProvider, ConfigSnapshot {
    var providerName: String { "YAMLDocument[\(path)]" }

    func value(forKey key: AbsoluteConfigKey, type: ConfigType) throws -> LookupResult {
        let name = key.components.joined(separator: ".")
        guard let (value, _) = find(key.components) else { return LookupResult(encodedKey: name, value: nil) }
        let content: ConfigContent
        switch (type, value) {
        case (.string, .scalar(let text, _)): content = .string(text)
        case (.stringArray, .scalar(let text, _)): content = .stringArray([text])
        case (.stringArray, .list(let elements, _)): content = .stringArray(try elements.map(Self.text))
        default: throw YAMLShapeError()
        }
        return LookupResult(encodedKey: name, value: ConfigValue(content, isSecret: false))
    }

    private static func text(_ value: YAMLValue) throws -> String {
        guard case .scalar(let text, _) = value else { throw YAMLShapeError() }
        return text
    }

    nonisolated(nonsending) func fetchValue(forKey key: AbsoluteConfigKey, type: ConfigType) async throws
        -> LookupResult
    {
        try value(forKey: key, type: type)
    }

    nonisolated(nonsending) func watchValue<Return: ~Copyable>(
        forKey key: AbsoluteConfigKey, type: ConfigType,
        updatesHandler:
            nonisolated(nonsending) (
                _ updates: ConfigUpdatesAsyncSequence<Result<LookupResult, any Error>, Never>
            ) async throws -> Return
    ) async throws -> Return {
        try await watchValueFromValue(forKey: key, type: type, updatesHandler: updatesHandler)
    }

    func snapshot() -> any ConfigSnapshot { self }

    nonisolated(nonsending) func watchSnapshot<Return: ~Copyable>(
        updatesHandler:
            nonisolated(nonsending) (
                _ updates: ConfigUpdatesAsyncSequence<any ConfigSnapshot, Never>
            ) async throws -> Return
    ) async throws -> Return {
        try await watchSnapshotFromSnapshot(updatesHandler: updatesHandler)
    }
}

/// A section or list stands where a single value was asked for, or the other way round.
struct YAMLShapeError: Error {}
