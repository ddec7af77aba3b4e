// SPDX-License-Identifier: Apache-2.0

internal import Roost
internal import RoostRuntime

/// A closed loop: each connection keeps a number of messages in flight, and sends the next when an answer has come.
package struct EchoTest {
    package var target: TargetOptions
    package var plan: EchoPlan
    package var warmup = Duration.seconds(1)
    package var duration = Duration.seconds(10)
    /// How long the last answers are waited for.
    package var endTimeout = Duration.seconds(5)

    package init(_ target: TargetOptions, _ plan: EchoPlan) {
        self.target = target
        self.plan = plan
    }

    private func validate() throws(LoadTestError) {
        if !(0...1 << 28).contains(plan.size.byteCountMax) {
            throw LoadTestError("--size is \(plan.size.byteCountMax); use 0...268435456")
        }
        if !(1...65_536).contains(plan.inFlight) {
            throw LoadTestError("--in-flight is \(plan.inFlight); use 1...65536")
        }
        if duration <= .zero { throw LoadTestError("--duration is \(duration); use more than 0") }
        if warmup < .zero { throw LoadTestError("--warmup is \(warmup); use 0 or more") }
    }

    /// Runs the test. Throws where it cannot begin; what goes wrong later is in the report.
    package func run(_ progress: Progress) async throws -> EchoReport {
        try validate()
        let meter = try target.serverPid.map { pid throws(LoadTestError) in try ProcessMeter(pid: pid) }
        let generator = try await Generator(target, plan: plan)
        do {
            let endpoint = try generator.endpoint(limits: limits) { EchoClient($0) }
            try await generator.connect(endpoint, progress)
        } catch {
            await generator.stop(timeout: .zero)
            throw error
        }
        let connectedCount = generator.openedCount
        await generator.onEachScheduler { share in
            for address in share.addresses { address.send(.begin) }
        }
        await hold(generator, progress, "warming up", for: warmup)
        let interval = await measure(generator, meter, progress)
        await generator.onEachScheduler { share in
            share.measurementEnded()
            for address in share.addresses { address.send(.end) }
        }
        await generator.waitForEnd(timeout: endTimeout)
        if generator.openCount > 0 {
            generator.errors.add(
                "\(generator.openCount) connections had messages unanswered \(endTimeout) after the end")
        }
        await generator.stop(timeout: .seconds(1))
        progress.finish()
        return report(generator, interval, connectedCount: connectedCount)
    }

    /// Client connections neither ping nor drop: the test is the traffic.
    private var limits: ConnectionLimits {
        var limits = ConnectionLimits()
        let window = (plan.size.byteCountMax + 14) * plan.inFlight
        limits.messageByteCountMax = max(plan.size.byteCountMax, 1 << 20)
        limits.outboundByteCountMax = min(max(2 * window, 1 << 20), 1 << 30)
        limits.heapByteCountMax = max(4 * window, 64 << 20)
        limits.pingInterval = .zero
        return limits
    }

    struct Interval {
        var seconds = 0.0
        var roundTripCount = 0
        var serverCPUSeconds: Double?
    }

    private func measure(_ generator: Generator, _ meter: ProcessMeter?, _ progress: Progress) async -> Interval {
        await generator.onEachScheduler { share in
            share.measuredFrom = MonotonicTime.now().nanoseconds
            share.measurementBegan()
        }
        let start = MonotonicTime.now()
        let completedAtStart = generator.completedCount
        let cpuAtStart = meter?.cpuSeconds
        await hold(generator, progress, "measuring", for: duration)
        var interval = Interval()
        interval.seconds = (MonotonicTime.now() - start).seconds
        interval.roundTripCount = generator.completedCount - completedAtStart
        if let before = cpuAtStart, let after = meter?.cpuSeconds { interval.serverCPUSeconds = after - before }
        let end = MonotonicTime.now().nanoseconds
        await generator.onEachScheduler { $0.measuredUntil = end }
        return interval
    }

    /// Lets the connections work for `duration`, until none is left or the user interrupts.
    private func hold(_ generator: Generator, _ progress: Progress, _ phase: String, for duration: Duration) async {
        let start = ContinuousClock.now
        var last = (time: start, count: generator.completedCount)
        await Interrupt.wait(until: start + duration, isOver: { generator.openCount == 0 }) {
            progress.update {
                let now = ContinuousClock.now
                let count = generator.completedCount
                let rate = Double(count - last.count) / (now - last.time).seconds
                last = (now, count)
                let elapsed = Format.decimal((now - start).seconds, digits: 0)
                let end = Format.decimal(duration.seconds, digits: 0)
                return "\(phase): \(elapsed) of \(end) s, \(generator.openCount) connections, "
                    + "\(Format.grouped(Int(rate))) round trips/s\(generator.errorNote)"
            }
        }
    }

    private func report(_ generator: Generator, _ interval: Interval, connectedCount: Int) -> EchoReport {
        EchoReport(
            url: target.url, plan: plan, connectionCount: target.connectionCount, connectedCount: connectedCount,
            seconds: interval.seconds, roundTripCount: interval.roundTripCount,
            totalRoundTripCount: generator.completedCount, latency: Latency(generator.merged(\.roundTrips)),
            connectTime: Latency(generator.merged(\.connectTimes)), serverCPUSeconds: interval.serverCPUSeconds,
            generatorCPUShares: generator.shares.map(\.usage.cpuShare),
            generatorWaitShares: generator.shares.map(\.usage.waitShare), warning: generator.limitWarning,
            errors: generator.errors.errors)
    }
}

