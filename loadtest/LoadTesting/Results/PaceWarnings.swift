// SPDX-License-Identifier: Apache-2.0

internal import Histogram

// Where a schedule was not kept, and how far a ramp or a churn came.

extension RunRecord {
    /// Lag below this is the kernel's and the scheduler's own: no warning.
    private static let lagMin: UInt64 = 1_000_000
    /// Of a flow, whose latencies count from when a message left.
    private static let thinkLagMin: UInt64 = 10_000_000

    /// Where the load tester did not do what was due, when it was.
    package var paceWarnings: [String] {
        portWarnings
            + zip(plan.groups, zip(measured, whole)).flatMap { group, measures in
                let (measured, whole) = measures
                let name = plan.groups.count > 1 ? "\(group.name): " : ""
                return [lagWarning(measured.distributions, of: group), unsentWarning(whole.counters)].compactMap {
                    $0.map { name + $0 }
                }
            }
    }

    /// Ports of closed connections wait for a minute (RFC 9293 §3.6.1, TIME-WAIT) on the side that closed first.
    private var portWarnings: [String] {
        let hasChurn = plan.groups.contains { if case .churn = $0.behaviour { true } else { false } }
        // As `ConnectFailure` words it.
        let isOut = errors.contains {
            $0.kind.contains("no local port is left") || $0.kind.contains("all of its ports are in use")
        }
        guard hasChurn, isOut else { return [] }
        return [
            "this machine ran out of ports: the server leaves it to the clients to end TCP connections, and each port "
                + "then waits for a minute; give further addresses with --source-address, end connections with "
                + "--ending reset, or slow down with --pause"
        ]
    }

    /// Latency counts from when a message was due, so that lag is in it: up to a tenth is taken to be bearable.
    private func lagWarning(_ distributions: Distributions, of group: ClientGroup) -> String? {
        guard distributions.lag.totalCount > 0 else { return nil }
        let lag = distributions.lag.valueAtPercentile(99)
        if case .script = group.behaviour {
            guard lag > Self.thinkLagMin else { return nil }
            return
                "clients came out of their think times late: lag p99 \(Format.duration(nanoseconds: lag)), which is "
                + "in no latency; give the load tester more cores with --schedulers, or keep the server off them with "
                + "taskset"
        }
        // A ramp's latencies are its handshakes.
        let measure = distributions.latency.totalCount > 0 ? distributions.latency : distributions.connect
        let latency = measure.totalCount > 0 ? measure.valueAtPercentile(99) : nil
        guard lag > Self.lagMin, latency.map({ lag > $0 / 10 }) ?? true else { return nil }
        let share = latency.map { "; latencies, p99 \(Format.duration(nanoseconds: $0)), contain it" } ?? ""
        return
            "the load tester was late itself: lag p99 \(Format.duration(nanoseconds: lag))\(share); lower --rate, give "
            + "it more cores with --schedulers, or keep the server off them with taskset"
    }

    private func unsentWarning(_ counters: Counters) -> String? {
        let unsent = counters.due - counters.sent
        guard counters.due > 0, unsent > 0 else { return nil }
        let share = Format.decimal(100 * Double(unsent) / Double(counters.due), digits: 2)
        return
            "\(Format.grouped(unsent)) of \(Format.grouped(counters.due)) messages that were due (\(share) %) did not "
            + "leave: the server took no more, or the connection was lost; their latency so far counts; lower --rate"
    }

    /// What a scenario found beside its figures: sentences.
    package var findings: [String] {
        switch plan.scenario {
        case .ramp: [reach]
        case .churn: [turnover]
        case .echo, .rate, .idle, .fanout, .storm, .slow, .soak, .mixed: []
        }
    }

    private var reach: String {
        let opened = whole.reduce(0) { $0 + $1.counters.opened }
        let held = intervals.last { $0.phase == .measuring }?.open.reduce(0, +) ?? 0
        var text = "\(Format.grouped(opened)) of \(Format.grouped(plan.clientCount)) connections opened, "
        text += "\(Format.grouped(held)) were open at the end"
        guard let first = errors.min(by: { $0.firstSeconds < $1.firstSeconds }) else { return text }
        text += "; failures began after \(Format.decimal(first.firstSeconds, digits: 1)) s"
        if let count = first.firstOpenCount { text += " with \(Format.grouped(count)) connections open" }
        return text + (workerCount > 1 ? " on that worker" : "")
    }

    private var turnover: String {
        let opened = measured.reduce(0) { $0 + $1.counters.opened }
        let failed = measured.reduce(0) { $0 + $1.counters.failed }
        let rate = Double(opened) / max(measuredSeconds, 1e-9)
        return "\(Format.grouped(opened)) connections opened, \(Format.decimal(rate, digits: 0))/s; "
            + "\(Format.grouped(failed)) failed"
    }
}
