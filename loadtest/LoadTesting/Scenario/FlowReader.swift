// SPDX-License-Identifier: Apache-2.0

internal import Roost

/// Reads a group's `flow:` into a flat program.
struct FlowReader {
    private let problems: ProblemList
    private let place: String
    private var templates: TemplateReader
    private(set) var plan = ScriptPlan()

    /// Of one group, nested ones included.
    private static let stepCountMax = 10_000
    private static let nestingMax = 8
    private static let captureCountMax = 100
    private static let replyCountMax = 32
    /// Messages that a client may send without waiting for anything.
    private static let burstCountMax = 10_000
    private static let verbs = ["send", "expect", "expect-close", "think", "repeat", "close", "wait"]

    init(group: String, place: String, _ problems: ProblemList) {
        self.problems = problems
        self.place = place
        templates = TemplateReader(group: group)
    }

    /// What a part of a flow does before it waits.
    private struct Extent {
        var canWait = false
        var sendCount = 0
    }

    mutating func read(_ node: YAMLNode) { _ = steps(node, "flow", depth: 0) }

    private mutating func steps(_ node: YAMLNode, _ name: String, depth: Int) -> Extent {
        var extent = Extent()
        guard case .list(let elements) = node.content, !elements.isEmpty else {
            problems.add(node, "\(place)\(name) is \(node.shown); write a list of steps, as in `- send: hello`")
            return extent
        }
        guard depth <= Self.nestingMax else {
            problems.add(node, "\(place)steps are nested more than \(Self.nestingMax) deep; flatten them")
            extent.canWait = true
            return extent
        }
        var before: ScriptStep?
        for element in elements {
            guard plan.steps.count < Self.stepCountMax else {
                problems.add(element, "\(place)the flow has more than \(Self.stepCountMax) steps; use repeat")
                return extent
            }
            var part = Extent()
            let begin = plan.steps.count
            step(element, depth: depth, &part)
            let step = begin < plan.steps.count ? plan.steps[begin] : nil
            if let step, let before { checkReached(step, element, after: before) }
            before = step
            extent.sendCount = part.canWait ? part.sendCount : extent.sendCount + part.sendCount
            extent.canWait = extent.canWait || part.canWait
            if extent.sendCount > Self.burstCountMax {
                problems.add(
                    element,
                    "\(place)more than \(Self.burstCountMax) messages are sent without a wait; "
                        + "put a think or an expect between them")
                extent.sendCount = 0
            }
        }
        return extent
    }

    private func checkReached(_ step: ScriptStep, _ node: YAMLNode, after before: ScriptStep) {
        switch before {
        case .close, .expectClose:
            problems.add(node, "\(place)this step is never done: the flow is over with the close before it; remove it")
        case .loop(_, count: nil, _) where step != .close(code: 1000, reason: ""):
            problems.add(
                node,
                "\(place)this step is never done: the repeat before it goes on until the run ends; remove it, or give "
                    + "the repeat a count")
        case .send, .expect, .think, .loop, .loopEnd, .waitForBegin: break
        }
    }

    private mutating func step(_ node: YAMLNode, depth: Int, _ extent: inout Extent) {
        if node.scalar == "close" { return close(node, &extent) }
        if node.scalar == "expect-close" { return expectClose(node, line: node.line, &extent) }
        guard case .section(let entries) = node.content, entries.count == 1, let entry = entries.first else {
            let verbs = Self.verbs.joined(separator: ", ")
            if case .section(let entries) = node.content, entries.count > 1 {
                let keys = entries.prefix(3).map { Printable.short($0.key) }.joined(separator: ", ")
                return problems.add(
                    node, "\(place)a step has the keys \(keys); write each as a step of its own, behind its own `- `")
            }
            return problems.add(node, "\(place)a step is \(node.shown); write one of \(verbs), as in `- send: hello`")
        }
        switch entry.key {
        case "send": send(entry, &extent)
        case "expect": expect(entry, &extent)
        case "expect-close": expectClose(entry.value, line: entry.line, &extent)
        case "think":
            extent.canWait = true
            if let text = DistributionText(entry.value, "\(place)think", .seconds, problems) {
                plan.steps.append(.think(ThinkTime(text)))
            }
        case "repeat": loop(entry, depth: depth, &extent)
        case "close": close(entry.value, &extent)
        case "wait": wait(entry.value, depth: depth, &extent)
        default:
            let hint = Nearest.hint(entry.key, among: Self.verbs)
            problems.add(
                line: entry.line, column: entry.column,
                "\(place)'\(Printable.short(entry.key))' is no step\(hint)")
        }
    }

