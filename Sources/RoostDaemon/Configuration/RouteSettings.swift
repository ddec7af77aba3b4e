// SPDX-License-Identifier: Apache-2.0

package import Roost
internal import RoostHTTP

/// What becomes of a connection whose handler crashed.
package enum CrashAction: String, Sendable, CaseIterable {
    case restart, close
}

/// The section `restart`.
package struct RestartSettings: Sendable, Equatable {
    package var onCrash = CrashAction.restart
    /// Crashes forgiven within `period`.
    package var intensity = 3
    package var period = Duration.seconds(5)

    package var policy: RestartPolicy {
        switch onCrash {
        case .restart: .restart(intensity: intensity, period: period)
        case .close: .close
        }
    }
}

/// What may differ from route to route.
package struct RouteSettings: Sendable, Equatable {
    package var limits = ConnectionLimits()
    package var restart = RestartSettings()
    package var compression = CompressionPolicy()
    package var rooms = RoomLimits()
    /// nil: any.
    package var allowedOrigins: [String]?

    package init() {}

    /// Overrides what the sources name.
    mutating func read(_ reader: inout SettingReader) {
        func integer(_ key: RouteSettingKey, _ value: inout Int) {
            value = reader.integer(key.rawValue, rule: key.rule, default: value)
        }
        func duration(_ key: RouteSettingKey, _ value: inout Duration) {
            value = reader.duration(key.rawValue, rule: key.rule, default: value)
        }
        integer(.maxMessageBytes, &limits.messageByteCountMax)
        integer(.maxOutboundBytes, &limits.outboundByteCountMax)
        let slow = RouteSettingKey.slowConsumer
        limits.slowConsumer = reader.choice(slow.rawValue, rule: slow.rule, default: limits.slowConsumer)
        integer(.maxRoomBytes, &rooms.backlogByteCountMax)
        integer(.maxWaitingBytes, &limits.waitingByteCountMax)
        integer(.maxMailboxMessages, &limits.mailboxCountMax)
        let overflow = RouteSettingKey.mailboxOverflow
        limits.mailboxOverflow = reader.choice(
            overflow.rawValue, rule: overflow.rule, default: limits.mailboxOverflow)
        integer(.maxHandlerBytes, &limits.heapByteCountMax)
        duration(.pingInterval, &limits.pingInterval)
        duration(.pongTimeout, &limits.pongTimeout)
        duration(.idleTimeout, &limits.idleTimeout)
        duration(.closeTimeout, &limits.closeTimeout)
        integer(.maxMessageRate, &limits.messagesPerSecond)
        integer(.maxByteRate, &limits.bytesPerSecond)
        let rate = RouteSettingKey.rateLimit
        limits.rateLimit = reader.choice(rate.rawValue, rule: rate.rule, default: limits.rateLimit)
        readRestart(&reader)
        readCompression(&reader)
        readOrigins(&reader)
    }

    private mutating func readRestart(_ reader: inout SettingReader) {
        let section = RouteSettingKey.restart.rawValue
        let (crash, intensity, period) = (
            RestartSettingKey.onCrash, RestartSettingKey.intensity, RestartSettingKey.period
        )
        restart.onCrash = reader.choice(section, crash.rawValue, rule: crash.rule, default: restart.onCrash)
        restart.intensity = reader.integer(
            section, intensity.rawValue, rule: intensity.rule, default: restart.intensity)
        restart.period = reader.duration(section, period.rawValue, rule: period.rule, default: restart.period)
    }

    /// A word for the section is its mode; the stronger source has its way.
    private mutating func readCompression(_ reader: inout SettingReader) {
        let section = RouteSettingKey.compression.rawValue
        let mode = CompressionSettingKey.mode
        let modeOrigin = reader.origin([section, mode.rawValue])
        compression.mode = reader.choice(section, mode.rawValue, rule: mode.rule, default: compression.mode)
        if let (_, origin) = reader.word(section) {
            if let modeOrigin, modeOrigin.rank == origin.rank {
                reader.report(
                    modeOrigin, "\(section).\(mode.rawValue)",
                    " and \(origin.subject(section)) are both set; remove one")
            } else if modeOrigin == nil || origin.rank < modeOrigin?.rank ?? .max {
                compression.mode = reader.choice(section, rule: mode.rule, default: compression.mode)
            }
        }
        func integer(_ key: CompressionSettingKey, _ value: inout Int) {
            value = reader.integer(section, key.rawValue, rule: key.rule, default: value)
        }
        integer(.level, &compression.level)
        integer(.threshold, &compression.thresholdByteCount)
        integer(.windowBits, &compression.windowBits)
        integer(.memoryLevel, &compression.memoryLevel)
    }

    private mutating func readOrigins(_ reader: inout SettingReader) {
        let name = RouteSettingKey.allowedOrigins.rawValue
        guard let (values, origin) = reader.list(name) else { return }
        if values == ["any"] {
            allowedOrigins = nil
            return
        }
        for value in values {
            guard Self.isOriginPattern(value) else {
                reader.report(
                    origin, name,
                    " has '\(value)'; write an origin as browsers send it, as in https://example.com or "
                        + "http://localhost:8080, https://*.example.com for all names below one, null, same for the "
                        + "server's own, or the single word any")
                continue
            }
            do throws(OriginPatternError) {
                _ = try OriginPattern(value)
            } catch {
                reader.report(origin, name, ": \(error)")
            }
        }
        allowedOrigins = values
    }

    /// scheme://host[:port], and nothing behind it (RFC 6454 §6.2); `*.` may begin the host. Or a word.
    private static func isOriginPattern(_ text: String) -> Bool {
        if text == "null" || text == "same" { return true }
        guard let mark = text.firstRange(of: "://"), mark.lowerBound > text.startIndex else { return false }
        var host = text[mark.upperBound...]
        if host.hasPrefix("*.") { host = host.dropFirst(2) }
        return !host.isEmpty && !host.contains { $0 == "/" || $0 == "*" || $0 == "," || $0.isWhitespace }
    }
}
