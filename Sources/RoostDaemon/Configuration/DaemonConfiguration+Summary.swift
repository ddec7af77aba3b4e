// SPDX-License-Identifier: Apache-2.0

internal import Logging
internal import Roost

extension DaemonConfiguration {
    private typealias Row = (name: String, value: String)

    /// What the configuration comes to, for `roost check`.
    package var summary: String {
        var rows: [Row] = [
            ("log-level", logLevel.rawValue),
            ("schedulers", schedulerCount == 0 ? "one for each core" : "\(schedulerCount)"),
            ("max-message-bytes", Quantity.text(byteCount: routeDefaults.limits.messageByteCountMax)),
            ("compression", routeDefaults.compression.mode.rawValue),
            ("drain-timeout", Quantity.text(drainTimeout)),
        ]
        for group in listenerGroups { rows += self.rows(of: group) }
        let width = rows.map(\.name.count).max() ?? 0
        let lines = rows.map { "  \($0.name)\(String(repeating: " ", count: width - $0.name.count))  \($0.value)\n" }
        return "ok\n" + lines.joined() + warnings.map { "warning: \($0)\n" }.joined()
    }

    /// What is allowed, but hardly meant; each a sentence.
    var warnings: [String] { listeners.flatMap { $0.settings.warnings(address: $0.address) } }

    /// Listeners that differ in nothing but their address, together.
    private var listenerGroups: [[ListenerEntry]] {
        listeners.reduce(into: []) { groups, entry in
            let index = groups.firstIndex { $0[0].settings == entry.settings && $0[0].routes == entry.routes }
            if let index { groups[index].append(entry) } else { groups.append([entry]) }
        }
    }

    private func rows(of group: [ListenerEntry]) -> [Row] {
        let settings = group[0].settings
        let each = group.count > 1 ? " for each listener" : ""
        var rows: [Row] = [("listen", group.map(\.address).joined(separator: " "))]
        if settings.tls.isWanted { rows += Self.rows(of: settings.tls) }
        rows.append((ListenerSettingKey.maxConnections.rawValue, "\(settings.connectionCountMax)\(each)"))
        let limits = settings.addressLimits
        if limits.connectionCountMax > 0 {
            rows.append((ListenerSettingKey.maxConnectionsPerAddress.rawValue, "\(limits.connectionCountMax)"))
        }
        if limits.connectsPerSecond > 0 {
            let burst = limits.connectBurst > 0 ? limits.connectBurst : limits.connectsPerSecond
            rows.append(
                (
                    ListenerSettingKey.maxConnectRatePerAddress.rawValue,
                    "\(limits.connectsPerSecond) a second, \(burst) at once"
                ))
        }
        if !settings.proxy.trusted.isEmpty {
            var told: [String] = []
            if settings.proxy.requiresProxyProtocol { told.append("the PROXY protocol") }
            if settings.proxy.forwardedHeader != .none { told.append(settings.proxy.forwardedHeader.rawValue) }
            let means = told.isEmpty ? "" : ", by \(told.joined(separator: " and "))"
            rows.append(
                (ListenerSettingKey.trustedProxies.rawValue, settings.proxy.trusted.joined(separator: " ") + means))
        }
        for entry in group[0].routes {
            let own = entry.settings == routeDefaults ? "" : ", with settings of its own"
            let file = entry.file.map { ", \($0.path)" } ?? ""
            rows.append(("route", "\(entry.path) (\(entry.kind)\(file)\(own))"))
        }
        return rows
    }

    private static func rows(of settings: TLSSettings) -> [Row] {
        let tls = settings.configuration
        var rows: [Row] = tls.certificates.map { ("tls", "\($0.chainFile), key \($0.keyFile)") }
        if settings.clientCertificates != .none {
            let source = tls.clientCAFile.map { " from \($0)" } ?? ""
            rows.append(("tls", "client certificates \(settings.clientCertificates.rawValue)\(source)"))
        }
        return rows
    }
}
