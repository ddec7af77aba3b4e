// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// What a histogram of nanoseconds says, in nanoseconds.
package struct Latency: Sendable, Equatable, Codable {
    package let count: Int
    package let mean: Double
    package let min: UInt64
    package let p50: UInt64
    package let p90: UInt64
    package let p99: UInt64
    package let p999: UInt64
    package let p9999: UInt64
    package let max: UInt64

    init(_ histogram: Histogram<UInt64>) {
        count = Int(histogram.totalCount)
        mean = count == 0 ? 0 : histogram.mean
        min = count == 0 ? 0 : histogram.min
        p50 = histogram.valueAtPercentile(50)
        p90 = histogram.valueAtPercentile(90)
        p99 = histogram.valueAtPercentile(99)
        p999 = histogram.valueAtPercentile(99.9)
        p9999 = histogram.valueAtPercentile(99.99)
        max = histogram.maxRecorded
    }

    var rows: [(name: String, nanoseconds: UInt64)] {
        [("min", min), ("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p999), ("p99.99", p9999), ("max", max)]
    }

    var json: JSONValue {
        .object(
            [("count", .integer(count)), ("mean", .number(mean))]
                + rows.map { ($0.name, .integer(Int($0.nanoseconds))) })
    }
}

/// JSON as it is written; there is nothing to read.
enum JSONValue: CustomStringConvertible {
    case object([(String, JSONValue)])
    case array([JSONValue])
    case string(String)
    case integer(Int)
    case number(Double)
    case boolean(Bool)
    case null

    var description: String {
        switch self {
        case .object(let members): "{" + members.map { "\(JSONValue.quoted($0)): \($1)" }.joined(separator: ", ") + "}"
        case .array(let values): "[" + values.map(\.description).joined(separator: ", ") + "]"
        case .string(let text): JSONValue.quoted(text)
        case .integer(let value): "\(value)"
        case .number(let value): value.isFinite ? Format.decimal(value, digits: 3) : "null"
        case .boolean(let value): "\(value)"
        case .null: "null"
        }
    }

    /// RFC 8259 §7.
    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case _ where scalar.value < 0x20:
                let hex = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// Figures as people read them.
enum Format {
    /// With a blank between thousands.
    static func grouped(_ value: Int) -> String {
        let digits = Array(String(value.magnitude))
        var result = value < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { result += " " }
            result.append(digit)
        }
        return result
    }

    /// As many in each second.
    static func perSecond(_ value: Double) -> String { wholeNumber(value) + "/s" }

    /// Small numbers with digits behind the point, so that they say something.
    static func wholeNumber(_ value: Double) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
        return abs(value) < 10 && value != value.rounded() ? decimal(value, digits: 2) : grouped(Int(value.rounded()))
    }

    static func decimal(_ value: Double, digits: Int) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int((abs(value) * scale).rounded())
        let sign = value < 0 && scaled > 0 ? "-" : ""
        guard digits > 0 else { return "\(sign)\(scaled)" }
        let fraction = String(scaled % Int(scale))
        return "\(sign)\(scaled / Int(scale)).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
    }

    static func duration(nanoseconds: UInt64) -> String {
        switch nanoseconds {
        case ..<1_000: "\(nanoseconds) ns"
        case ..<1_000_000: decimal(Double(nanoseconds) / 1e3, digits: 1) + " us"
        case ..<1_000_000_000: decimal(Double(nanoseconds) / 1e6, digits: 2) + " ms"
        default: decimal(Double(nanoseconds) / 1e9, digits: 2) + " s"
        }
    }

    static func bytes(_ count: Int) -> String {
        switch abs(count) {
        case ..<10_240: "\(grouped(count)) B"
        case ..<(10 << 20): decimal(Double(count) / 1_024, digits: 1) + " KiB"
        default: decimal(Double(count) / 1_048_576, digits: 1) + " MiB"
        }
    }
}
