// SPDX-License-Identifier: Apache-2.0

/// Where a setting's value came from, the strongest first.
package enum SettingOrigin: Sendable, Hashable {
    case commandLine(option: String)
    case environment(variable: String)
    /// `line` is 0 for the file as a whole.
    case file(path: String, line: Int)

    /// What to call the setting `name` there.
    func subject(_ name: String) -> String {
        switch self {
        case .commandLine(let option): option
        case .environment(let variable): variable
        case .file: name
        }
    }
}

/// One thing that is wrong with the configuration; `message` names the setting, its value and what is allowed.
package struct ConfigurationProblem: Sendable, Hashable, CustomStringConvertible {
    package let origin: SettingOrigin
    package let message: String

    package var description: String {
        switch origin {
        case .commandLine, .environment: message
        case .file(let path, 0): "\(path): \(message)"
        case .file(let path, let line): "\(path):\(line): \(message)"
        }
    }
}

/// All that is wrong with the configuration.
package struct ConfigurationError: Error, CustomStringConvertible {
    package let problems: [ConfigurationProblem]

    /// Usage when only the command line is to blame, else configuration.
    package var exitStatus: ExitStatus {
        let isUsage = problems.allSatisfy {
            switch $0.origin {
            case .commandLine: true
            case .environment, .file: false
            }
        }
        return isUsage ? .usage : .configuration
    }

    package var description: String { problems.map(\.description).joined(separator: "\n") }
}
