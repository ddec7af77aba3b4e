// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A mixed scenario from a file (docs/loadtest-scenarios.md): what is run, and how.
package struct ScenarioFile: Sendable {
    package let path: String
    package private(set) var plan: LoadPlan
    package private(set) var options: ScenarioOptions

    /// Reads and checks a file. `settings` replace what the file says of its variables.
    package init(path: String, settings: [(name: String, value: String)] = []) throws(ScenarioError) {
        try self.init(text: Self.contents(of: path), path: path, settings: settings)
    }

    package init(
        text: String, path: String, settings: [(name: String, value: String)] = []
    ) throws(ScenarioError) {
        let root = try YAMLNode(text: text, path: path)
        let problems = ProblemList(path: path)
        var budget = ByteBudget()
        let node: YAMLNode
        do throws(ByteBudget.Spent) {
            let variables = try Self.variables(root, settings, problems, &budget)
            node = try root.replacing(variables, &budget)
        } catch {
            problems.add(error.node, "variables make the file larger than 16 MiB: it is no scenario file")
            try problems.check()
            node = root
        }
        let reader = ScenarioReader(node, problems)
        (plan, options) = reader?.read() ?? (LoadPlan(.mixed, groups: []), ScenarioOptions())
        self.path = path
        try problems.check()
    }

    /// A variable's value may have those before it in it.
    private static func variables(
        _ root: YAMLNode, _ settings: [(name: String, value: String)], _ problems: ProblemList,
        _ budget: inout ByteBudget
    ) throws(ByteBudget.Spent) -> [String: String] {
        var variables: [String: String] = [:]
        if let node = root.first("variables") {
            if case .section(let entries) = node.content {
                for entry in entries {
                    let isName = entry.key.allSatisfy {
                        $0.isASCII && ($0.isLetter || $0.isNumber || "_-".contains($0))
                    }
                    if !isName || TemplateReader.names.contains(entry.key) {
                        problems.add(
                            line: entry.line, column: entry.column,
                            "variables: '\(Printable.short(entry.key))' is taken, or no name; "
                                + "use letters, digits, - and _")
                    } else if entry.value.scalar != nil {
                        var value = entry.value
                        if let setting = settings.last(where: { $0.name == entry.key }) {
                            value.content = .scalar(setting.value)
                        }
                        variables[entry.key] = try value.replacing(variables, &budget).scalar
                    } else {
                        problems.add(entry.value, "variables: \(entry.key) is \(entry.value.shown); use text")
                    }
                }
            } else {
                problems.add(node, "variables is \(node.shown); write a section, as in {clients: 100}")
            }
        }
        for setting in settings where variables[setting.name] == nil {
            let hint = Nearest.hint(setting.name, among: Array(variables.keys))
            problems.add(
                line: 0, column: 0,
                "--set \(Printable.short(setting.name)): the file's `variables:` have no such name\(hint)")
        }
        return variables
    }

    private static func contents(of path: String) throws(ScenarioError) -> String {
        func refuse(_ message: String) -> ScenarioError {
            ScenarioError(problems: [ScenarioProblem(path: path, line: 0, column: 0, message: message)])
        }
        func errorText() -> String { unsafe String(cString: strerror(errno)) }
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
        guard descriptor >= 0 else { throw refuse("cannot be opened: \(errorText())") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count <= 16 << 20 {
            let count = unsafe read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw refuse("cannot be read: \(errorText())") }
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw refuse("is not UTF-8 text") }
        return text
    }
}

/// What a file says of the run and not of its clients.
package struct ScenarioOptions: Sendable, Equatable {
    /// Worker processes; nil: not said.
    package var workerCount: Int?
    /// `host:port` of agents on other machines.
    package var agents: [String] = []
    /// Conditions that make the run a failure, as after `--fail-if`.
    package var failIf: [String] = []

    package init() {}
}
