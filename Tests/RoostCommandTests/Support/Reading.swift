// SPDX-License-Identifier: Apache-2.0

import Roost
import Testing

@testable import RoostDaemon

/// Reads `yaml` as the file `test.yaml`, with variables and options.
func read(
    _ yaml: String? = nil, environment: [String: String] = [:],
    _ configure: (inout CommandLineSettings) -> Void = { _ in }
) throws(ConfigurationError) -> DaemonConfiguration {
    var commandLine = CommandLineSettings()
    configure(&commandLine)
    let file = try yaml.map { text throws(ConfigurationError) in try YAMLDocument(path: "test.yaml", text: text) }
    return try DaemonConfiguration.read(
        ConfigurationSources(commandLine: commandLine, environment: environment, file: file))
}

/// What is wrong with it, as it is printed.
func problems(
    _ yaml: String? = nil, environment: [String: String] = [:],
    _ configure: (inout CommandLineSettings) -> Void = { _ in }
) -> [String] {
    do throws(ConfigurationError) {
        _ = try read(yaml, environment: environment, configure)
        return []
    } catch {
        return error.problems.map(\.description)
    }
}

extension DaemonConfiguration {
    var addresses: [String] { listeners.map(\.address) }

    /// What the library is told, with pages that nobody reads.
    var server: ServerConfiguration { server(DaemonPages(self)) }
}
