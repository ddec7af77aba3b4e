// SPDX-License-Identifier: Apache-2.0

/// Finds keys and variables that no setting has.
enum SettingNames {
    /// A variable so few edits from a known one is a slip; others, as Kubernetes's ROOST_SERVICE_HOST, are not ours.
    private static let variableEditMax = 2

    static func problems(environment: [String: String]) -> [ConfigurationProblem] {
        environment.keys.sorted().compactMap { name in
            let known = SettingCatalog.environmentVariables
            guard !known.contains(name), let nearest = Suggestion.nearest(to: name, among: known),
                nearest.editCount <= variableEditMax
            else { return nil }
            return ConfigurationProblem(
                origin: .environment(variable: name), message: "\(name) is no setting; did you mean \(nearest.name)?")
        }
    }

    static func problems(_ file: YAMLDocument) -> [ConfigurationProblem] {
        var check = NameCheck(path: file.path)
        guard case .section(let entries, _) = file.root else { return [] }
        check.section(entries, SettingCatalog.topLevel, place: "")
        if let (value, _) = file.find([SettingKey.routes.rawValue]), case .list(let routes, _) = value {
            for (index, route) in routes.enumerated() {
                guard case .section(let entries, _) = route else {
                    check.report(route.line, "route \(index + 1) is no section; write `path: /…` and `kind: echo`")
                    continue
                }
                check.section(entries, SettingCatalog.route, place: "route \(index + 1): ")
            }
        }
        return check.problems
    }
}

private struct NameCheck {
    let path: String
    var problems: [ConfigurationProblem] = []

    mutating func report(_ line: Int, _ message: String) {
        problems.append(ConfigurationProblem(origin: .file(path: path, line: line), message: message))
    }

    mutating func section(_ entries: [(key: String, value: YAMLValue, line: Int)], _ known: [String], place: String) {
        let restart = RouteSettingKey.restart.rawValue
        for (key, value, line) in entries {
            guard known.contains(key) else {
                unknown(key, line, known, place: place)
                continue
            }
            guard key == restart else { continue }
            guard case .section(let entries, _) = value else {
                report(line, "\(place)restart is no section; write `on-crash: restart` or `on-crash: close` under it")
                continue
            }
            for entry in entries where !SettingCatalog.restart.contains(entry.key) {
                unknown(
                    "restart.\(entry.key)", entry.line, SettingCatalog.restart.map { "restart.\($0)" }, place: place)
            }
        }
    }

    private mutating func unknown(_ key: String, _ line: Int, _ known: [String], place: String) {
        let elsewhere = SettingCatalog.restart.map { "restart.\($0)" }
        if let misplaced = elsewhere.first(where: { $0 == "restart.\(key)" }) {
            return report(line, "\(place)\(key) is no key here; it belongs under restart, as \(misplaced)")
        }
        if SettingCatalog.topLevel.contains(key) {
            return report(
                line, "\(place)\(key) is no key here; it is a setting of the whole server: move it to the top level")
        }
        let nearest = Suggestion.nearest(to: key, among: known).map { nearest in
            nearest.editCount <= max(2, key.count / 2)
                ? "; did you mean \(nearest.name)?"
                : "; the nearest is \(nearest.name), and config/roost.yaml has every key"
        }
        report(line, "\(place)\(key) is no known key\(nearest ?? "")")
    }
}
