// SPDX-License-Identifier: Apache-2.0

internal import Roost

/// Reads the sections of a scenario file into a plan.
struct ScenarioReader {
    private let reader: SectionReader
    private let problems: ProblemList

    private static let keys =
        [
            "name", "duration", "warmup", "interval", "end-timeout", "connecting", "connect-first", "schedulers",
            "workers", "agents", "fail-if", "variables", "clients", "groups",
        ] + targetKeys
    private static let targetKeys = [
        "url", "urls", "headers", "subprotocols", "source-addresses", "tls", "compression", "connect-timeout",
    ]
    private static let groupKeys =
        [
            "name", "weight", "count", "arrival-rate", "reconnect", "lifetime", "ignore-unexpected", "replies", "flow",
            "work",
        ] + targetKeys

    private static let groupCountMax = 100
    private static let clientCountMax = 10_000_000
    private static let secondsMax = 31_536_000.0

    init?(_ node: YAMLNode, _ problems: ProblemList) {
        // For what is only there to be referred to, `x-…: &name`.
        var known = Self.keys
        if case .section(let entries) = node.content { known += entries.map(\.key).filter { $0.hasPrefix("x-") } }
        guard let reader = SectionReader(node, "", known: known, problems, example: "clients: 100") else {
            return nil
        }
        self.reader = reader
        self.problems = problems
    }

    func read() -> (LoadPlan, ScenarioOptions) {
        var plan = LoadPlan(.mixed, groups: [])
        _ = reader.text("name")
        plan.durationSeconds = reader.seconds("duration", isPositive: true, most: Self.secondsMax)
        plan.warmupSeconds = reader.seconds("warmup", isPositive: false, most: 86_400) ?? plan.warmupSeconds
        plan.endTimeoutSeconds =
            reader.seconds("end-timeout", isPositive: false, most: 86_400) ?? plan.endTimeoutSeconds
        plan.intervalSeconds = interval() ?? plan.intervalSeconds
        plan.connectingCountMax = reader.integer("connecting", 1...1_000_000) ?? plan.connectingCountMax
        plan.connectsFirst = reader.flag("connect-first") ?? plan.connectsFirst
        plan.schedulerCount = reader.integer("schedulers", 0...64) ?? plan.schedulerCount
        var options = ScenarioOptions()
        options.workerCount = reader.integer("workers", 1...FleetOptions.workerCountMax)
        options.agents = agents()
        let conditions = reader.texts("fail-if") ?? []
        options.failIf = conditions.map(\.text)
        let target = target(reader, base: nil)
        let (groups, readers) = groups(target)
        plan.groups = groups
        let planner = RoomPlanner(readers, workerCount: options.workerCount ?? 1, problems)
        planner.plan(&plan, connectFirst: reader.value("connect-first"))
        addMeasureGroups(&plan)
        for (text, node) in conditions {
            do throws(ThresholdError) {
                let threshold = try Threshold(text)
                // Where a group could not be read, the condition may be of that.
                if readers.count == groups.count, !groups.isEmpty { try threshold.check(plan) }
            } catch {
                problems.add(node, "fail-if is '\(Printable.short(text))'; \(error.reason)")
            }
        }
        return (plan, options)
    }

    private func interval() -> Double? {
        guard let seconds = reader.seconds("interval", isPositive: true, most: 3_600) else { return nil }
        if seconds >= 0.1 { return seconds }
        if let node = reader.value("interval") { reader.refuse(node, "interval", "use 100ms or more") }
        return nil
    }

    private func agents() -> [String] {
        var agents: [String] = []
        for (text, node) in reader.texts("agents") ?? [] {
            let colon = text.lastIndex(of: ":")
            let port = colon.flatMap { UInt16(text[text.index(after: $0)...]) } ?? 0
            if let colon, port > 0, colon > text.startIndex {
                agents.append(text)
            } else {
                reader.refuse(node, "an element of agents", "use host:port")
            }
        }
        return agents
    }

