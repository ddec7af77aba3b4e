// SPDX-License-Identifier: Apache-2.0

extension ScenarioFile {
    /// What would be run, for a person.
    package var words: String {
        var lines = ["\(path): \(plan.clientCount) clients in \(workGroups.count) groups"]
        let duration = plan.durationSeconds.map(Quantity.duration) ?? "until Ctrl-C"
        let begin = plan.connectsFirst ? "once all are connected" : "as they connect"
        lines.append(
            "measured: \(duration), after \(Quantity.duration(plan.warmupSeconds)) of warm-up, \(begin); "
                + "a step of the timeline each \(Quantity.duration(plan.intervalSeconds)); "
                + "last answers are waited for \(Quantity.duration(plan.endTimeoutSeconds))")
        var machines = "at most \(plan.connectingCountMax) connections under way at a time; "
        machines += plan.schedulerCount == 0 ? "a scheduler for each core" : "\(plan.schedulerCount) schedulers"
        if let count = options.workerCount { machines += "; \(count) worker processes" }
        if !options.agents.isEmpty { machines += "; agents \(options.agents.joined(separator: ", "))" }
        lines.append(machines)
        lines += options.failIf.map { "fails if \($0)" }
        for (index, group) in plan.groups.enumerated() where workGroups.contains(index) { lines += words(group) }
        return lines.map { Printable.text($0) + "\n" }.joined()
    }

    /// Indices of the groups that have clients, or could have: not those of named measurements.
    private var workGroups: [Int] {
        let measures = plan.groups.flatMap { group in
            if case .script(let script) = group.behaviour { script.measureGroups } else { [Int]() }
        }
        return plan.groups.indices.filter { !measures.contains($0) }
    }

    private func words(_ group: ClientGroup) -> [String] {
        let target = group.target
        var first = "group \(group.name): \(group.clientCount) clients to \(target.urls.joined(separator: ", "))"
        if !target.headers.isEmpty { first += "; \(target.headers.count) headers" }
        if !target.subprotocols.isEmpty { first += "; subprotocols \(target.subprotocols.joined(separator: ", "))" }
        if !target.sourceAddresses.isEmpty { first += "; from \(target.sourceAddresses.joined(separator: ", "))" }
        if let file = target.caFile { first += "; certificates by \(file)" }
        if target.isInsecure { first += "; any certificate" }
        if target.isCompressed { first += "; compressed" }
        if let rate = group.arrivalsPerSecond { first += "; \(Quantity.text(rate)) arrive each second" }
        first += group.backoff.map { "; they come back (\(PlanWords.words($0)))" } ?? "; they do not come back"
        switch group.behaviour {
        case .idle: return [first, "  hold their connections"]
        case .paced, .churn, .heartbeat: return [first, "  \(PlanWords.words(group.behaviour))"]
        case .publish(let plan):
            return [first, "  \(PlanWords.words(group.behaviour)); rooms: \(plan.roomCount)"]
        case .subscribe(let plan):
            return [first, "  to \(plan.name): \(PlanWords.words(group.behaviour))"]
        case .echo(let plan):
            return [
                first, "  echo: \(plan.size.words), \(plan.inFlight) in flight, \(plan.isText ? "text" : "binary")",
            ]
        case .script(let script):
            var lines = [first]
            if let lifetime = script.lifetime { lines.append("  live for \(lifetime.words)") }
            if script.ignoresUnexpected { lines.append("  pass over messages that are not expected") }
            return lines + script.words
        }
    }
}

extension ScriptPlan {
    fileprivate var words: [String] {
        var lines = replies.map { reply in
            "  whenever \(words(reply.conditions).joined(separator: " and ")) comes, \(words(.send(reply.send)))"
        }
        var depth = 1
        for step in steps {
            if case .loopEnd = step {
                depth -= 1
                continue
            }
            lines.append(String(repeating: "  ", count: depth) + words(step))
            if case .loop = step { depth += 1 }
        }
        return lines
    }

