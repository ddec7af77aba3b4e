// SPDX-License-Identifier: Apache-2.0

/// Finds keys and variables that no setting has.
enum SettingNames {
    /// A variable so few edits from a known one is a slip; others, as Kubernetes's ROOST_SERVICE_HOST, are not ours.
    private static let variableEditMax = 2

    static func problems(environment: [String: String]) -> [ConfigurationProblem] {
        environment.keys.sorted().compactMap { name in
            let known = SettingCatalog.environmentVariables
            guard !known.contains(name) else { return nil }
            let inFileAlone = [SettingCatalog.listeners, SettingKey.routes.rawValue, "tls.certificates"]
            if let key = inFileAlone.first(where: { SettingCatalog.environmentVariable($0) == name }) {
                return ConfigurationProblem(
                    origin: .environment(variable: name),
                    message: "\(name) is no setting: \(key) does not fit a variable; write it into a file")
            }
            guard let nearest = Suggestion.nearest(to: name, among: known), nearest.editCount <= variableEditMax
            else { return nil }
            return ConfigurationProblem(
                origin: .environment(variable: name), message: "\(name) is no setting; did you mean \(nearest.name)?")
        }
    }

    static func problems(_ file: YAMLDocument) -> [ConfigurationProblem] {
        var check = NameCheck(path: file.path)
        guard case .section(let entries, _) = file.root else { return [] }
        check.section(entries, .server, place: "")
        return check.problems
    }
}

private struct NameCheck {
    let path: String
    var problems: [ConfigurationProblem] = []

    /// What a section of the tree is.
    enum Level {
        case server, listener, route

        var known: [String] {
            switch self {
            case .server: SettingCatalog.topLevel
            case .listener: SettingCatalog.listener
            case .route: SettingCatalog.route
            }
        }
    }

    mutating func report(_ line: Int, _ message: String) {
        problems.append(ConfigurationProblem(origin: .file(path: path, line: line), message: message))
    }

    mutating func section(
        _ entries: [(key: String, value: YAMLValue, line: Int)], _ level: Level, place: String
    ) {
        for (key, value, line) in entries {
            guard level.known.contains(key) else {
                unknown(key, line, level, place: place)
                continue
            }
            if let section = SettingCatalog.sections.first(where: { $0.name == key }) {
                keys(of: section, value, line, place: place)
            } else if key == SettingKey.routes.rawValue {
                elements(value, place: place, noun: "route", .route, remedy: "write `path: /…` and `kind: echo`")
            } else if key == SettingCatalog.listeners {
                elements(value, place: place, noun: "listener", .listener, remedy: "write `address: 127.0.0.1:9001`")
            }
        }
    }

    /// What is no list is reported by whoever reads it.
    private mutating func elements(
        _ value: YAMLValue, place: String, noun: String, _ level: Level, remedy: String
    ) {
        guard case .list(let elements, _) = value else { return }
        for (index, element) in elements.enumerated() {
            guard case .section(let entries, _) = element else {
                report(element.line, "\(place)\(noun) \(index + 1) is no section; \(remedy)")
                continue
            }
            section(entries, level, place: "\(place)\(noun) \(index + 1): ")
        }
    }

    private mutating func keys(
        of section: SettingCatalog.Section, _ value: YAMLValue, _ line: Int, place: String
    ) {
        switch value {
        case .section(let entries, _):
            let known = section.keys.map { "\(section.name).\($0)" }
            for entry in entries where !section.keys.contains(entry.key) {
                unknown("\(section.name).\(entry.key)", entry.line, among: known, place: place)
            }
            if let certificates = entries.first(where: { $0.key == TLSSettingKey.certificates.rawValue }) {
                self.certificates(certificates.value, place: place + "\(section.name).")
            }
        case .scalar(let word, _):
            if section.words.contains(word.lowercased()) { return }
            // One that is nearly a word is that; any other wants a section.
            let nearest = Suggestion.nearest(to: word, among: section.words)
            let hint = nearest.map { !word.isEmpty && $0.editCount <= 2 ? "; did you mean \($0.name)?" : nil } ?? nil
            let shown = word.isEmpty || section.words.isEmpty ? "no section" : "'\(word)'"
            report(line, "\(place)\(section.name) is \(shown)\(hint ?? "; \(section.remedy)")")
        case .list:
            report(line, "\(place)\(section.name) is no section; \(section.remedy)")
        }
    }

    private mutating func certificates(_ value: YAMLValue, place: String) {
        guard case .list(let elements, _) = value else { return }
        let known = SettingCatalog.certificate
        for (index, element) in elements.enumerated() {
            let name = "\(place)certificates \(index + 1)"
            guard case .section(let entries, _) = element else {
                report(element.line, "\(name) is no section; write `chain: FILE` and `key: FILE`")
                continue
            }
            for entry in entries where !known.contains(entry.key) {
                unknown(entry.key, entry.line, among: known, place: "\(name): ")
            }
        }
    }

    private mutating func unknown(_ key: String, _ line: Int, _ level: Level, place: String) {
        func misplaced(_ remedy: String) { report(line, "\(place)\(key) is no key here; \(remedy)") }
        let homes = SettingCatalog.sections.filter { $0.keys.contains(key) }
        if let home = homes.first(where: { level.known.contains($0.name) }) {
            return misplaced("it belongs under \(home.name), as \(home.name).\(key)")
        }
        switch level {
        case .server:
            if ListenerIdentityKey(rawValue: key) != nil {
                return misplaced("it belongs into an element of listeners; or write `listen: ADDRESS`")
            }
            if RouteIdentityKey(rawValue: key) != nil { return misplaced("it belongs into an element of routes") }
        case .listener:
            if SettingCatalog.routeSettings.contains(key) {
                return misplaced("it is a setting of routes: move it into one of them, or to the top level for all")
            }
            if SettingCatalog.server.contains(key) {
                return misplaced("it is a setting of the whole server: move it to the top level")
            }
        case .route:
            if SettingCatalog.listenerSettings.contains(key) {
                return misplaced("it is a setting of listeners: move it to the top level, or into one of listeners")
            }
            if SettingCatalog.server.contains(key) {
                return misplaced("it is a setting of the whole server: move it to the top level")
            }
        }
        unknown(key, line, among: level.known, place: place)
    }

    private mutating func unknown(_ key: String, _ line: Int, among known: [String], place: String) {
        let nearest = Suggestion.nearest(to: key, among: known).map { nearest in
            nearest.editCount <= max(2, key.count / 2)
                ? "; did you mean \(nearest.name)?"
                : "; the nearest is \(nearest.name), and config/roost.yaml has every key"
        }
        report(line, "\(place)\(key) is no known key\(nearest ?? "")")
    }
}
