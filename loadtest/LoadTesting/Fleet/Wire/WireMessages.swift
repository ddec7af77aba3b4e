// SPDX-License-Identifier: Apache-2.0

internal import FoundationEssentials
internal import Histogram

/// What a coordinator asks of a worker process or an agent: one thing at a time, each with one answer.
package enum WorkerRequest: Codable, Sendable, Equatable {
    /// To an agent, first: who asks, and what its proof is to be about.
    case hello(version: Int, nonce: String)
    case proof(String)
    /// What the monotonic clock says.
    case clock
    case prepare(LoadPlan, WorkerPlace)
    case connect
    case status
    case tell(WorkerCommand)
    case snapshot
    case stop(timeoutSeconds: Double)

    /// Of what is sent; both sides must speak the same.
    package static let version = 2
}

package enum WorkerAnswer: Codable, Sendable {
    case challenge(version: Int, nonce: String)
    case welcome(proof: String, workerCount: Int)
    /// Nanoseconds of the monotonic clock.
    case clock(UInt64)
    case done
    case status(WorkerStatus)
    case snapshot(WireSnapshot)
    /// It cannot be done, in words for the user.
    case failed(String)
}

/// Messages as bytes: JSON.
package enum WireCodec {
    package static func encode(_ message: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        guard let data = try? encoder.encode(message) else {
            preconditionFailure("WireCodec: a message cannot be encoded; its types hold what JSON has no form for")
        }
        return Array(data)
    }

    package static func decode<Message: Decodable>(_ bytes: [UInt8]) throws(WireError) -> Message {
        do {
            let decoder = JSONDecoder()
            decoder.nonConformingFloatDecodingStrategy = .convertFromString(
                positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
            return try decoder.decode(Message.self, from: Data(bytes))
        } catch {
            throw .unreadable
        }
    }
}

/// A snapshot as it is sent: histograms in HdrHistogram's compressed encoding, empty ones left out.
package struct WireSnapshot: Codable, Sendable {
    struct Values: Codable, Sendable {
        var histogram: String
        var min: UInt64
        var max: UInt64
    }
    private var counters: [Counters]
    private var attemptCountMaxima: [Int]
    /// By group and name.
    private var distributions: [[String: Values]]
    private var usage: [SchedulerUsage]
    private var errors: [TestError]
    private var ownByteCount: Int?

    package init(_ snapshot: WorkerSnapshot) {
        counters = snapshot.groups.map(\.counters)
        attemptCountMaxima = snapshot.groups.map(\.attemptCountMax)
        distributions = snapshot.groups.map { group in
            var values: [String: Values] = [:]
            for (name, path) in Distributions.all where group.distributions[keyPath: path].totalCount > 0 {
                let histogram = group.distributions[keyPath: path]
                values[name] = Values(
                    histogram: HistogramCodec.base64(histogram), min: histogram.min, max: histogram.maxRecorded)
            }
            return values
        }
        usage = snapshot.usage
        errors = snapshot.errors
        ownByteCount = snapshot.ownByteCount
    }

    /// Throws where it is none of a run with so many groups.
    package func snapshot(groupCount: Int) throws(WireError) -> WorkerSnapshot {
        guard [counters.count, distributions.count, attemptCountMaxima.count].allSatisfy({ $0 == groupCount }) else {
            throw .unreadable
        }
        var snapshot = WorkerSnapshot(groupCount: groupCount)
        for index in 0..<groupCount {
            snapshot.groups[index].counters = counters[index]
            snapshot.groups[index].attemptCountMax = attemptCountMaxima[index]
            for (name, path) in Distributions.all {
                guard let values = distributions[index][name] else { continue }
                snapshot.groups[index].distributions[keyPath: path] = try Self.histogram(values)
            }
        }
        snapshot.usage = usage
        snapshot.errors = errors
        snapshot.ownByteCount = ownByteCount
        return snapshot
    }

    private static func histogram(_ values: Values) throws(WireError) -> NanosecondHistogram {
        let ours = Distributions.empty()
        guard values.min <= values.max, values.max <= Distributions.valueMax,
            let histogram = try? HistogramCodec.decode(base64: values.histogram, extremes: values.min...values.max),
            histogram.highestTrackableValue == ours.highestTrackableValue,
            histogram.lowestDiscernibleValue == ours.lowestDiscernibleValue,
            histogram.numberOfSignificantValueDigits == ours.numberOfSignificantValueDigits
        else { throw .unreadable }
        return histogram
    }
}
