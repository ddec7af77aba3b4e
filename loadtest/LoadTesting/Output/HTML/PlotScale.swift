// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Where values lie on an axis, and which of them are named there. Pure.
package struct PlotScale: Sendable, Equatable {
    package let isLogarithmic: Bool
    package let low: Double
    package let high: Double
    package let ticks: [Double]

    /// From beyond this ratio of the greatest value to the least one on, a linear axis would hide the small ones.
    static let linearRatioMax = 50.0

    private init(isLogarithmic: Bool, low: Double, high: Double, ticks: [Double]) {
        self.isLogarithmic = isLogarithmic
        self.low = low
        self.high = high
        self.ticks = ticks
    }

    /// 0 at `low`, 1 at `high`; what is beyond lies on the border.
    package func position(of value: Double) -> Double {
        let share: Double
        if isLogarithmic {
            guard value > 0 else { return 0 }
            share = (log10(value) - log10(low)) / (log10(high) - log10(low))
        } else {
            share = (value - low) / (high - low)
        }
        return share.isFinite ? min(max(share, 0), 1) : 0
    }

    /// Logarithmic where it may be and the values need it, else linear from 0.
    package static func fitting(_ values: [Double], isLogarithmicAllowed: Bool, base: TickBase) -> PlotScale {
        let finite = values.filter(\.isFinite)
        let greatest = finite.max() ?? 0
        if isLogarithmicAllowed, let least = finite.filter({ $0 > 0 }).min(), greatest / least > linearRatioMax {
            return logarithmic(from: least, to: greatest)
        }
        return linear(to: greatest, base: base)
    }

    /// In what steps an axis counts.
    package enum TickBase: Sendable, Equatable {
        case decimal
        /// Of KiB, MiB and so on.
        case binary
        /// Whole things: no step below 1.
        case whole
        /// Seconds: steps of minutes and hours.
        case seconds
    }

    /// From 0 to the first tick at or above `greatest`.
    package static func linear(to greatest: Double, tickCountMax: Int = 6, base: TickBase) -> PlotScale {
        let greatest = greatest.isFinite && greatest > 0 ? greatest : 1
        let step = self.step(greatest / Double(max(tickCountMax - 1, 1)), base)
        let count = Int((greatest / step - 1e-9).rounded(.up))
        return PlotScale(
            isLogarithmic: false, low: 0, high: Double(max(count, 1)) * step,
            ticks: (0...max(count, 1)).map { Double($0) * step })
    }

    /// Of a time: its end is no tick's, but the last value's.
    package static func elapsed(to end: Double, tickCountMax: Int) -> PlotScale {
        let scale = linear(to: end, tickCountMax: tickCountMax, base: .seconds)
        let end = end.isFinite && end > 0 ? end : scale.high
        return PlotScale(isLogarithmic: false, low: 0, high: end, ticks: scale.ticks.filter { $0 <= end })
    }

    /// From the last of 1, 2, 5, 10, … at or below `least` to the first at or above `greatest`. Both are above 0.
    package static func logarithmic(from least: Double, to greatest: Double) -> PlotScale {
        let first = Int(log10(least).rounded(.down)), last = Int(log10(greatest).rounded(.up))
        var all: [Double] = []
        for decade in first...max(last, first + 1) {
            for factor in [1.0, 2, 5] { all.append(factor * power(of: 10, decade)) }
        }
        let low = all.last { $0 <= least * (1 + 1e-9) } ?? all[0]
        let high = all.first { $0 >= greatest * (1 - 1e-9) && $0 > low } ?? all[all.count - 1]
        var ticks = all.filter { $0 >= low && $0 <= high }
        if ticks.count > 8 { ticks = ticks.filter { isPower(of: 10, $0) } }
        return PlotScale(isLogarithmic: true, low: low, high: high, ticks: ticks)
    }

    private static func step(_ least: Double, _ base: TickBase) -> Double {
        switch base {
        case .decimal: return niceStep(least)
        case .whole: return max(niceStep(least), 1)
        case .binary:
            var unit = 1.0
            while least >= unit * 1_024 { unit *= 1_024 }
            // 512 MiB and not 500: the next unit is then a tick again.
            if least > unit * 256 { return least > unit * 512 ? unit * 1_024 : unit * 512 }
            return [1, 2, 4, 8, 16, 32, 64, 128, 256].map { $0 * unit }.first { $0 >= least } ?? unit * 1_024
        case .seconds:
            if least <= 1 { return niceStep(least) }
            let steps: [Double] = [
                1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400,
            ]
            return steps.first { $0 >= least } ?? 86_400 * niceStep(least / 86_400)
        }
    }

    /// The first of 1, 2, 5, 10, … of any decade at or above `least`.
    package static func niceStep(_ least: Double) -> Double {
        let decade = power(of: 10, Int(log10(least).rounded(.down)))
        return ([1.0, 2, 5, 10].first { $0 * decade >= least * (1 - 1e-9) } ?? 10) * decade
    }

    /// Exact for negative exponents too, where pow(10, -n) is not.
    private static func power(of base: Double, _ exponent: Int) -> Double {
        exponent >= 0 ? pow(base, Double(exponent)) : 1 / pow(base, Double(-exponent))
    }

    private static func isPower(of base: Double, _ value: Double) -> Bool {
        let exponent = log10(value) / log10(base)
        return abs(exponent - exponent.rounded()) < 1e-9
    }
}

/// What an axis counts, and how its values are written.
package enum PlotUnit: String, Sendable {
    case nanoseconds, perSecond, count, bytes, share

    var base: PlotScale.TickBase {
        switch self {
        case .nanoseconds, .perSecond, .share: .decimal
        case .count: .whole
        case .bytes: .binary
        }
    }

    /// Short, for a tick.
    package func label(_ value: Double) -> String {
        switch self {
        case .nanoseconds: Self.scaled(value, [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns")])
        case .perSecond, .count: Self.scaled(value, [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1, "")])
        case .bytes: Self.scaled(value, [(0x1p40, "TiB"), (0x1p30, "GiB"), (0x1p20, "MiB"), (0x1p10, "KiB"), (1, "B")])
        case .share: Self.significant(value * 100) + " %"
        }
    }

    private static func scaled(_ value: Double, _ units: [(Double, String)]) -> String {
        guard value != 0 else { return "0" }
        let (factor, name) = units.first { abs(value) >= $0.0 * 0.9995 } ?? units[units.count - 1]
        return significant(value / factor) + (name.isEmpty ? "" : " " + name)
    }

    /// Three digits, less those that say nothing.
    static func significant(_ value: Double) -> String {
        let text = Format.decimal(value, digits: abs(value) >= 99.95 ? 0 : abs(value) >= 9.995 ? 1 : 2)
        guard text.contains(".") else { return text }
        var end = text[...]
        while end.last == "0" { end.removeLast() }
        if end.last == "." { end.removeLast() }
        return String(end)
    }
}
