// SPDX-License-Identifier: Apache-2.0

/// When a client whose connection is over tries again.
package enum Backoff: Codable, Sendable, Equatable {
    case constant(Double)
    /// After so many seconds where the connection had opened; after a failure at least 0.1 s, doubled up to 5 s.
    case pause(Double)
    /// Phoenix's JavaScript client, `Socket`, option `reconnectAfterMs`: 10, 50, 100, 150, 200, 250, 500, 1,000, 2,000,
    /// then always 5,000 ms. No randomness: all clients come back at once.
    case phoenix
    /// Socket.IO's JavaScript client, `Manager` and its `backo2`: `reconnectionDelay` 1 s doubled for each attempt, up
    /// or down by a random part of it up to `randomizationFactor` 0.5, then at most `reconnectionDelayMax` 5 s.
    case socketio
    /// Centrifugo's JavaScript client, `backoff` ("full jitter"): `minReconnectDelay` 0.5 s, and at random up to as
    /// much doubled for each attempt; at most `maxReconnectDelay` 20 s.
    case centrifuge

    /// Before attempt `number`, from 0: the first after the connection was lost. `random` is in 0..<1.
    package func delaySeconds(_ number: Int, random: Double) -> Double {
        switch self {
        case .constant(let seconds): return seconds
        case .pause(let seconds): return number == 0 ? seconds : max(seconds, min(0.1 * power(number - 1), 5))
        case .phoenix:
            let steps = [0.010, 0.050, 0.100, 0.150, 0.200, 0.250, 0.500, 1, 2]
            return number < steps.count ? steps[number] : 5
        case .socketio:
            // The same random number gives the amount, and, by the parity of its first digit, the direction.
            let step = power(number)
            let amount = 0.5 * random * step
            return min(Int(random * 10) & 1 == 0 ? step - amount : step + amount, 5)
        case .centrifuge: return min(0.5 + min(0.5 * power(number), 20) * random, 20)
        }
    }

    private func power(_ number: Int) -> Double { Double(UInt64(1) << UInt64(min(number, 30))) }

    /// As an option has it: a client's name, or seconds.
    package init(_ text: String) throws(LoadTestError) {
        switch text {
        case "phoenix": self = .phoenix
        case "socketio": self = .socketio
        case "centrifuge": self = .centrifuge
        case _:
            guard let seconds = try? Seconds.parse(text), seconds <= 3_600 else {
                throw LoadTestError(
                    "--backoff is '\(text)'; use phoenix, socketio, centrifuge, or a time up to 1h: 2, 500ms, 1m")
            }
            self = .constant(seconds)
        }
    }
}
