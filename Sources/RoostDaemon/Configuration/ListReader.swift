// SPDX-License-Identifier: Apache-2.0

internal import Roost

/// Reads the lists of sections, `routes` and `listeners`, which come from the file alone: they do not fit a variable or
/// an option; and `listen`, which stands for the second.
struct ListReader {
    private let sources: ConfigurationSources
    private let lookup: SettingLookup
    /// The top level's, from every source.
    private let top: SettingReader
    private let listenerDefaults: ListenerSettings
    private let routeDefaults: RouteSettings
    private var seenAddresses: Set<SocketAddress> = []
    private(set) var problems: [ConfigurationProblem] = []

    init(_ sources: ConfigurationSources, _ listenerDefaults: ListenerSettings, _ routeDefaults: RouteSettings) {
        self.sources = sources
        lookup = sources.lookup(onlyFile: true)
        top = SettingReader(sources.lookup())
        self.listenerDefaults = listenerDefaults
        self.routeDefaults = routeDefaults
    }

    private mutating func report(_ origin: SettingOrigin, _ message: String) {
        problems.append(ConfigurationProblem(origin: origin, message: message))
    }

    // MARK: Listeners

    /// Every listener. `routes` are for those that have none of their own.
    mutating func listeners(_ routes: [RouteEntry]) -> [ListenerEntry] {
        let name = SettingCatalog.listeners
        guard let origin = lookup.text([name])?.origin else { return simpleListeners(routes) }
        refuseRivals(of: origin)
        guard let elements = lookup.elements([name]) else {
            report(origin, "\(name) is no list; write `- address: 127.0.0.1:9001` under it")
            return []
        }
        if elements.isEmpty {
            report(origin, "\(name) is empty; name at least one, or remove it to listen on 127.0.0.1:9001")
        }
        return elements.enumerated().compactMap { index, element in
            // What is no section has been reported with the names.
            guard case .section = element else { return nil }
            return listener(index, origin.at(line: element.line), routes)
        }
    }

    /// `listen` and the certificate of the command line are for addresses without settings of their own.
    private mutating func refuseRivals(of listeners: SettingOrigin) {
        let listen = SettingKey.listen.rawValue
        if let rival = top.origin([listen]) {
            switch rival {
            case .file:
                report(
                    rival,
                    "listen and listeners are both set; move each address of listen into listeners, as in "
                        + "`- address: 127.0.0.1:9001`, and remove listen")
            case .commandLine, .environment:
                report(
                    rival,
                    "\(rival.subject(listen)) does not go with listeners in the file: change the addresses there, or "
                        + "write listen there instead of listeners")
            }
        }
        for key in [TLSSettingKey.chain, .key] {
            guard let rival = top.origin([ListenerSettingKey.tls.rawValue, key.rawValue]), rival.rank == 0 else {
                continue
            }
            report(
                rival,
                "\(rival.subject("tls.\(key.rawValue)")) does not go with listeners in the file: write "
                    + "`tls: {chain: FILE, key: FILE}` into one of them")
        }
    }

    private mutating func simpleListeners(_ routes: [RouteEntry]) -> [ListenerEntry] {
        let name = SettingKey.listen.rawValue
        var reader = SettingReader(sources.lookup())
        listenerDefaults.checkRelations(&reader, top, .whole(sources.file?.path))
        let (addresses, origin) = reader.list(name) ?? (DaemonConfiguration().listeners.map(\.address), nil)
        if let origin {
            if addresses.isEmpty {
                reader.report(origin, name, " is empty; give at least one address, as in 127.0.0.1:9001")
            }
            for text in addresses {
                if let fault = fault(inAddress: text) { reader.report(origin, name, fault) }
            }
        }
        problems += reader.problems
        return addresses.map { ListenerEntry(address: $0, settings: listenerDefaults, routes: routes) }
    }

    /// The end of a sentence that begins with the setting's name.
    private mutating func fault(inAddress text: String) -> String? {
        do throws(SocketAddressError) {
            let address = try SocketAddress(text)
            if address.port != 0, !seenAddresses.insert(address).inserted { return " names \(text) twice; remove one" }
            return nil
        } catch {
            return ": \(error)"
        }
    }

    private mutating func listener(_ index: Int, _ place: SettingOrigin, _ routes: [RouteEntry]) -> ListenerEntry? {
        let prefix = [SettingCatalog.listeners, "\(index)"]
        let key = ListenerIdentityKey.address.rawValue
        let address = lookup.text(prefix + [key])?.value
        let name = "listener \(address.flatMap { $0.isEmpty ? nil : $0 } ?? "\(index + 1)"): "
        var reader = SettingReader(lookup, prefix: prefix, place: name)
        var settings = listenerDefaults
        settings.read(&reader)
        settings.checkRelations(&reader, top, place)
        if reader.origin([key]) == nil {
            reader.report(place, key, " is missing; add one, as in `address: 127.0.0.1:9001`")
        } else if let (address, origin) = reader.text([key]), let fault = fault(inAddress: address) {
            reader.report(origin, key, fault)
        }
        problems += reader.problems
        let own = self.routes(prefix + [ListenerIdentityKey.routes.rawValue], place: name)
        return address.map { ListenerEntry(address: $0, settings: settings, routes: own ?? routes) }
    }

    // MARK: Routes

