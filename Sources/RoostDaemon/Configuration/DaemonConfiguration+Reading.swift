// SPDX-License-Identifier: Apache-2.0

internal import Roost
internal import RoostDemo

extension DaemonConfiguration {
    /// Reads the configuration; throws every problem at once.
    ///
    /// `file` is the file's path, nil for none; ROOST_CONFIG in `environment` names it where the command line does not.
    package static func read(
        file: String?, commandLine: CommandLineSettings, environment: [String: String]
    ) throws(ConfigurationError) -> DaemonConfiguration {
        let variable = environment["ROOST_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
        let document = try (file ?? variable).map { path throws(ConfigurationError) in try YAMLDocument(path: path) }
        return try read(ConfigurationSources(commandLine: commandLine, environment: environment, file: document))
    }

    /// As `read(file:commandLine:environment:)`, of a file at `path` that holds `text`.
    package static func read(text: String, path: String) throws(ConfigurationError) -> DaemonConfiguration {
        let file = try YAMLDocument(path: path, text: text)
        return try read(ConfigurationSources(commandLine: CommandLineSettings(), environment: [:], file: file))
    }

    static func read(_ sources: ConfigurationSources) throws(ConfigurationError) -> DaemonConfiguration {
        var problems = sources.file.map(SettingNames.problems) ?? []
        problems += SettingNames.problems(environment: sources.environment)
        var configuration = DaemonConfiguration()
        var reader = SettingReader(sources.lookup())
        configuration.readServer(&reader)
        configuration.listenerDefaults.read(&reader)
        configuration.routeDefaults.read(&reader)
        problems += reader.problems
        var lists = ListReader(sources, configuration.listenerDefaults, configuration.routeDefaults)
        configuration.routes =
            lists.routes([SettingKey.routes.rawValue], place: "") ?? RouteEntry.standard(configuration.routeDefaults)
        configuration.listeners = lists.listeners(configuration.routes)
        problems += lists.problems
        if sources.commandLine.isDemo { configuration.addDemoRoutes() }
        guard problems.isEmpty else { throw ConfigurationError(problems: inOrder(problems)) }
        return configuration
    }

    /// By source, and in a file by line, so that they can be fixed from top to bottom.
    private static func inOrder(_ problems: [ConfigurationProblem]) -> [ConfigurationProblem] {
        func rank(_ problem: ConfigurationProblem) -> (source: Int, line: Int) {
            switch problem.origin {
            case .commandLine, .environment: (problem.origin.rank, 0)
            case .file(_, let line): (problem.origin.rank, line)
            }
        }
        return problems.sorted { rank($0) < rank($1) }  // a stable sort
    }

    private mutating func readServer(_ reader: inout SettingReader) {
        func integer(_ key: SettingKey, _ value: inout Int) {
            value = reader.integer(key.rawValue, rule: key.rule, default: value)
        }
        func duration(_ key: SettingKey, _ value: inout Duration) {
            value = reader.duration(key.rawValue, rule: key.rule, default: value)
        }
        logLevel = reader.choice(SettingKey.logLevel.rawValue, rule: SettingKey.logLevel.rule, default: logLevel)
        integer(.schedulers, &schedulerCount)
        integer(.reductionsPerTurn, &reductionsPerTurn)
        integer(.stackBytes, &stackByteCount)
        integer(.maxHeapBytes, &heapByteCountMax)
        integer(.maxLeakedBytes, &leakedByteCountMax)
        integer(.dirtyCPUThreads, &dirtyCPUThreadCount)
        integer(.dirtyIOThreads, &dirtyIOThreadCount)
        duration(.longSchedule, &longSchedule)
        duration(.stuckSchedule, &stuckSchedule)
        integer(.maxSpareThreads, &spareThreadCountMax)
        duration(.drainTimeout, &drainTimeout)
    }

    /// Every way to misbehave, for every listener, unless it has that path already.
    private mutating func addDemoRoutes() {
        for index in listeners.indices {
            for misbehaviour in Misbehaviour.allCases {
                let path = "/demo/\(misbehaviour.rawValue)"
                if listeners[index].routes.contains(where: { $0.path == path }) { continue }
                listeners[index].routes.append(
                    RouteEntry(path: path, kind: .demo(misbehaviour), settings: routeDefaults))
            }
        }
    }
}
