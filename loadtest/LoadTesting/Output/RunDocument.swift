// SPDX-License-Identifier: Apache-2.0

internal import FoundationEssentials
internal import Histogram

/// A run's record as JSON: figures for whoever reads them, and the plan and the timeline, from which the record is
/// made again without loss.
package enum RunDocument {
    /// Of the format: a reader refuses what it does not know.
    package static let version = 1

    package static func json(_ record: RunRecord, toolVersion: String) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        do {
            let data = try encoder.encode(Writer(figures: RunFigures(record), toolVersion: toolVersion))
            return String(decoding: data, as: UTF8.self)
        } catch {
            // Only numbers that JSON lacks are refused, and they are written as text.
            preconditionFailure("RunDocument: a record cannot be encoded: \(error)")
        }
    }

    /// `name`: of the file, for what is told where it cannot be read.
    package static func record(_ json: String, name: String) throws(LoadTestError) -> RunRecord {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        do {
            let data = Data(json.utf8)
            let version = try decoder.decode(VersionReader.self, from: data).version
            guard version == Self.version else {
                throw LoadTestError(
                    "\(name) is a report of version \(version) and this loadtest reads version \(Self.version): "
                        + "read it with the loadtest that wrote it, or measure again")
            }
            return try decoder.decode(RunReader.self, from: data).record
        } catch let error as LoadTestError {
            throw error
        } catch {
            throw LoadTestError(
                "\(name) is not a report of loadtest: \(Self.reason(error)); give a file that `loadtest` wrote with "
                    + "`--json`, whole and unchanged")
        }
    }

    private static func reason(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "\(error)" }
        switch error {
        case .keyNotFound(let key, let context): return "'\(key.stringValue)' is missing\(place(context.codingPath))"
        case .typeMismatch(let type, let context):
            return "\(place(context.codingPath, "the whole")) is no \(kind(type))"
        case .valueNotFound(let type, let context):
            return "\(place(context.codingPath, "the whole")) is null, and should be a \(kind(type))"
        case .dataCorrupted(let context):
            // The library does not tell where; it says the same of a number that its type does not hold.
            guard !context.codingPath.isEmpty else { return "it is not JSON, or has a number that is out of range" }
            return "\(context.debugDescription)\(place(context.codingPath))"
        @unknown default: return "\(error)"
        }
    }

    private static func place(_ path: [any CodingKey], _ root: String) -> String {
        path.isEmpty ? root : pathText(path)
    }

    private static func place(_ path: [any CodingKey]) -> String { path.isEmpty ? "" : " at \(pathText(path))" }

    private static func pathText(_ path: [any CodingKey]) -> String {
        var text = ""
        for key in path {
            text += key.intValue.map { "[\($0)]" } ?? (text.isEmpty ? key.stringValue : ".\(key.stringValue)")
        }
        return text
    }

    private static func kind(_ type: any Any.Type) -> String {
        switch "\(type)" {
        case "Int", "UInt64", "Double": "number"
        case "String": "text"
        case "Bool": "true or false"
        case let name where name.hasPrefix("Array"): "list"
        default: "object"
        }
    }

    private struct VersionReader: Decodable { let version: Int }
}

/// A name in the document.
struct DocumentKey: CodingKey, ExpressibleByStringLiteral {
    let stringValue: String
    var intValue: Int? { nil }

    init(_ name: String) { stringValue = name }
    init(stringLiteral name: String) { stringValue = name }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

// MARK: Writing

extension RunDocument {
    private typealias Container = KeyedEncodingContainer<DocumentKey>

    private struct Writer: Encodable {
        let figures: RunFigures
        let toolVersion: String

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: DocumentKey.self)
            try encodeRun(&container)
            try encodeFigures(&container)
            try encodeServer(&container)
            try encodeGenerator(&container)
            let record = figures.record
            try container.encode(
                record.plan.groups.indices.map { GroupWriter(figures: figures, index: $0) }, forKey: "groups")
            try container.encode(
                record.intervals.map { IntervalDocument(interval: $0) }, forKey: "timeline")
        }

        private func encodeRun(_ container: inout Container) throws {
            let record = figures.record
            try container.encode(RunDocument.version, forKey: "version")
            try container.encode(toolVersion, forKey: "tool_version")
            try container.encode(record.plan.scenario, forKey: "test")
            try container.encode(figures.url, forKey: "url")
            try container.encode(record.plan, forKey: "plan")
            try container.encode(record.startedAt, forKey: "started_at")
            try container.encode(record.workerCount, forKey: "workers")
            try container.encode(record.wasInterrupted, forKey: "interrupted")
            try container.encode(record.errors.map(ErrorDocument.init), forKey: "errors")
            try container.encode(record.warnings, forKey: "warnings")
            try container.encodeIfPresent(record.commandLine, forKey: "command_line")
            try container.encodeIfPresent(record.machine, forKey: "machine")
        }