    // MARK: Sending

    private mutating func send(_ entry: YAMLNode.Entry, _ extent: inout Extent) {
        extent.sendCount += 1
        if let step = sendStep(entry.value, line: entry.line) { plan.steps.append(.send(step)) }
    }

    private func sendStep(_ value: YAMLNode, line: Int) -> SendStep? {
        if let text = value.scalar {
            return template(text, .text, value, "send").map {
                SendStep(line: line, isText: true, payload: .template($0))
            }
        }
        let known = ["text", "binary", "hex", "base64", "size", "kind"]
        guard
            let reader = SectionReader(
                value, "\(place)send: ", known: known, problems, example: "send: {text: hello}")
        else { return nil }
        let kinds = reader.keys.filter { known.contains($0) && $0 != "kind" }
        guard kinds.count == 1, let kind = kinds.first, let node = reader.value(kind) else {
            // Braces make JSON text a section.
            let hint = reader.keys.contains(where: known.contains) ? "" : "; write JSON text in quotes: '{\"a\": 1}'"
            problems.add(value, "\(place)send needs one of text, binary, hex, base64, size\(hint)")
            return nil
        }
        if kind == "size" { return generated(node, reader, line: line) }
        if let node = reader.value("kind") {
            reader.refuse(node, "kind", "leave it away: it is for `size`; text sends text, the others binary messages")
        }
        let encoding: TemplateReader.Encoding =
            kind == "hex" ? .hexadecimal : kind == "base64" ? .base64 : .text
        guard let text = node.scalar else {
            reader.refuse(node, kind, "use text")
            return nil
        }
        return template(text, encoding, node, "send: \(kind)").map {
            SendStep(line: line, isText: kind == "text", payload: .template($0))
        }
    }

    private func generated(_ node: YAMLNode, _ reader: SectionReader, line: Int) -> SendStep? {
        var isText = true
        if let kind = reader.value("kind") {
            switch kind.scalar {
            case "text": break
            case "binary": isText = false
            default: reader.refuse(kind, "kind", "use text or binary")
            }
        }
        return DistributionText(node, "\(place)send: size", .bytes, problems).map {
            SendStep(line: line, isText: isText, payload: .generated(SizeDistribution($0)))
        }
    }

    /// What is answered at any time. After the flow: its captured values may stand in the answers.
    mutating func readReplies(_ node: YAMLNode) {
        guard case .list(let elements) = node.content, (1...Self.replyCountMax).contains(elements.count) else {
            let example = "- {when: {equals: \"2\"}, send: \"3\"}"
            return problems.add(
                node, "\(place)replies is \(node.shown); write a list of 1...\(Self.replyCountMax), as in `\(example)`")
        }
        for element in elements {
            let example = "{when: {equals: \"2\"}, send: \"3\"}"
            guard
                let reader = SectionReader(
                    element, "\(place)replies: ", known: ["when", "send"], problems, example: example)
            else { continue }
            guard let when = reader.value("when"), let send = reader.entry("send") else {
                problems.add(element, "\(place)replies: an element needs when and send, as in `\(example)`")
                continue
            }
            let known = ["equals", "contains", "matches", "json"]
            guard
                let conditions = SectionReader(
                    when, "\(place)replies: when: ", known: known, problems, example: "{equals: \"2\"}")
            else { continue }
            if !conditions.keys.contains(where: known.contains) {
                problems.add(
                    when, "\(place)replies: when has no condition; use one of \(known.joined(separator: ", "))")
            }
            var expectation = ExpectStep(
                line: send.line, conditions: [], captures: [], timeoutSeconds: 0, measure: .nothing)
            self.conditions(conditions, &expectation)
            guard let step = sendStep(send.value, line: send.line) else { continue }
            plan.replies.append(ScriptReply(conditions: expectation.conditions, send: step))
        }
    }

