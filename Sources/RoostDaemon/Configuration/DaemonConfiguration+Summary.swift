// SPDX-License-Identifier: Apache-2.0

internal import Logging
internal import Roost

extension DaemonConfiguration {
    /// What the configuration comes to, for `roost check`.
    package var summary: String {
        let limits = routeDefaults.limits
        var rows: [(String, String)] = [
            ("listen", listen.joined(separator: " ")), ("log-level", logLevel.rawValue),
            ("schedulers", schedulerCount == 0 ? "one for each core" : "\(schedulerCount)"),
            ("max-connections", "\(connectionCountMax)" + (listen.count > 1 ? " for each listener" : "")),
            ("max-message-bytes", Quantity.text(byteCount: limits.messageByteCountMax)),
            ("drain-timeout", Quantity.text(drainTimeout)),
        ]
        for entry in routes {
            let own = entry.settings == routeDefaults ? "" : ", with limits of its own"
            rows.append(("route", "\(entry.path) (\(entry.kind)\(own))"))
        }
        let width = rows.map(\.0.count).max() ?? 0
        return "ok\n"
            + rows.map { "  \($0.0)\(String(repeating: " ", count: width - $0.0.count))  \($0.1)\n" }.joined()
    }
}
