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
        guard let reader = SectionReader(node, "", known: Self.keys, problems, example: "clients: 100") else {
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
        options.workerCount = reader.integer("workers", 1...1_024)
        options.agents = agents()
        options.failIf = reader.texts("fail-if")?.map(\.text) ?? []
        let target = target(reader, base: nil)
        plan.groups = groups(target)
        addMeasureGroups(&plan)
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
        for (url, node) in urls {
            do throws(ClientError) { _ = try WebSocketURL(url) } catch { reader.refuse(node, "url", "\(error)") }
        }
        target.headers += headers(reader)
        if let names = reader.texts("subprotocols") {
            target.subprotocols = names.map(\.text)
            for (name, node) in names where !name.utf8.allSatisfy(Self.isTokenByte) {
                reader.refuse(
                    node, "subprotocols", "use a token (RFC 9110 §5.6.2): letters, digits, - . _ and the like")
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

    private func groups(_ target: Target) -> [ClientGroup] {
        guard let node = reader.value("groups") else {
            problems.add(reader.node, "groups is missing; write a list of groups, each with a flow or work")
            return []
        }
        guard case .list(let elements) = node.content, (1...Self.groupCountMax).contains(elements.count) else {
            reader.refuse(node, "groups", "write a list of 1...\(Self.groupCountMax) groups")
            return []
        }
        var groups: [ClientGroup] = []
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
            shares.append(share)
        }
        // Where one could not be read, the sums say nothing.
        guard shares.count == elements.count else { return groups }
        let counts = counts(shares, node)
        for (group, count) in zip(groups, counts) where count == 0 {
            problems.add(
                node, "group '\(Printable.short(group.name))' has no client left by its weight; use more clients")
        }
        for index in groups.indices where index < counts.count { groups[index].clientCount = counts[index] }
        return groups
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
        if name.count > 64, let node = reader.value("name") { reader.refuse(node, "name", "use at most 64 letters") }
        let target = target(reader, base: base)
        if target.urls.isEmpty, reader.value("url") == nil, reader.value("urls") == nil {
            problems.add(
                reader.node, "\(reader.place)url is missing; write `url: ws://host:port/path`, here or for all")
        }
        var group = ClientGroup(name, 0, target, behaviour(reader, name))
        group.arrivalsPerSecond = reader.number("arrival-rate", above: 0, upTo: 1e7)
        group.backoff = backoff(reader)
        if let count = reader.value("count"), let weight = reader.value("weight") {
            problems.add(
                count.line > weight.line ? count : weight, "\(reader.place)count and weight are given both; remove one")
        }
        if reader.value("count") != nil {
            return (group, .count(reader.integer("count", 1...Self.clientCountMax) ?? 1))
        }
        return (group, .weight(reader.number("weight", above: 0, upTo: 1e6) ?? 1))
    }

    private func behaviour(_ reader: SectionReader, _ name: String) -> Behaviour {
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
            return .script(plan)
        case (nil, let work?):
            for key in ["ignore-unexpected", "lifetime", "replies"] where reader.value(key) != nil {
                problems.add(reader.value(key) ?? work, "\(reader.place)\(key) is for groups with a flow; remove it")
            }
            return WorkReader.read(work, reader.place, problems) ?? .idle
        case (let flow?, _?):
            problems.add(flow, "\(reader.place)flow and work are given both; remove one")
        case (nil, nil):
            problems.add(reader.node, "\(reader.place)flow is missing; write a list of steps, or `work: idle`")
        }
        return .idle
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
                script.measureGroups.append(plan.groups.count)
                plan.groups.append(
                    ClientGroup("\(plan.groups[index].name)/\(name)", 0, plan.groups[index].target, .idle))
            }
            plan.groups[index].behaviour = .script(script)
        }
    }
}

/// Reads a group's `work:`, one of the scenarios that have a command of their own.
enum WorkReader {
    /// A line for each.
    private static let works: [(name: String, read: @Sendable (YAMLNode?, String, ProblemList) -> Behaviour?)] = [
        ("idle", { _, _, _ in .idle }),
        ("echo", { echo($0, $1, $2).map(Behaviour.echo) }),
        ("rate", { rate($0, $1, $2).map(Behaviour.paced) }),
    ]

    /// `work: idle`, `work: {echo: {size: 64}}`.
    static func read(_ node: YAMLNode, _ place: String, _ problems: ProblemList) -> Behaviour? {
        let names = works.map(\.name)
        let name: String
        var settings: YAMLNode?
        switch node.content {
        case .scalar(let text): name = text
        case .section(let entries) where entries.count == 1:
            name = entries[0].key
            settings = entries[0].value
        case .section, .list:
            problems.add(node, "\(place)work is \(node.shown); write one of \(names.joined(separator: ", "))")
            return nil
        }
        guard let work = works.first(where: { $0.name == name }) else {
            problems.add(node, "\(place)work is '\(Printable.short(name))'\(Nearest.hint(name, among: names))")
            return nil
        }
        return work.read(settings, place + "work: \(name): ", problems)
    }

    private static func echo(_ node: YAMLNode?, _ place: String, _ problems: ProblemList) -> EchoPlan? {
        var plan = EchoPlan(size: .fixed(64), inFlight: 1, isText: false)
        guard let node else { return plan }
        let known = ["size", "in-flight", "text"]
        guard let reader = SectionReader(node, place, known: known, problems, example: "{echo: {size: 64}}") else {
            return nil
        }
        if let size = reader.value("size"), let text = DistributionText(size, "\(place)size", .bytes, problems) {
            plan.size = SizeDistribution(text)
        }
        plan.inFlight = reader.integer("in-flight", 1...65_536) ?? plan.inFlight
        plan.isText = reader.flag("text") ?? plan.isText
        return plan
    }

    private static func rate(_ node: YAMLNode?, _ place: String, _ problems: ProblemList) -> PacedPlan? {
        let known = ["per-second", "pacing", "size", "text", "answers"]
        guard let node,
            let reader = SectionReader(
                node, place, known: known, problems, example: "{rate: {per-second: 100, size: 64}}")
        else { return nil }
        guard let perSecond = reader.number("per-second", above: 0, upTo: 1e9) else {
            if reader.value("per-second") == nil {
                problems.add(node, "\(place)per-second is missing; write {rate: {per-second: 100}}")
            }
            return nil
        }
        var plan = PacedPlan(ratePerSecond: perSecond, size: .fixed(64))
        if let size = reader.value("size"), let text = DistributionText(size, "\(place)size", .bytes, problems) {
            plan.size = SizeDistribution(text)
        }
        if let text = reader.text("pacing") {
            let names = Pacing.allCases.map(\.rawValue)
            if let pacing = Pacing(rawValue: text) {
                plan.pacing = pacing
            } else if let value = reader.value("pacing") {
                reader.refuse(value, "pacing", "use one of \(names.joined(separator: ", "))")
            }
        }
        plan.isText = reader.flag("text") ?? plan.isText
        plan.awaitsAnswers = reader.flag("answers") ?? plan.awaitsAnswers
        return plan
    }
}