    private func template(
        _ text: String, _ encoding: TemplateReader.Encoding, _ node: YAMLNode, _ name: String
    ) -> ScriptTemplate? {
        do throws(TemplateReader.Refusal) {
            return try templates.read(text, encoding)
        } catch {
            problems.add(node, "\(place)\(name) \(error.message)")
            return nil
        }
    }

    // MARK: Expecting

    private mutating func expect(_ entry: YAMLNode.Entry, _ extent: inout Extent) {
        extent.canWait = true
        var step = ExpectStep(line: entry.line, conditions: [], captures: [], timeoutSeconds: 10, measure: .ofGroup)
        if let word = entry.value.scalar {
            switch word {
            case "any": break
            case "echo": step.conditions = [.echo]
            default:
                problems.add(
                    entry.value,
                    "\(place)expect is \(entry.value.shown); use echo, any, or a section as in {contains: hello}")
            }
            plan.steps.append(.expect(step))
            return
        }
        let known = ["is", "contains", "equals", "json", "matches", "capture", "timeout", "measure"]
        guard
            let reader = SectionReader(
                entry.value, "\(place)expect: ", known: known, problems, example: "expect: {contains: hello}")
        else { return }
        switch reader.value("is")?.scalar {
        case nil where reader.value("is") == nil: break
        case "any": break
        case "echo": step.conditions.append(.echo)
        default: if let node = reader.value("is") { reader.refuse(node, "is", "use echo or any") }
        }
        conditions(reader, &step)
        if let node = reader.value("capture") { captures(node, reader, &step) }
        step.timeoutSeconds = reader.seconds("timeout", isPositive: true, most: 86_400) ?? step.timeoutSeconds
        if let node = reader.value("measure") { step.measure = measure(node, reader) }
        plan.steps.append(.expect(step))
    }

    private mutating func conditions(_ reader: SectionReader, _ step: inout ExpectStep) {
        for key in ["contains", "equals"] {
            guard let node = reader.value(key) else { continue }
            guard let text = node.scalar else {
                reader.refuse(node, key, "use text")
                continue
            }
            guard let template = template(text, .text, node, "expect: \(key)") else { continue }
            step.conditions.append(key == "contains" ? .contains(template) : .equals(template))
        }
        if let pattern = reader.text("matches"), let node = reader.value("matches") {
            do throws(Pattern.Refusal) {
                _ = try Pattern(pattern)
                if !plan.patterns.contains(pattern) { plan.patterns.append(pattern) }
                step.conditions.append(.matches(plan.patterns.firstIndex(of: pattern) ?? 0))
            } catch {
                reader.refuse(node, "matches", error.message)
            }
        }
        guard let node = reader.value("json") else { return }
        guard case .section(let entries) = node.content, !entries.isEmpty else {
            return reader.refuse(node, "json", "write paths and their values, as in {.status: ok}")
        }
        for entry in entries {
            guard let path = JSONPath(entry.key) else {
                problems.add(line: entry.line, column: entry.column, Self.badPath(entry.key, "\(place)expect: json: "))
                continue
            }
            guard let text = entry.value.scalar else {
                reader.refuse(entry.value, "json: \(entry.key)", "use a text, a number, true, false or null")
                continue
            }
            guard let template = template(text, .text, entry.value, "expect: json: \(entry.key)") else { continue }
            step.conditions.append(.json(path, template))
        }
    }

    private static func badPath(_ path: String, _ place: String) -> String {
        "\(place)'\(Printable.short(path))' is no path; write it as in .payload.token or [4].status"
    }