    private func words(_ step: ScriptStep) -> String {
        switch step {
        case .send(let step):
            let kind = step.isText ? "text" : "binary"
            switch step.payload {
            case .generated(let size): return "send \(kind), \(size.words)"
            case .template(let template):
                if let literal = template.literal {
                    return "send \(kind), \(literal.count) bytes: \(Self.sample(literal))"
                }
                return "send \(kind): \(words(template))"
            }
        case .expect(let step): return words(step)
        case .expectClose(let step): return words(step)
        case .think(let time): return "think \(time.words)"
        case .loop(_, let count, _): return count.map { "repeat \($0) times:" } ?? "repeat until the end:"
        case .loopEnd: return ""
        case .close(let code, let reason): return "close with \(code)\(reason.isEmpty ? "" : " (\(reason))")"
        case .waitForBegin: return "wait until the work begins for all"
        }
    }

    private func words(_ step: ExpectStep) -> String {
        var parts = words(step.conditions)
        if parts.isEmpty { parts = ["any message"] }
        var text = "expect \(parts.joined(separator: " and ")) within \(Quantity.duration(step.timeoutSeconds))"
        for capture in step.captures { text += "; keep \(capture.path) as \(captureNames[capture.slot])" }
        return text + words(step.measure)
    }

    private func words(_ step: ExpectCloseStep) -> String {
        var text = "expect the server to close"
        if let code = step.code { text += " with \(code)" }
        if let reason = step.reason { text += ", '\(words(reason))'," }
        return text + " within \(Quantity.duration(step.timeoutSeconds))" + words(step.measure)
    }

    private func words(_ measure: ExpectStep.Measure) -> String {
        switch measure {
        case .nothing: "; not measured"
        case .ofGroup: ""
        case .named(let index): "; measured as \(measureNames[index])"
        }
    }

    private func words(_ conditions: [ExpectStep.Condition]) -> [String] {
        conditions.map { condition in
            switch condition {
            case .echo: "what was sent"
            case .contains(let template): "a message with '\(words(template))'"
            case .equals(let template): "'\(words(template))'"
            case .matches(let index): "a match of \(patterns[index])"
            case .json(let path, let template): "\(path) '\(words(template))'"
            }
        }
    }

    private func words(_ template: ScriptTemplate) -> String {
        template.pieces.map { piece in
            switch piece {
            case .literal(let bytes): Self.sample(bytes)
            case .client: "{{client}}"
            case .attempt: "{{attempt}}"
            case .sequence: "{{seq}}"
            case .milliseconds: "{{time_ms}}"
            case .random(let least, let most): "{{random \(least) \(most)}}"
            case .uuid: "{{uuid}}"
            case .captured(let slot): "{{\(captureNames[slot])}}"
            }
        }.joined()
    }

    private static func sample(_ bytes: [UInt8]) -> String {
        Printable.short(String(decoding: bytes.prefix(400), as: UTF8.self), 80)
    }
}

extension SizeDistribution {
    fileprivate var words: String {
        switch self {
        case .fixed(let byteCount): "\(byteCount) bytes"
        case .uniform(let least, let most): "\(least) to \(most) bytes"
        case .exponential(let mean, let most): "\(Quantity.text(mean)) bytes on average (exponential), at most \(most)"
        case .lognormal(let median, let sigma, let most):
            "\(Quantity.text(median)) bytes in the median (lognormal, sigma \(Quantity.text(sigma))), at most \(most)"
        case .choice(let sizes): sizes.map { "\($0.byteCount)" }.joined(separator: " or ") + " bytes"
        }
    }
}

extension ThinkTime {
    fileprivate var words: String {
        switch self {
        case .constant(let seconds): Quantity.duration(seconds)
        case .uniform(let least, let most): "\(Quantity.duration(least)) to \(Quantity.duration(most))"
        case .exponential(let mean, let most):
            "\(Quantity.duration(mean)) on average (exponential), at most \(Quantity.duration(most))"
        case .lognormal(let median, let sigma, let most):
            "\(Quantity.duration(median)) in the median (lognormal, sigma \(Quantity.text(sigma))), at most "
                + Quantity.duration(most)
        case .choice(let times): times.map { Quantity.duration($0.seconds) }.joined(separator: " or ")
        }
    }
}
