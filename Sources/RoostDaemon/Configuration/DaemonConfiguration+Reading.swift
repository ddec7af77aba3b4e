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

    static func read(_ sources: ConfigurationSources) throws(ConfigurationError) -> DaemonConfiguration {
        var problems = sources.file.map(SettingNames.problems) ?? []
        problems += SettingNames.problems(environment: sources.environment)
        var configuration = DaemonConfiguration()
        var reader = SettingReader(sources.lookup())
        configuration.readServer(&reader)
        configuration.readListeners(&reader)
        configuration.routeDefaults.read(&reader)
        problems += reader.problems
        problems += configuration.readRoutes(sources)
        if sources.commandLine.isDemo { configuration.addDemoRoutes() }
        guard problems.isEmpty else { throw ConfigurationError(problems: inOrder(problems)) }
        return configuration
    }

    /// By source, and in a file by line, so that they can be fixed from top to bottom.
    private static func inOrder(_ problems: [ConfigurationProblem]) -> [ConfigurationProblem] {
        func rank(_ problem: ConfigurationProblem) -> (source: Int, line: Int) {
            switch problem.origin {
            case .commandLine: (0, 0)
            case .environment: (1, 0)
            case .file(_, let line): (2, line)
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
        integer(.maxConnections, &connectionCountMax)
        duration(.handshakeTimeout, &handshakeTimeout)
        integer(.maxHeadBytes, &headByteCountMax)
    }

    private mutating func readListeners(_ reader: inout SettingReader) {
        guard let (addresses, origin) = reader.list(SettingKey.listen.rawValue) else { return }
        if addresses.isEmpty {
            reader.report(origin, "listen", " is empty; give at least one address, as in 127.0.0.1:9001")
        }
        var seen: Set<SocketAddress> = []
        for text in addresses {
            do throws(SocketAddressError) {
                let address = try SocketAddress(text)
                if address.port != 0, !seen.insert(address).inserted {
                    reader.report(origin, "listen", " names \(text) twice; remove one")
                }
            } catch {
                reader.report(origin, "listen", ": \(error)")
            }
        }
        listen = addresses
    }

    /// `routes` comes from the file alone: it does not fit a variable or an option.
    private mutating func readRoutes(_ sources: ConfigurationSources) -> [ConfigurationProblem] {
        let name = SettingKey.routes.rawValue
        guard let file = sources.file, let (value, line) = file.find([name]) else {
            routes = [RouteEntry(path: "/echo", kind: .echo, settings: routeDefaults)]
            return []
        }
        func problem(_ line: Int, _ message: String) -> ConfigurationProblem {
            ConfigurationProblem(origin: .file(path: file.path, line: line), message: message)
        }
        guard case .list(let elements, _) = value else {
            return [problem(line, "routes is no list; write `- path: /echo` and `kind: echo` under it")]
        }
        if elements.isEmpty {
            return [problem(line, "routes is empty; name at least one route, or remove it to have /echo")]
        }
        let lookup = sources.lookup(onlyFile: true)
        var problems: [ConfigurationProblem] = []
        routes = []
        for (index, element) in elements.enumerated() {
            // What is no section has been reported with the names.
            guard case .section = element else { continue }
            let path = lookup.text([name, "\(index)", "path"])?.value
            var reader = SettingReader(lookup, prefix: [name, "\(index)"], place: "route \(path ?? "\(index + 1)"): ")
            if let entry = readRoute(&reader, element.line, file.path) { routes.append(entry) }
            problems += reader.problems
        }
        return problems
    }

    private func readRoute(_ reader: inout SettingReader, _ line: Int, _ file: String) -> RouteEntry? {
        var settings = routeDefaults
        settings.read(&reader)
        let place = SettingOrigin.file(path: file, line: line)
        let (pathKey, kindKey) = (RouteIdentityKey.path.rawValue, RouteIdentityKey.kind.rawValue)
        let (path, kindName) = (reader.text([pathKey]), reader.text([kindKey]))
        if path == nil, reader.lookup.text(reader.prefix + [pathKey]) == nil {
            reader.report(place, pathKey, " is missing; add one, as in `path: /echo`")
        }
        if kindName == nil, reader.lookup.text(reader.prefix + [kindKey]) == nil {
            reader.report(place, kindKey, " is missing; add one, as in `kind: echo`")
        }
        if let (path, origin) = path {
            if let fault = Self.fault(inPath: path) { reader.report(origin, "path", " is '\(path)'; \(fault)") }
            if routes.contains(where: { $0.path == path }) {
                reader.report(origin, "path", " is given twice; remove one")
            }
        }
        guard let (kindName, origin) = kindName else { return nil }
        guard let kind = RouteKind(kindName) else {
            let names = RouteKind.all.map(\.description)
            let nearest =
                Suggestion.nearest(to: kindName, among: names).map { "did you mean \($0.name)? There are " } ?? ""
            reader.report(origin, "kind", " is '\(kindName)'; \(nearest)\(names.joined(separator: ", "))")
            return nil
        }
        return path.map { RouteEntry(path: $0.0, kind: kind, settings: settings) }
    }

    private static func fault(inPath path: String) -> String? {
        if !path.hasPrefix("/") { return "it must begin with /" }
        if path.contains(where: { $0 == "?" || $0 == "#" || $0.isWhitespace }) {
            return "it is matched with the path alone: leave out ?, # and blanks"
        }
        let exact = path.hasSuffix("/*") ? path.dropLast(2) : path[...]
        return exact.contains("*") ? "* stands for the rest of a path, only at its end and after /, as in /chat/*" : nil
    }

    /// Every way to misbehave, unless the file has that path already.
    private mutating func addDemoRoutes() {
        for misbehaviour in Misbehaviour.allCases {
            let path = "/demo/\(misbehaviour.rawValue)"
            if routes.contains(where: { $0.path == path }) { continue }
            routes.append(RouteEntry(path: path, kind: .demo(misbehaviour), settings: routeDefaults))
        }
    }
}
