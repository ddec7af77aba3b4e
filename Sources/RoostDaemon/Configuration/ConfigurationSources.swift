// SPDX-License-Identifier: Apache-2.0

internal import Configuration
internal import Synchronization

/// What was given on the command line; nil where an option was not.
package struct CommandLineSettings: Sendable {
    package var listen: [String] = []
    package var schedulers: String?
    package var maxMessageBytes: String?
    package var logLevel: String?
    /// One certificate for the addresses of `listen`: both or neither.
    package var tlsChain: String?
    package var tlsKey: String?
    /// Adds the routes /demo/….
    package var isDemo = false

    package init() {}

    /// Each option with the key it sets.
    static let options: [String: String] = [
        SettingKey.listen.rawValue: "--listen", SettingKey.schedulers.rawValue: "--schedulers",
        RouteSettingKey.maxMessageBytes.rawValue: "--max-message", SettingKey.logLevel.rawValue: "--log-level",
        "tls.chain": "--tls-chain", "tls.key": "--tls-key",
    ]

    var values: [AbsoluteConfigKey: ConfigValue] {
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        func set(_ name: String, _ content: ConfigContent?) {
            guard let content else { return }
            values[AbsoluteConfigKey(name.split(separator: ".").map(String.init))] = ConfigValue(
                content, isSecret: false)
        }
        set(SettingKey.listen.rawValue, listen.isEmpty ? nil : .stringArray(listen))
        set(SettingKey.schedulers.rawValue, schedulers.map { .string($0) })
        set(RouteSettingKey.maxMessageBytes.rawValue, maxMessageBytes.map { .string($0) })
        set(SettingKey.logLevel.rawValue, logLevel.map { .string($0) })
        set("tls.chain", tlsChain.map { .string($0) })
        set("tls.key", tlsKey.map { .string($0) })
        return values
    }
}

/// What settings are read from, the strongest first: command line, environment, file. What none names has its default.
struct ConfigurationSources: Sendable {
    let commandLine: CommandLineSettings
    /// Variables that begin with ROOST_ and are not empty.
    let environment: [String: String]
    let file: YAMLDocument?

    init(commandLine: CommandLineSettings, environment: [String: String], file: YAMLDocument?) {
        self.commandLine = commandLine
        self.environment = environment.filter { $0.key.hasPrefix("ROOST_") && !$0.value.isEmpty }
        self.file = file
    }

    /// Asks the sources in their order, or the file alone.
    func lookup(onlyFile: Bool = false) -> SettingLookup {
        var layers: [(provider: any ConfigProvider, origin: @Sendable ([String]) -> SettingOrigin)] = []
        if !onlyFile {
            layers.append(
                (
                    InMemoryProvider(name: "command line", values: commandLine.values),
                    { .commandLine(option: CommandLineSettings.options[$0.joined(separator: ".")] ?? $0[0]) }
                ))
            layers.append(
                (
                    EnvironmentVariablesProvider(environmentVariables: environment).prefixKeys(with: "roost"),
                    { .environment(variable: SettingCatalog.environmentVariable($0.joined(separator: "."))) }
                ))
        }
        if let file {
            layers.append((file, { .file(path: file.path, line: file.find($0)?.line ?? 0) }))
        }
        return SettingLookup(layers, file: file)
    }
}

/// What a source said about a key.
struct FoundSetting<Value> {
    /// nil: it holds something of another shape.
    let value: Value?
    let origin: SettingOrigin
}

/// Reads single settings and tells where each came from.
struct SettingLookup {
    private let reader: ConfigReader
    private let recorder = AccessRecorder()
    private let origins: [String: @Sendable ([String]) -> SettingOrigin]
    private let file: YAMLDocument?

    init(
        _ layers: [(provider: any ConfigProvider, origin: @Sendable ([String]) -> SettingOrigin)], file: YAMLDocument?
    ) {
        self.file = file
        // A reader needs at least one provider.
        let providers = layers.isEmpty ? [InMemoryProvider(values: [:])] : layers.map(\.provider)
        reader = ConfigReader(providers: providers, accessReporter: recorder)
        origins = Dictionary(uniqueKeysWithValues: layers.map { ($0.provider.providerName, $0.origin) })
    }

    func text(_ components: [String]) -> FoundSetting<String>? {
        found(reader.string(forKey: ConfigKey(components)), components)
    }

    func list(_ components: [String]) -> FoundSetting<[String]>? {
        found(reader.stringArray(forKey: ConfigKey(components)), components)
    }

    /// The elements of a list of the file, where sections may be; nil where it has no list.
    func elements(_ components: [String]) -> [YAMLValue]? {
        guard case .list(let elements, _)? = file?.find(components)?.value else { return nil }
        return elements
    }

    private func found<Value>(_ value: Value?, _ components: [String]) -> FoundSetting<Value>? {
        // The reader stops at the provider that has the key, also where it has it in another shape.
        guard let last = recorder.take(), let origin = origins[last.providerName] else { return nil }
        if case .success(let result) = last.result, result.value == nil { return nil }
        return FoundSetting(value: value, origin: origin(components))
    }
}

/// Keeps what the provider that answered last had said.
private final class AccessRecorder: AccessReporter {
    private let last = Mutex<AccessEvent.ProviderResult?>(nil)

    func report(_ event: AccessEvent) { last.withLock { $0 = event.providerResults.last } }

    func take() -> AccessEvent.ProviderResult? {
        last.withLock { last in
            defer { last = nil }
            return last
        }
    }
}