/// What an echo test found.
package struct EchoReport: Sendable {
    package let url: String
    package let plan: EchoPlan
    /// Connections asked for, and those that opened.
    package let connectionCount: Int
    package let connectedCount: Int
    /// How long was measured, and the round trips completed in that time.
    package let seconds: Double
    package let roundTripCount: Int
    /// Warm-up and end included.
    package let totalRoundTripCount: Int
    package let latency: Latency
    package let connectTime: Latency
    package let serverCPUSeconds: Double?
    /// Of each scheduler's thread: the share of the time that it ran, and that it was ready but waited for a core.
    package let generatorCPUShares: [Double]
    package let generatorWaitShares: [Double]
    package let warning: String?
    package let errors: [TestError]

    package var rate: Double { seconds > 0 ? Double(roundTripCount) / seconds : 0 }

    /// Round trips for each second of the server's CPU time.
    package var roundTripsPerCPUSecond: Double? {
        serverCPUSeconds.flatMap { $0 > 0 ? Double(roundTripCount) / $0 : nil }
    }

    package var text: String {
        let kind = plan.isText ? "text" : "binary"
        var rows = [
            ("connections", "\(connectedCount) of \(connectionCount), each with \(plan.inFlight) in flight"),
            ("messages", "\(Format.grouped(plan.size.byteCountMax)) B, \(kind)"),
        ]
        guard connectedCount > 0 else {
            return "echo \(url)\n" + Format.table(rows) + ReportParts.ending(nil, errors)
        }
        rows += [
            ("measured", Format.decimal(seconds, digits: 2) + " s"),
            ("round trips", Format.grouped(roundTripCount)),
            ("rate", Format.grouped(Int(rate)) + " round trips/s"),
            ("payload", Format.decimal(rate * Double(plan.size.byteCountMax) / 1e6, digits: 1) + " MB/s each way"),
        ]
        if let serverCPUSeconds {
            rows.append(("server CPU", Format.decimal(serverCPUSeconds, digits: 2) + " s"))
            if let roundTripsPerCPUSecond {
                rows.append(("", Format.grouped(Int(roundTripsPerCPUSecond)) + " round trips per CPU second"))
            }
        }
        rows.append(("load tester", ReportParts.usage(generatorCPUShares, generatorWaitShares)))
        return "echo \(url)\n" + Format.table(rows) + ReportParts.latency("round trip", latency)
            + ReportParts.latency("connect", connectTime) + ReportParts.ending(warning, errors)
    }

    package var json: String {
        JSONValue.object([
            ("test", .string("echo")), ("url", .string(url)), ("connections", .integer(connectionCount)),
            ("connected", .integer(connectedCount)), ("size", .integer(plan.size.byteCountMax)),
            ("in_flight", .integer(plan.inFlight)),
            ("text", .boolean(plan.isText)), ("seconds", .number(seconds)), ("round_trips", .integer(roundTripCount)),
            ("rate", .number(rate)), ("latency_ns", latency.json), ("connect_ns", connectTime.json),
            ("server_cpu_seconds", serverCPUSeconds.map(JSONValue.number) ?? .null),
            ("round_trips_per_server_cpu_second", roundTripsPerCPUSecond.map(JSONValue.number) ?? .null),
            ("generator_cpu", .array(generatorCPUShares.map(JSONValue.number))),
            ("generator_wait", .array(generatorWaitShares.map(JSONValue.number))),
            ("warning", warning.map(JSONValue.string) ?? .null), ("errors", ReportParts.json(errors)),
        ]).description
    }
}