    /// The routes at `name`; nil where there are none.
    mutating func routes(_ name: [String], place: String) -> [RouteEntry]? {
        guard let origin = lookup.text(name)?.origin else { return nil }
        guard let elements = lookup.elements(name) else {
            report(origin, "\(place)routes is no list; write `- path: /echo` and `kind: echo` under it")
            return []
        }
        if elements.isEmpty {
            let instead = name.count == 1 ? "/echo, /broadcast, /health and /metrics" : "those of the top level"
            report(origin, "\(place)routes is empty; name at least one route, or remove it to have \(instead)")
        }
        var routes: [RouteEntry] = []
        for (index, element) in elements.enumerated() {
            // What is no section has been reported with the names.
            guard case .section = element else { continue }
            let prefix = name + ["\(index)"]
            let path = lookup.text(prefix + [RouteIdentityKey.path.rawValue])?.value
            let shown = path.flatMap { $0.isEmpty ? nil : $0 } ?? "\(index + 1)"
            var reader = SettingReader(lookup, prefix: prefix, place: "\(place)route \(shown): ")
            if let entry = route(&reader, origin.at(line: element.line)) {
                if routes.contains(where: { $0.matchedPath == entry.matchedPath }) {
                    let pathOrigin = reader.origin([RouteIdentityKey.path.rawValue]) ?? origin
                    reader.report(pathOrigin, RouteIdentityKey.path.rawValue, " is given twice; remove one")
                }
                routes.append(entry)
            }
            problems += reader.problems
        }
        return routes
    }

    private func route(_ reader: inout SettingReader, _ place: SettingOrigin) -> RouteEntry? {
        var settings = routeDefaults
        settings.read(&reader)
        for (key, example) in [(RouteIdentityKey.path, "path: /echo"), (.kind, "kind: echo")]
        where reader.origin([key.rawValue]) == nil {
            reader.report(place, key.rawValue, " is missing; add one, as in `\(example)`")
        }
        let path = reader.text([RouteIdentityKey.path.rawValue])
        if let (path, origin) = path, let fault = Self.fault(inPath: path) {
            reader.report(origin, RouteIdentityKey.path.rawValue, " is '\(path)'; \(fault)")
        }
        guard let kind = kind(&reader) else { return nil }
        if kind.isPlain { refuseWebSocketSettings(&reader, kind) }
        checkRooms(&reader, kind, path)
        let file = file(&reader, kind, place)
        return path.map { RouteEntry(path: $0.0, kind: kind, settings: settings, file: file) }
    }

    private func kind(_ reader: inout SettingReader) -> RouteKind? {
        let key = RouteIdentityKey.kind.rawValue
        guard let (name, origin) = reader.text([key]) else { return nil }
        if let kind = RouteKind(name) { return kind }
        let names = RouteKind.all.map(\.description)
        let nearest = Suggestion.nearest(to: name, among: names).map { "did you mean \($0.name)? There are " } ?? ""
        reader.report(origin, key, " is '\(name)'; \(nearest)\(names.joined(separator: ", "))")
        return nil
    }

    /// Nothing of what a WebSocket is bounded by would hold for them.
    private func refuseWebSocketSettings(_ reader: inout SettingReader, _ kind: RouteKind) {
        for key in SettingCatalog.routeSettings {
            guard let origin = reader.origin([key]) else { continue }
            reader.report(origin, key, " is for WebSockets, and \(kind) answers plain HTTP requests; remove it")
        }
    }

    /// What is of rooms goes with the kind that has them, and their names stand behind its path.
    private func checkRooms(_ reader: inout SettingReader, _ kind: RouteKind, _ path: (String, SettingOrigin)?) {
        guard kind == .broadcast else {
            let key = RouteSettingKey.maxRoomBytes.rawValue
            if !kind.isPlain, let origin = reader.origin([key]) {
                reader.report(origin, key, " is for the kind broadcast alone; remove it, or write `kind: broadcast`")
            }
            return
        }
        if let (path, origin) = path, path.hasSuffix("/*") || path.hasSuffix("/") && path != "/" {
            let bare = String(path.dropLast(path.hasSuffix("*") ? 2 : 1))
            reader.report(
                origin, RouteIdentityKey.path.rawValue,
                " is '\(path)'; rooms are behind it already, one segment each: write \(bare.isEmpty ? "/" : bare)")
        }
    }

    private func file(_ reader: inout SettingReader, _ kind: RouteKind, _ place: SettingOrigin) -> FileReference? {
        let key = RouteIdentityKey.file.rawValue
        switch kind {
        case .page:
            if reader.origin([key]) == nil {
                reader.report(place, key, " is missing; name what the page is read from, as in `file: index.html`")
            }
            return reader.file([key]).map { FileReference(path: $0.path, origin: $0.origin) }
        case .echo, .broadcast, .health, .metrics, .demo:
            if let origin = reader.origin([key]) {
                reader.report(origin, key, " is for the kind page alone; remove it, or write `kind: page`")
            }
            return nil
        }
    }

    private static func fault(inPath path: String) -> String? {
        if !path.hasPrefix("/") { return "it must begin with /" }
        if path.contains(where: { $0 == "?" || $0 == "#" || $0.isWhitespace }) {
            return "it is matched with the path alone: leave out ?, # and blanks"
        }
        let exact = path.hasSuffix("/*") ? path.dropLast(2) : path[...]
        return exact.contains("*") ? "* stands for the rest of a path, only at its end and after /, as in /chat/*" : nil
    }
}
