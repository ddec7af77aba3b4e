// SPDX-License-Identifier: Apache-2.0

extension RunRecord {
    /// What a terminal is told at the end.
    package var text: String {
        var text = "\(plan.scenario.rawValue)\n"
        for (group, measure) in zip(plan.groups, measured) {
            let latency = Latency(measure.distributions.latency)
            let counters = measure.counters
            text += "  \(group.name): \(whole[0].counters.opened) opened, \(counters.completed) completed, "
            text += "\(Int(Double(counters.completed) / max(measuredSeconds, 1e-9)))/s\n"
            text += ReportParts.latency("latency", latency)
            text += ReportParts.latency("lag", Latency(measure.distributions.lag))
        }
        for finding in findings { text += "  \(finding)\n" }
        for warning in warnings.dropFirst() { text += "  warning: \(warning)\n" }
        return text + ReportParts.ending(warnings.first, errors)
    }
}
