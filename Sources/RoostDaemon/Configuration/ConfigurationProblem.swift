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

    /// One line, also where a value has more, or would steer a terminal.
    package var description: String {
        switch origin {
        case .commandLine, .environment: Self.printable(message)
        case .file(let path, 0): Self.printable("\(path): \(message)")
        case .file(let path, let line): Self.printable("\(path):\(line): \(message)")
        }
    }

    private static func printable(_ text: String) -> String {
        func isControl(_ scalar: Unicode.Scalar) -> Bool {
            scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || (0x2028...0x2029).contains(scalar.value)
        }
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        return text.unicodeScalars.reduce(into: "") { result, scalar in
            guard isControl(scalar) else { return result.unicodeScalars.append(scalar) }
            let digits = String(scalar.value, radix: 16)
            result += "\\x" + String(repeating: "0", count: max(0, 2 - digits.count)) + digits
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