    private mutating func captures(_ node: YAMLNode, _ reader: SectionReader, _ step: inout ExpectStep) {
        let elements: [YAMLNode]
        if case .list(let list) = node.content { elements = list } else { elements = [node] }
        for element in elements {
            guard
                let capture = SectionReader(
                    element, "\(reader.place)capture: ", known: ["name", "json"], problems,
                    example: "capture: {name: token, json: .token}")
            else { continue }
            guard let name = capture.text("name"), let text = capture.text("json") else {
                for key in ["name", "json"] where capture.value(key) == nil {
                    problems.add(element, "\(capture.place)\(key) is missing; write {name: token, json: .token}")
                }
                continue
            }
            let isName = name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "_-".contains($0)) }
            guard isName, name.count <= 64, let nameNode = capture.value("name") else {
                problems.add(
                    element, "\(capture.place)name is '\(Printable.short(name))'; use letters, digits, - and _")
                continue
            }
            guard let path = JSONPath(text) else {
                problems.add(capture.value("json") ?? element, Self.badPath(text, "\(capture.place)json: "))
                continue
            }
            guard let slot = slot(name, nameNode) else { continue }
            step.captures.append(ExpectStep.Capture(slot: slot, path: path))
        }
    }

    private mutating func slot(_ name: String, _ node: YAMLNode) -> Int? {
        if let slot = templates.captures[name] { return slot }
        if TemplateReader.names.contains(name) {
            problems.add(node, "\(place)capture: name is '\(name)', which templates have already; use another")
            return nil
        }
        guard plan.captureNames.count < Self.captureCountMax else {
            problems.add(node, "\(place)more than \(Self.captureCountMax) names are captured")
            return nil
        }
        plan.captureNames.append(name)
        templates.captures[name] = plan.captureNames.count - 1
        return plan.captureNames.count - 1
    }

    private mutating func measure(_ node: YAMLNode, _ reader: SectionReader) -> ExpectStep.Measure {
        switch node.scalar {
        case "true", "yes", "on": return .ofGroup
        case "false", "no", "off": return .nothing
        case let name? where !name.isEmpty && name.count <= 64:
            if let index = plan.measureNames.firstIndex(of: name) { return .named(index) }
            guard plan.measureNames.count < 32 else {
                reader.refuse(node, "measure", "a group has at most 32 names")
                return .ofGroup
            }
            plan.measureNames.append(name)
            return .named(plan.measureNames.count - 1)
        default:
            reader.refuse(node, "measure", "use true, false or a name of at most 64 letters")
            return .ofGroup
        }
    }

    // MARK: Loops and the rest

    private mutating func loop(_ entry: YAMLNode.Entry, depth: Int, _ extent: inout Extent) {
        guard
            let reader = SectionReader(
                entry.value, "\(place)repeat: ", known: ["count", "flow"], problems,
                example: "repeat: {count: 10, flow: [...]}")
        else { return }
        guard let body = reader.value("flow") else {
            return problems.add(entry.value, "\(place)repeat has no flow; write the steps to repeat under it")
        }
        var count: Int?
        if let node = reader.value("count"), node.scalar != "forever" {
            guard let number = node.scalar.flatMap(Quantity.count), (0...1_000_000_000).contains(number) else {
                return reader.refuse(node, "count", "use forever, or a whole number in 0...1000000000")
            }
            count = number
        }
        let begin = plan.steps.count
        plan.steps.append(.loop(depth, count: count, end: 0))
        plan.loopDepth = max(plan.loopDepth, depth + 1)
        let inner = steps(body, "repeat: flow", depth: depth + 1)
        plan.steps.append(.loopEnd(depth, start: begin + 1))
        plan.steps[begin] = .loop(depth, count: count, end: plan.steps.count)
        if count == nil, !inner.canWait {
            problems.add(
                entry.value, "\(place)repeat goes on for ever without a wait; put a think or an expect into it")
        }
        if !inner.canWait {
            // Steps without a wait, however many: the client would do nothing else, and its server's neither.
            let turns = count ?? 0
            let product = max(inner.sendCount, 1).multipliedReportingOverflow(by: turns)
            extent.sendCount += product.overflow ? Int(UInt32.max) : min(product.partialValue, Int(UInt32.max))
        } else {
            extent.sendCount += inner.sendCount
        }
        extent.canWait = extent.canWait || inner.canWait && count != 0
    }

    private mutating func close(_ node: YAMLNode, _ extent: inout Extent) {
        extent.canWait = true
        if node.scalar == "close" || node.scalar == "" {
            plan.steps.append(.close(code: 1000, reason: ""))
            return
        }
        var (code, reason): (Int?, String?)
        if case .section = node.content {
            guard
                let reader = SectionReader(
                    node, "\(place)close: ", known: ["code", "reason"], problems, example: "close: {code: 1000}")
            else { return }
            code = reader.integer("code", 0...65_535) ?? 1000
            reason = reader.text("reason")
        } else {
            code = node.scalar.flatMap(Quantity.count)
        }
        guard let code, let short = UInt16(exactly: code), CloseCode(rawValue: short).isValidOnWire else {
            let shown = code.map { "\($0)" } ?? node.shown
            return problems.add(
                node, "\(place)close is \(shown); use a code that may be sent: 1000-1003, 1007-1014 or 3000-4999")
        }
        if let reason, reason.utf8.count > 123 {
            problems.add(node, "\(place)close: reason has \(reason.utf8.count) bytes; use at most 123 (RFC 6455 §5.5)")
        }
        plan.steps.append(.close(code: short, reason: reason ?? ""))
    }

    private mutating func expectClose(_ node: YAMLNode, line: Int, _ extent: inout Extent) {
        extent.canWait = true
        var step = ExpectCloseStep(line: line, code: nil, reason: nil, timeoutSeconds: 10, measure: .nothing)
        if case .section = node.content {
            let known = ["code", "reason", "timeout", "measure"]
            guard
                let reader = SectionReader(
                    node, "\(place)expect-close: ", known: known, problems, example: "expect-close: {code: 4001}")
            else { return }
            if let code = reader.value("code") { step.code = awaitedCode(code, "expect-close: code") }
            if let text = reader.text("reason"), let reason = reader.value("reason") {
                step.reason = template(text, .text, reason, "expect-close: reason")
            }
            step.timeoutSeconds = reader.seconds("timeout", isPositive: true, most: 86_400) ?? step.timeoutSeconds
            if let node = reader.value("measure") { step.measure = measure(node, reader) }
        } else if node.scalar != "expect-close", node.scalar != "" {
            step.code = awaitedCode(node, "expect-close")
        }
        plan.steps.append(.expectClose(step))
    }

    private func awaitedCode(_ node: YAMLNode, _ name: String) -> UInt16? {
        if node.scalar == "any" { return nil }
        if let code = node.scalar.flatMap(Quantity.count).flatMap({ UInt16(exactly: $0) }),
            CloseCode(rawValue: code).isValidOnWire || code == 1005 || code == 1006
        {
            return code
        }
        problems.add(
            node,
            "\(place)\(name) is \(node.shown); use any, a code that may be sent (1000-1003, 1007-1014 or 3000-4999), "
                + "1005 for a close without a code, or 1006 for an end without a close")
        return nil
    }

    private mutating func wait(_ node: YAMLNode, depth: Int, _ extent: inout Extent) {
        guard node.scalar == "begin" else {
            return problems.add(node, "\(place)wait is \(node.shown); use begin: the work begins for all clients")
        }
        if depth > 0 {
            problems.add(node, "\(place)wait: begin stands in a repeat, and happens once; put it before")
        }
        extent.canWait = true
        plan.steps.append(.waitForBegin)
    }
}

extension ThinkTime {
    init(_ text: DistributionText) {
        let values = text.values
        switch text.kind {
        case .fixed: self = .constant(values[0])
        case .uniform: self = .uniform(values[0], values[1])
        case .exponential: self = .exponential(mean: values[0], max: values[1])
        case .lognormal: self = .lognormal(median: values[0], sigma: values[1], max: values[2])
        case .choice: self = .choice(zip(values, text.weights).map { WeightedTime(seconds: $0, weight: $1) })
        }
    }
}