    // MARK: Targets

    /// What a group says, over what the file says for all.
    private func target(_ reader: SectionReader, base: Target?) -> Target {
        var target = base ?? Target([])
        let urls = (reader.texts("url") ?? []) + (reader.texts("urls") ?? [])
        if !urls.isEmpty { target.urls = urls.map(\.text) }
        for (url, node) in urls where reader.hasNoPlaces(url, node, "url") {
            // `{room}` is replaced where there are rooms, and refused elsewhere.
            do throws(ClientError) { _ = try WebSocketURL(url.replacingRoom(0)) } catch {
                reader.refuse(node, "url", "\(error)")
            }
        }
        target.headers += headers(reader)
        if let names = reader.texts("subprotocols") {
            target.subprotocols = names.map(\.text)
            for (name, node) in names where !name.utf8.allSatisfy(Self.isTokenByte) {
                reader.refuse(
                    node, "subprotocols", "use a token (RFC 9110 §5.6.2): letters, digits, - . _ and the like")
            }
            for (index, (name, node)) in names.enumerated() where names[..<index].contains(where: { $0.text == name }) {
                reader.refuse(node, "subprotocols", "remove it: it is there already (RFC 6455 §4.1)")
            }
        }
        if let sources = reader.texts("source-addresses") {
            target.sourceAddresses = sources.map(\.text)
            for (source, node) in sources {
                do { _ = try ClientEndpoint.source(source) } catch {
                    reader.refuse(node, "source-addresses", "use an address of this machine: \(error)")
                }
            }
        }
        if let tls = reader.section("tls", known: ["ca", "insecure"], example: "tls: {insecure: true}") {
            target.caFile = tls.text("ca") ?? target.caFile
            target.isInsecure = tls.flag("insecure") ?? target.isInsecure
        }
        target.isCompressed = reader.flag("compression") ?? target.isCompressed
        target.connectTimeoutSeconds =
            reader.seconds("connect-timeout", isPositive: true, most: 3_600) ?? target.connectTimeoutSeconds
        return target
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    /// `{Name: value}`, or a list of `Name: value` texts.
    private func headers(_ reader: SectionReader) -> [String] {
        guard let node = reader.value("headers") else { return [] }
        var headers: [String] = []
        func add(_ name: String, _ value: String, _ node: YAMLNode) {
            guard reader.hasNoPlaces(name + value, node, "headers: \(Printable.short(name))") else { return }
            if let remedy = Target.remedy(forHeader: name) {
                problems.add(node, "\(reader.place)headers: '\(Printable.short(name))' cannot be given; \(remedy)")
                return
            }
            do {
                _ = try HeaderField(name, value)
                headers.append("\(name): \(value)")
            } catch {
                problems.add(node, "\(reader.place)headers: '\(Printable.short(name))' cannot be sent: \(error)")
            }
        }
        switch node.content {
        case .section(let entries):
            for entry in entries {
                guard let value = entry.value.scalar else {
                    reader.refuse(entry.value, "headers: \(Printable.short(entry.key))", "use text")
                    continue
                }
                add(entry.key, value, entry.value)
            }
        case .list(let elements):
            for element in elements {
                guard let text = element.scalar, let colon = text.firstIndex(of: ":") else {
                    reader.refuse(element, "an element of headers", "use 'Name: value'")
                    continue
                }
                add(String(text[..<colon]), String(text[text.index(after: colon)...].drop { $0 == " " }), element)
            }
        case .scalar: reader.refuse(node, "headers", "write a section of names and values, as in {X-Test: 1}")
        }
        return headers
    }

    // MARK: Groups

    /// And each one's section, where all could be read.
    private func groups(_ target: Target) -> ([ClientGroup], [SectionReader]) {
        guard let node = reader.value("groups") else {
            problems.add(reader.node, "groups is missing; write a list of groups, each with a flow or work")
            return ([], [])
        }
        guard case .list(let elements) = node.content, (1...Self.groupCountMax).contains(elements.count) else {
            reader.refuse(node, "groups", "write a list of 1...\(Self.groupCountMax) groups")
            return ([], [])
        }
        var groups: [ClientGroup] = []
        var readers: [SectionReader] = []
        var shares: [Share] = []
        for (index, element) in elements.enumerated() {
            guard
                let reader = SectionReader(
                    element, place(element, index), known: Self.groupKeys, problems,
                    example: "{name: chat, flow: [...]}")
            else { continue }
            let (group, share) = group(reader, index, target)
            if groups.contains(where: { $0.name == group.name }) {
                problems.add(element, "\(reader.place)another group has this name; use another")
            }
            groups.append(group)
            readers.append(reader)
            shares.append(share)
        }
        // Where one could not be read, the sums say nothing.
        guard shares.count == elements.count else { return (groups, []) }
        let counts = counts(shares, node)
        for (group, count) in zip(groups, counts) where count == 0 {
            problems.add(
                node, "group '\(Printable.short(group.name))' has no client left by its weight; use more clients")
        }
        guard counts.count == groups.count else { return (groups, []) }
        for index in groups.indices { groups[index].clientCount = counts[index] }
        return (groups, readers)
    }

    private func place(_ node: YAMLNode, _ index: Int) -> String {
        if let name = node.first("name")?.scalar, !name.isEmpty { return "group '\(Printable.short(name))': " }
        return "group \(index + 1): "
    }

    /// How many clients a group has.
    private enum Share {
        case count(Int)
        case weight(Double)
    }

    private func group(_ reader: SectionReader, _ index: Int, _ base: Target) -> (ClientGroup, Share) {
        let name = reader.text("name") ?? "group \(index + 1)"
        if let node = reader.value("name") {
            if name.count > 64 { reader.refuse(node, "name", "use at most 64 letters") }
            _ = reader.hasNoPlaces(name, node, "name")
        }
        let target = target(reader, base: base)
        if target.urls.isEmpty, reader.value("url") == nil, reader.value("urls") == nil {
            problems.add(
                reader.node, "\(reader.place)url is missing; write `url: ws://host:port/path`, here or for all")
        }
        let work = work(reader, name)
        var group = ClientGroup(name, 0, target, work.behaviour)
        group.arrivalsPerSecond = reader.number("arrival-rate", above: 0, upTo: 1e7)
        group.backoff = backoff(reader)
        if let backoff = work.backoff {
            if let node = reader.value("reconnect") {
                reader.refuse(node, "reconnect", "remove it: clients that churn come back after their `pause`")
            }
            group.backoff = backoff
        }
        if let count = reader.value("count"), let weight = reader.value("weight") {
            problems.add(
                count.line > weight.line ? count : weight, "\(reader.place)count and weight are given both; remove one")
        }
        if reader.value("count") != nil {
            return (group, .count(reader.integer("count", 1...Self.clientCountMax) ?? 1))
        }
        return (group, .weight(reader.number("weight", above: 0, upTo: 1e6) ?? 1))
    }

    private func work(_ reader: SectionReader, _ name: String) -> Work {
        let flow = reader.value("flow")
        let work = reader.value("work")
        switch (flow, work) {
        case (let flow?, nil):
            var flowReader = FlowReader(group: name, place: reader.place, problems)
            flowReader.read(flow)
            if let node = reader.value("replies") { flowReader.readReplies(node) }
            var plan = flowReader.plan
            plan.ignoresUnexpected = reader.flag("ignore-unexpected") ?? !plan.hasExpectations
            if let node = reader.value("lifetime") {
                plan.lifetime = DistributionText(node, "\(reader.place)lifetime", .seconds, problems).map(
                    ThinkTime.init)
            }
            return Work(.script(plan))
        case (nil, let work?):
            for key in ["ignore-unexpected", "lifetime", "replies"] where reader.value(key) != nil {
                problems.add(reader.value(key) ?? work, "\(reader.place)\(key) is for groups with a flow; remove it")
            }
            return WorkReader.read(work, reader.place, problems) ?? Work(.idle)
        case (let flow?, _?):
            problems.add(flow, "\(reader.place)flow and work are given both; remove one")
        case (nil, nil):
            problems.add(reader.node, "\(reader.place)flow is missing; write a list of steps, or `work: idle`")
        }
        return Work(.idle)
    }

    private func backoff(_ reader: SectionReader) -> Backoff? {
        guard let node = reader.value("reconnect") else { return nil }
        switch node.scalar {
        case "no", "false", "off", "never": return nil
        case "phoenix": return .phoenix
        case "socketio", "socket.io": return .socketio
        case "centrifuge": return .centrifuge
        case let text?:
            if let seconds = Quantity.seconds(text), seconds <= 86_400 { return .constant(seconds) }
        case nil: break
        }
        reader.refuse(node, "reconnect", "use never, phoenix, socketio, centrifuge, or a time as in 500ms")
        return nil
    }

    /// Groups with a count have it; the others share what is left of `clients`, by weight.
    private func counts(_ shares: [Share], _ node: YAMLNode) -> [Int] {
        let clientCount = reader.integer("clients", 1...Self.clientCountMax)
        var (given, weights) = (0, 0.0)
        for share in shares {
            switch share {
            case .count(let count): given += count
            case .weight(let weight): weights += weight
            }
        }
        guard given <= Self.clientCountMax else {
            problems.add(node, "the groups have \(given) clients together; use at most \(Self.clientCountMax)")
            return []
        }
        guard weights > 0 else {
            if let clientCount, clientCount != given, let clients = reader.value("clients") {
                problems.add(clients, "clients is \(clientCount), but the groups' counts are \(given) together")
            }
            return shares.map { if case .count(let count) = $0 { count } else { 0 } }
        }
        guard let clientCount else {
            if reader.value("clients") == nil {
                problems.add(
                    reader.node, "clients is missing; write how many there are, or give each group a count")
            }
            return []
        }
        guard clientCount >= given else {
            if let clients = reader.value("clients") {
                problems.add(clients, "clients is \(clientCount), less than the groups' counts, \(given) together")
            }
            return []
        }
        return Self.divide(clientCount - given, shares, weights)
    }

    /// By largest remainder: the sum is exact.
    private static func divide(_ total: Int, _ shares: [Share], _ weights: Double) -> [Int] {
        var counts: [Int] = []
        var remainders: [(index: Int, part: Double)] = []
        for (index, share) in shares.enumerated() {
            switch share {
            case .count(let count): counts.append(count)
            case .weight(let weight):
                let exact = Double(total) * weight / weights
                counts.append(Int(exact))
                remainders.append((index, exact - exact.rounded(.down)))
            }
        }
        var left = total
        for (index, _) in remainders { left -= counts[index] }
        remainders.sort { ($0.part, -$0.index) > ($1.part, -$1.index) }
        for (index, _) in remainders.prefix(max(left, 0)) { counts[index] += 1 }
        return counts
    }

    /// A group without clients for each name that steps measure under: a line of its own in every report.
    private func addMeasureGroups(_ plan: inout LoadPlan) {
        for index in plan.groups.indices {
            guard case .script(var script) = plan.groups[index].behaviour else { continue }
            for name in script.measureNames {
                let full = "\(plan.groups[index].name)/\(name)"
                if plan.groups.contains(where: { $0.name == full }), let node = reader.value("groups") {
                    problems.add(node, "group '\(Printable.short(full))' has the name of a measurement; use another")
                }
                script.measureGroups.append(plan.groups.count)
                plan.groups.append(
                    ClientGroup(full, 0, plan.groups[index].target, .idle))
            }
            plan.groups[index].behaviour = .script(script)
        }
    }
}