        private func encodeFigures(_ container: inout Container) throws {
            let counters = figures.measuredTotal.counters
            try container.encode(figures.record.plan.clientCount, forKey: "connections")
            try container.encode(figures.connectedCount, forKey: "connected")
            try container.encode(figures.seconds, forKey: "seconds")
            try container.encode(counters.completed, forKey: "round_trips")
            try container.encode(counters.due, forKey: "due")
            try container.encode(counters.lost, forKey: "lost")
            try container.encode(counters.duplicated, forKey: "duplicated")
            try container.encode(counters.reordered, forKey: "reordered")
            try container.encode(figures.rate, forKey: "rate")
            try encodeRates(figures, counters, &container)
            try encodeDistributions(figures.measuredTotal, figures.wholeTotal, &container)
        }

        private func encodeServer(_ container: inout Container) throws {
            let server = figures.server
            try container.encode(server.cpuSeconds, forKey: "server_cpu_seconds")
            try container.encode(server.completedPerCPUSecond, forKey: "round_trips_per_server_cpu_second")
            try container.encode(server.bytesPerConnection["anonymous"], forKey: "server_bytes_per_connection")
            try container.encode(server.bytesPerConnection, forKey: "memory_per_connection")
        }

        private func encodeGenerator(_ container: inout Container) throws {
            try container.encode(figures.usage.map(\.cpuShare), forKey: "generator_cpu")
            try container.encode(figures.usage.map(\.waitShare), forKey: "generator_wait")
            try container.encode(figures.generatorBytesPerConnection, forKey: "generator_bytes_per_connection")
            if let counts = figures.record.ownByteCounts {
                try container.encode(["before": counts.before, "after": counts.after], forKey: "generator_bytes")
            }
        }
    }

    private static func encodeRates(
        _ figures: RunFigures, _ counters: Counters, _ container: inout Container
    ) throws {
        try container.encode(figures.perSecond(counters.sent), forKey: "sent_rate")
        try container.encode(figures.perSecond(counters.received), forKey: "received_rate")
        try container.encode(figures.perSecond(counters.sentByteCount), forKey: "sent_bytes_rate")
        try container.encode(figures.perSecond(counters.receivedByteCount), forKey: "received_bytes_rate")
    }

    /// Connections mostly open before it is measured: theirs is of the whole run.
    private static func encodeDistributions(
        _ measured: GroupMeasure, _ whole: GroupMeasure, _ container: inout Container
    ) throws {
        for (name, path) in Distributions.all {
            let source = name == "connect" ? whole : measured
            let histogram = source.distributions[keyPath: path]
            // Echo's and idle's have always been there.
            guard histogram.totalCount > 0 || name == "latency" || name == "connect" else { continue }
            try container.encode(SummaryWriter(histogram: histogram), forKey: DocumentKey("\(name)_ns"))
        }
    }

    private struct GroupWriter: Encodable {
        let figures: RunFigures
        let index: Int

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: DocumentKey.self)
            let (group, measured) = (figures.record.plan.groups[index], figures.measured[index])
            let whole = figures.whole[index]
            try container.encode(group.name, forKey: "name")
            try container.encode(group.clientCount, forKey: "connections")
            try container.encode(figures.connectedCount(ofGroup: index), forKey: "connected")
            try container.encode(CountersDocument(counters: measured.counters), forKey: "counters")
            try container.encode(CountersDocument(counters: whole.counters), forKey: "counters_of_whole_run")
            try container.encode(figures.perSecond(measured.counters.completed), forKey: "rate")
            try encodeRates(figures, measured.counters, &container)
            try encodeDistributions(measured, whole, &container)
        }
    }

    private struct SummaryWriter: Encodable {
        let histogram: NanosecondHistogram

        func encode(to encoder: any Encoder) throws {
            let summary = DistributionSummary(histogram)
            var container = encoder.container(keyedBy: DocumentKey.self)
            try container.encode(summary.count, forKey: "count")
            try container.encode(summary.mean, forKey: "mean")
            for (name, nanoseconds) in summary.rows { try container.encode(nanoseconds, forKey: DocumentKey(name)) }
            if summary.count > 0 { try container.encode(HistogramCodec.base64(histogram), forKey: "histogram") }
        }
    }
}
