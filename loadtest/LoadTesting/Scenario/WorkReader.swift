// SPDX-License-Identifier: Apache-2.0

/// What a group's `work:` comes to.
struct Work {
    var behaviour: Behaviour
    /// Of clients of which coming back is the work.
    var backoff: Backoff?

    init(_ behaviour: Behaviour, backoff: Backoff? = nil) {
        self.behaviour = behaviour
        self.backoff = backoff
    }
}

/// Reads a group's `work:`, one of the scenarios that have a command of their own.
enum WorkReader {
    /// A line for each.
    private static let works: [(name: String, read: @Sendable (YAMLNode?, String, ProblemList) -> Work?)] = [
        ("idle", { idle($0, $1, $2) }),
        ("echo", { echo($0, $1, $2).map { Work(.echo($0)) } }),
        ("rate", { rate($0, $1, $2).map { Work(.paced($0)) } }),
        ("publish", { publish($0, $1, $2).map { Work(.publish($0)) } }),
        ("subscribe", { subscribe($0, $1, $2).map { Work(.subscribe($0)) } }),
        ("churn", { churn($0, $1, $2) }),
    ]

    /// `work: idle`, `work: {echo: {size: 64}}`.
    static func read(_ node: YAMLNode, _ place: String, _ problems: ProblemList) -> Work? {
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
        // `echo:` with nothing behind it is `echo`.
        if settings?.scalar == "" { settings = nil }
        if settings == nil, name == "rate" {
            problems.add(node, "\(place)work: rate: per-second is missing; write {rate: {per-second: 100}}")
        }
        return work.read(settings, place + "work: \(name): ", problems)
    }

    private static func idle(_ node: YAMLNode?, _ place: String, _ problems: ProblemList) -> Work? {
        if let node {
            problems.add(node, "\(place.dropLast(2)) is \(node.shown); write `work: idle`: it has no settings")
        }
        return Work(.idle)
    }

    private static func echo(_ node: YAMLNode?, _ place: String, _ problems: ProblemList) -> EchoPlan? {
        var plan = EchoPlan(size: .fixed(64), inFlight: 1, isText: false)
        guard let node else { return plan }
        let known = ["size", "in-flight", "text"]
        guard let reader = SectionReader(node, place, known: known, problems, example: "{echo: {size: 64}}") else {
            return nil
        }
        plan.size = size(reader) ?? plan.size
        plan.inFlight = reader.integer("in-flight", 1...EchoPlan.inFlightMax) ?? plan.inFlight
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
        plan.size = size(reader) ?? plan.size
        plan.pacing = choice(reader, "pacing") ?? plan.pacing
        plan.isText = reader.flag("text") ?? plan.isText
        plan.awaitsAnswers = reader.flag("answers") ?? plan.awaitsAnswers
        return plan
    }

    private static func churn(_ node: YAMLNode?, _ place: String, _ problems: ProblemList) -> Work? {
        var plan = ChurnPlan(messageCount: 1, size: .fixed(64))
        guard let node else { return Work(.churn(plan), backoff: .pause(0)) }
        let known = ["messages", "size", "text", "pause", "ending"]
        guard let reader = SectionReader(node, place, known: known, problems, example: "{churn: {messages: 1}}") else {
            return nil
        }
        plan.messageCount = reader.integer("messages", 0...1_000_000_000) ?? plan.messageCount
        plan.size = size(reader) ?? plan.size
        plan.isText = reader.flag("text") ?? plan.isText
        plan.ending = choice(reader, "ending") ?? plan.ending
        return Work(.churn(plan), backoff: .pause(reader.seconds("pause", isPositive: false, most: 86_400) ?? 0))
    }

    // MARK: Rooms

    /// The count of publishers is the group's, and not known yet; see `RoomPlanner`.
    private static func publish(_ node: YAMLNode?, _ place: String, _ problems: ProblemList) -> FanOutPlan? {
        var plan = FanOutPlan(publisherCount: 1, pace: .inFlight(1))
        guard let node else { return plan }
        let known = [
            "rooms", "size", "text", "per-second", "in-flight", "subscribe-message", "publish-template", "settle",
            "await",
        ]
        let example = "{publish: {rooms: 10, per-second: 500}}"
        guard let reader = SectionReader(node, place, known: known, problems, example: example) else { return nil }
        plan.roomCount = reader.integer("rooms", 1...1_000_000) ?? plan.roomCount
        let sizes = DeliveryStamp.byteCount...FanOutPlan.byteCountMax
        plan.byteCount = byteCount(reader, "size", sizes, ": a message says whose it is") ?? plan.byteCount
        plan.isText = reader.flag("text") ?? plan.isText
        plan.pace = reader.integer("in-flight", 1...FanOutPlan.inFlightMax).map { .inFlight($0) } ?? plan.pace
        if let rate = reader.number("per-second", above: 0, upTo: 10_000_000) { plan.pace = .rate(rate) }
        if let rate = reader.value("per-second"), reader.value("in-flight") != nil {
            reader.refuse(rate, "per-second", "remove it or in-flight: one of them says when the next message is sent")
        }
        plan.subscribeMessage = reader.text("subscribe-message")
        plan.publishTemplate = reader.text("publish-template")
        for key in ["subscribe-message", "publish-template"] {
            if let node = reader.value(key), let text = node.scalar { _ = reader.hasNoPlaces(text, node, key) }
        }
        if let template = plan.publishTemplate, let node = reader.value("publish-template"),
            template.split(separator: "{payload}", omittingEmptySubsequences: false).count != 2
        {
            reader.refuse(node, "publish-template", "write {payload} into it, once: the place of the message")
        }
        plan.settleSeconds = reader.seconds("settle", isPositive: false, most: 3_600) ?? plan.settleSeconds
        plan.awaitSeconds = reader.seconds("await", isPositive: true, most: 3_600) ?? plan.awaitSeconds
        return plan
    }

    /// Its name is that of the group that publishes, or empty; the rest is that group's (`RoomPlanner`).
    private static func subscribe(_ node: YAMLNode?, _ place: String, _ problems: ProblemList) -> FanOutPlan? {
        var plan = FanOutPlan(publisherCount: 1, pace: .inFlight(1))
        plan.name = ""
        guard let node else { return plan }
        let example = "{subscribe: {to: speakers}}"
        guard let reader = SectionReader(node, place, known: ["to", "read-rate"], problems, example: example) else {
            return nil
        }
        plan.name = reader.text("to") ?? ""
        plan.readByteRate = byteCount(reader, "read-rate", 0...FanOutPlan.byteCountMax, " in a second")
        return plan
    }

    // MARK: Values

    private static func size(_ reader: SectionReader) -> SizeDistribution? {
        reader.value("size").flatMap { DistributionText($0, "\(reader.place)size", .bytes, reader.problems) }
            .map { SizeDistribution($0) }
    }

    private static func byteCount(
        _ reader: SectionReader, _ key: String, _ range: ClosedRange<Int>, _ remark: String
    ) -> Int? {
        guard let node = reader.value(key) else { return nil }
        if let value = node.scalar.flatMap(Quantity.byteCount), value <= Double(range.upperBound),
            value >= Double(range.lowerBound)
        {
            return Int(value)
        }
        reader.refuse(node, key, "use bytes in \(range.lowerBound)...\(range.upperBound)\(remark)")
        return nil
    }

    private static func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ reader: SectionReader, _ key: String
    ) -> Choice? {
        guard let node = reader.value(key) else { return nil }
        if let choice = node.scalar.flatMap(Choice.init(rawValue:)) { return choice }
        reader.refuse(node, key, "use one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
        return nil
    }
}
