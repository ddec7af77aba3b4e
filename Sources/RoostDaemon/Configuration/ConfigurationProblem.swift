// SPDX-License-Identifier: Apache-2.0

/// Where a setting's value came from, the strongest first.
package enum SettingOrigin: Sendable, Hashable {
    case commandLine(option: String)
    case environment(variable: String)
    /// `line` is 0 for the file as a whole.
    case file(path: String, line: Int)

    /// The configuration as a whole: `file`, where there is one.
    static func whole(_ file: String?) -> SettingOrigin {
        if let file, !file.isEmpty { .file(path: file, line: 0) } else { .environment(variable: "ROOST_CONFIG") }
    }

    /// The same source at another line, where it has lines.
    func at(line: Int) -> SettingOrigin {
        switch self {
        case .commandLine, .environment: self
        case .file(let path, _): .file(path: path, line: line)
        }
    }

    /// The smaller, the stronger.
    var rank: Int {
        switch self {
        case .commandLine: 0
        case .environment: 1
        case .file: 2
        }
    }

    /// A file that was named there: relative to the configuration file, or to the working directory.
    func resolve(_ path: String) -> String {
        switch self {
        case .commandLine, .environment: return path
        case .file(let file, _):
            guard !path.hasPrefix("/"), let slash = file.lastIndex(of: "/") else { return path }
            return file[...slash] + path
        }
    }

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
