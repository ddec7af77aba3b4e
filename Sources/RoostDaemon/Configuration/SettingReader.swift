// SPDX-License-Identifier: Apache-2.0

/// Reads settings by their rules and collects what is wrong with them.
struct SettingReader {
    let lookup: SettingLookup
    /// Where the settings are in the tree, and how messages name that place.
    let prefix: [String]
    let place: String
    private(set) var problems: [ConfigurationProblem] = []

    /// `place` begins messages, as in "route /chat: ".
    init(_ lookup: SettingLookup, prefix: [String] = [], place: String = "") {
        self.lookup = lookup
        self.prefix = prefix
        self.place = place
    }

    /// Says what is wrong with the setting `name`: `statement` follows its name.
    mutating func report(_ origin: SettingOrigin, _ name: String, _ statement: String) {
        problems.append(ConfigurationProblem(origin: origin, message: place + origin.subject(name) + statement))
    }

    /// A count, or a size in bytes.
    mutating func integer(_ name: String..., rule: SettingRule, default standard: Int) -> Int {
        guard let (text, origin) = text(name) else { return standard }
        switch rule {
        case .count(let range):
            guard let value = Quantity.count(text) else {
                return refuse(name, text, origin, "a whole number, ", rule, standard)
            }
            return range.contains(value) ? value : refuse(name, text, origin, "", rule, standard)
        case .bytes(let range, let orZero):
            guard let value = Quantity.byteCount(text) else {
                return refuse(name, text, origin, "bytes as in 65536, 64KiB or 1MiB, ", rule, standard)
            }
            return range.contains(value) || orZero && value == 0
                ? value : refuse(name, text, origin, "", rule, standard)
        case .duration, .choice, .flag, .text, .file, .list, .section:
            preconditionFailure("\(name) is no number")
        }
    }

    mutating func duration(_ name: String..., rule: SettingRule, default standard: Duration) -> Duration {
        guard case .duration(let range, let orZero) = rule else { preconditionFailure("\(name) is no duration") }
        guard let (text, origin) = text(name) else { return standard }
        guard let value = Quantity.duration(text) else {
            return refuse(
                name, text, origin, "a duration as in 250ms, 30s, 5m or 1h (a plain number is seconds), ", rule,
                standard)
        }
        return range.contains(value) || orZero && value == .zero
            ? value : refuse(name, text, origin, "", rule, standard)
    }

    /// One of the names of an enumeration.
    mutating func choice<Choice: RawRepresentable<String>>(
        _ name: String..., rule: SettingRule, default standard: Choice
    ) -> Choice {
        guard let (text, origin) = text(name) else { return standard }
        return Choice(rawValue: text.lowercased()) ?? refuse(name, "'\(text)'", origin, "", rule, standard)
    }

    /// Yes or no, in YAML's words.
    mutating func flag(_ name: String..., default standard: Bool) -> Bool {
        guard let (text, origin) = text(name) else { return standard }
        switch text.lowercased() {
        case "yes", "true", "on": return true
        case "no", "false", "off": return false
        default: return refuse(name, "'\(text)'", origin, "", .flag, standard)
        }
    }

    /// The name of a file. A relative one in the configuration file starts from that file's directory.
    mutating func file(_ name: [String]) -> (path: String, origin: SettingOrigin)? {
        guard let (text, origin) = text(name) else { return nil }
        return (origin.resolve(text), origin)
    }

    /// Where a setting comes from; nil where no source names it.
    func origin(_ name: [String]) -> SettingOrigin? { lookup.text(prefix + name)?.origin }

    /// The text of a single value with its origin; nil where no source has it, or has no single value.
    mutating func text(_ name: [String]) -> (String, SettingOrigin)? {
        guard let found = lookup.text(prefix + name) else { return nil }
        guard let text = found.value else {
            report(found.origin, name.joined(separator: "."), " is a list or a section; give it a single value")
            return nil
        }
        if text.isEmpty {
            report(found.origin, name.joined(separator: "."), " has no value; give it one or remove the key")
            return nil
        }
        return (text, found.origin)
    }

    /// The word that stands for the section `name`, where a source has one; in the file, only where it is known there.
    func word(_ name: String) -> (String, SettingOrigin)? {
        guard let found = lookup.text(prefix + [name]), let word = found.value else { return nil }
        switch found.origin {
        case .file:
            // Another has been reported with the names.
            let words = SettingCatalog.sections.first { $0.name == name }?.words ?? []
            return words.contains(word.lowercased()) ? (word, found.origin) : nil
        case .commandLine, .environment: return (word, found.origin)
        }
    }

    /// A list of single values; one value alone is a list too.
    mutating func list(_ name: String) -> (values: [String], origin: SettingOrigin)? {
        guard let found = lookup.list(prefix + [name]) else { return nil }
        guard let values = found.value else {
            report(found.origin, name, " holds a section or a list; give it a list of single values")
            return nil
        }
        return (values, found.origin)
    }

    private mutating func refuse<Value>(
        _ name: [String], _ text: String, _ origin: SettingOrigin, _ form: String, _ rule: SettingRule,
        _ standard: Value
    ) -> Value {
        let shown = form.isEmpty ? text : "'\(text)'"
        report(origin, name.joined(separator: "."), " is \(shown); use \(form)\(rule.allowed)")
        return standard
    }
}
