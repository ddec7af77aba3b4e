// SPDX-License-Identifier: Apache-2.0

internal import Roost
internal import RoostRuntime

/// Opens connections and holds them: what does a connection cost that does nothing?
package struct IdleTest {
    package var target: TargetOptions
    /// How long the connections are held; nil: until Ctrl-C.
    package var duration: Duration?
    /// How long server and generator have to settle before their memory is read.
    private static let settleTime = Duration.seconds(1)

    package init(_ target: TargetOptions) { self.target = target }

    /// Runs the test. Throws where it cannot begin; what goes wrong later is in the report.
    package func run(_ progress: Progress) async throws -> IdleReport {
        if let duration, duration <= .zero { throw LoadTestError("--duration is \(duration); use more than 0") }
        let meter = try target.serverPid.map { pid throws(LoadTestError) in try ProcessMeter(pid: pid) }
        let generator = try await Generator(target, plan: EchoPlan(size: .fixed(0), inFlight: 1, isText: false))
        let serverBefore = meter?.anonymousByteCount
        let ownBefore = ProcessMeter.ofThisProgram.anonymousByteCount
        let start = MonotonicTime.now()
        do {
            var limits = ConnectionLimits()
            limits.pingInterval = .zero
            let endpoint = try generator.endpoint(limits: limits) { IdleClient($0) }
            try await generator.connect(endpoint, progress)
        } catch {
            await generator.stop(timeout: .zero)
            throw error
        }
        let connectSeconds = (MonotonicTime.now() - start).seconds
        let connectedCount = generator.openedCount
        await hold(generator, progress, for: Self.settleTime)
        let serverAfter = meter?.anonymousByteCount
        let ownAfter = ProcessMeter.ofThisProgram.anonymousByteCount
        let heldFrom = MonotonicTime.now()
        await hold(generator, progress, for: duration)
        let openCount = generator.openCount
        let heldSeconds = (MonotonicTime.now() - heldFrom).seconds
        await generator.stop(timeout: .seconds(10))
        progress.finish()
        return IdleReport(
            url: target.url, connectionCount: target.connectionCount, connectedCount: connectedCount,
            openAtEndCount: openCount, connectSeconds: connectSeconds, heldSeconds: heldSeconds,
            connectTime: Latency(generator.merged(\.connectTimes)),
            serverBytes: Self.difference(serverBefore, serverAfter),
            generatorBytes: Self.difference(ownBefore, ownAfter),
            errors: generator.errors.errors)
    }

    private static func difference(_ before: Int?, _ after: Int?) -> Int? {
        guard let before, let after else { return nil }
        return after - before
    }

    private func hold(_ generator: Generator, _ progress: Progress, for duration: Duration?) async {
        let start = ContinuousClock.now
        await Interrupt.wait(until: duration.map { start + $0 }, isOver: { generator.openCount == 0 }) {
            progress.update {
                let elapsed = Format.decimal((ContinuousClock.now - start).seconds, digits: 0)
                let end = duration.map { " of \(Format.decimal($0.seconds, digits: 0))" } ?? ""
                let hint = duration == nil ? "; Ctrl-C ends" : ""
                return "holding \(generator.openCount) connections: \(elapsed)\(end) s\(generator.errorNote)\(hint)"
            }
        }
    }
}

/// What an idle test found.
package struct IdleReport: Sendable {
    package let url: String
    /// Connections asked for, those that opened, and those open at the end.
    package let connectionCount: Int
    package let connectedCount: Int
    package let openAtEndCount: Int
    /// From the first attempt to the last answer.
    package let connectSeconds: Double
    package let heldSeconds: Double
    package let connectTime: Latency
    /// What the user-space memory of server and load tester grew by; nil where it is not known.
    package let serverBytes: Int?
    package let generatorBytes: Int?
    package let errors: [TestError]

    package var serverBytesPerConnection: Double? { perConnection(serverBytes) }
    package var generatorBytesPerConnection: Double? { perConnection(generatorBytes) }

    private func perConnection(_ byteCount: Int?) -> Double? {
        byteCount.flatMap { connectedCount > 0 ? Double($0) / Double(connectedCount) : nil }
    }

    package var text: String {
        let rate = connectSeconds > 0 ? Int(Double(connectedCount) / connectSeconds) : 0
        var rows = [
            ("connections", "\(Format.grouped(connectedCount)) of \(Format.grouped(connectionCount)) opened"),
            ("connecting", "\(Format.decimal(connectSeconds, digits: 2)) s, \(Format.grouped(rate)) connections/s"),
            ("held", "\(Format.grouped(openAtEndCount)) for \(Format.decimal(heldSeconds, digits: 1)) s"),
        ]
        if let serverBytes, let each = serverBytesPerConnection {
            rows.append(("server memory", "\(Format.bytes(serverBytes)) more, \(Int(each)) B for each connection"))
        }
        if let generatorBytes, let each = generatorBytesPerConnection {
            rows.append(("load tester", "\(Format.bytes(generatorBytes)) more, \(Int(each)) B for each connection"))
        }
        return "idle \(url)\n" + Format.table(rows) + ReportParts.latency("connect", connectTime)
            + ReportParts.ending(nil, errors)
    }

    package var json: String {
        JSONValue.object([
            ("test", .string("idle")), ("url", .string(url)), ("connections", .integer(connectionCount)),
            ("connected", .integer(connectedCount)), ("open_at_end", .integer(openAtEndCount)),
            ("connect_seconds", .number(connectSeconds)), ("held_seconds", .number(heldSeconds)),
            ("connect_ns", connectTime.json), ("server_bytes", serverBytes.map(JSONValue.integer) ?? .null),
            ("server_bytes_per_connection", serverBytesPerConnection.map(JSONValue.number) ?? .null),
            ("generator_bytes_per_connection", generatorBytesPerConnection.map(JSONValue.number) ?? .null),
            ("errors", ReportParts.json(errors)),
        ]).description
    }
}
