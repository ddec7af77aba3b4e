// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import Logging

/// Writes each event as one line of `key=value` pairs to standard error (logfmt).
///
/// Descriptor 2 is written to directly: C's `stderr` stream, which the runtime watches for the messages of traps, is
/// left alone.
package struct LogfmtHandler: LogHandler {
    package var metadata: Logger.Metadata = [:]
    package var logLevel = Logger.Level.info
    package var metadataProvider: Logger.MetadataProvider?
    private let write: @Sendable (String) -> Void

    package init() { self.init { LogStream.standardError.write($0) } }

    init(_ write: @escaping @Sendable (String) -> Void) { self.write = write }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { $1 } }
        if let given = event.metadata { all.merge(given) { $1 } }
        var line = "time=\(Timestamp.now) level=\(event.level.rawValue) message=\(Self.quoted("\(event.message)"))"
        for key in all.keys.sorted() { Self.append(key, all[key]!, to: &line) }
        if let error = event.error { line += " error=\(Self.quoted("\(error)"))" }
        line += "\n"
        write(line)
    }

    private static func append(_ key: String, _ value: Logger.Metadata.Value, to line: inout String) {
        switch value {
        case .string(let text): line += " \(key)=\(quoted(text))"
        case .stringConvertible(let text): line += " \(key)=\(quoted("\(text)"))"
        case .array(let values): line += " \(key)=\(quoted(values.map { "\($0)" }.joined(separator: ", ")))"
        case .dictionary(let entries):
            for name in entries.keys.sorted() { append("\(key).\(name)", entries[name]!, to: &line) }
        }
    }

    /// In quotes where it must be. Control characters are escaped: what a peer sends must not steer a terminal.
    static func quoted(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { (0x21...0x7E).contains($0) && !"\"=\\".utf8.contains($0) }
        if isPlain, !text.isEmpty { return text }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\t": quoted += "\\t"
            case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
                quoted += "\\x" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

/// Standard output and standard error, unbuffered.
package enum StandardStream: CInt, Sendable {
    case output = 1
    case error = 2

    /// Writes all of `text`; gives up silently when nobody can read it any more.
    package func write(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var offset = 0
            while offset < bytes.count {
                // Safe: `bytes` is lent for this closure, and `offset` lies within it.
                let count = unsafe Glibc.write(rawValue, bytes.baseAddress! + offset, bytes.count - offset)
                if count < 0, errno == EINTR { continue }
                if count <= 0 { return }
                offset += count
            }
        }
    }
}

/// The wall clock, for people (RFC 3339, UTC, milliseconds).
enum Timestamp {
    static var now: String {
        var time = timespec()
        unsafe _ = clock_gettime(CLOCK_REALTIME, &time)
        return text(seconds: time.tv_sec, milliseconds: time.tv_nsec / 1_000_000)
    }

    static func text(seconds: Int, milliseconds: Int) -> String {
        var seconds = time_t(seconds)
        var parts = unsafe tm()
        unsafe _ = gmtime_r(&seconds, &parts)
        func digits(_ value: Int, _ count: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, count - text.count)) + text
        }
        let (year, month, day) = unsafe (Int(parts.tm_year) + 1900, Int(parts.tm_mon) + 1, Int(parts.tm_mday))
        let (hour, minute, second) = unsafe (Int(parts.tm_hour), Int(parts.tm_min), Int(parts.tm_sec))
        return "\(digits(year, 4))-\(digits(month, 2))-\(digits(day, 2))T"
            + "\(digits(hour, 2)):\(digits(minute, 2)):\(digits(second, 2)).\(digits(milliseconds, 3))Z"
    }
}
