// SPDX-License-Identifier: Apache-2.0

/// Every name there is, for whoever misspelt one.
enum SettingCatalog {
    /// The list that stands in for `listen` where listeners differ. In no default file: there `listen` is.
    static let listeners = "listeners"

    static let routeSettings = RouteSettingKey.allCases.map(\.rawValue)
    static let listenerSettings = ListenerSettingKey.allCases.map(\.rawValue)
    static let server = SettingKey.allCases.map(\.rawValue) + [listeners]
    static let topLevel = server + listenerSettings + routeSettings
    static let route = RouteIdentityKey.allCases.map(\.rawValue) + routeSettings
    static let listener = ListenerIdentityKey.allCases.map(\.rawValue) + listenerSettings
    static let certificate = CertificateKey.allCases.map(\.rawValue)

    /// A section with keys of its own.
    struct Section {
        let name: String
        let keys: [String]
        /// Words that stand for the whole section.
        let words: [String]
        /// What to write instead of something else.
        let remedy: String
    }

    static let sections = [
        Section(
            name: RouteSettingKey.restart.rawValue, keys: RestartSettingKey.allCases.map(\.rawValue), words: [],
            remedy: "write `on-crash: restart` or `on-crash: close` under it"),
        Section(
            name: RouteSettingKey.compression.rawValue, keys: CompressionSettingKey.allCases.map(\.rawValue),
            words: CompressionSettingKey.mode.rule.words,
            remedy: "write off, no-takeover or takeover behind it, or `mode: no-takeover` under it"),
        Section(
            name: ListenerSettingKey.tls.rawValue, keys: TLSSettingKey.allCases.map(\.rawValue), words: ["off"],
            remedy: "write `chain: FILE` and `key: FILE` under it, or off behind it"),
    ]

    /// The keys of sections as messages name them: `restart.period`.
    static let inSections = sections.flatMap { section in section.keys.map { "\(section.name).\($0)" } }

    /// The variables that set something: each single value or list of the top level, and `ROOST_CONFIG`.
    static let environmentVariables: [String] = {
        let inFileAlone = [SettingKey.routes.rawValue, listeners, RouteSettingKey.restart.rawValue, "tls.certificates"]
        let names = (topLevel + inSections).filter { !inFileAlone.contains($0) } + ["config"]
        return names.map(environmentVariable)
    }()

    static func environmentVariable(_ name: String) -> String {
        "ROOST_" + name.uppercased().replacing("-", with: "_").replacing(".", with: "_")
    }
}

extension SettingRule {
    /// The words of a choice.
    var words: [String] {
        switch self {
        case .choice(let names): names
        case .count, .bytes, .duration, .flag, .text, .file, .list, .section: []
        }
    }
}
