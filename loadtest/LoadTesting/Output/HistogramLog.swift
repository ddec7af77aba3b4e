// SPDX-License-Identifier: Apache-2.0

internal import FoundationEssentials
internal import Histogram

/// A run's timeline as a histogram log, which HdrHistogram's own tools read, plot and add up.
///
/// One line for each interval, group and distribution that has values: `Tag=GROUP.latency,start,seconds,max,histogram`,
/// the times in seconds since the run began, the greatest value in milliseconds, as Java's HistogramLogWriter writes
/// them (format version 1.3). Values in the histograms are nanoseconds.
package enum HistogramLog {
    /// The whole file.
    package static func text(_ record: RunRecord) -> String {
        var text = ""
        write(record) { text += $0 }
        return text
    }

    /// Hands out the lines one by one, each with its end.
    package static func write(_ record: RunRecord, to output: (String) -> Void) {
        output(header(record))
        for interval in record.intervals {
            for (group, measure) in zip(record.plan.groups, interval.groups) {
                for (name, path) in Distributions.all {
                    let histogram = measure.distributions[keyPath: path]
                    guard histogram.totalCount > 0 else { continue }
                    output(line("\(tag(group.name)).\(name)", interval, histogram))
                }
            }
        }
    }

    private static func header(_ record: RunRecord) -> String {
        let start = Format.decimal(record.startedAt, digits: 3)
        return """
            #[Logged with loadtest]
            #[Histogram log format version 1.3]
            #[StartTime: \(start) (seconds since epoch), \(date(record.startedAt))]
            #[BaseTime: \(start) (seconds since epoch)]
            "StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"

            """
    }

    private static func line(_ tag: String, _ interval: Interval, _ histogram: NanosecondHistogram) -> String {
        let numbers = [interval.startSeconds, interval.seconds, Double(histogram.maxRecorded) / 1e6]
            .map { Format.decimal($0, digits: 3) }.joined(separator: ",")
        return "Tag=\(tag),\(numbers),\(HistogramCodec.base64(histogram))\n"
    }

    /// A tag ends at the first comma, and readers split lines at blanks.
    private static func tag(_ name: String) -> String {
        String(
            String.UnicodeScalarView(
                name.unicodeScalars.map { $0 == "," || $0.properties.isWhitespace || $0.value < 0x20 ? "_" : $0 }))
    }

    private static func date(_ seconds: Double) -> String {
        seconds.isFinite ? Date(timeIntervalSince1970: seconds).formatted(.iso8601) : "-"
    }
}
