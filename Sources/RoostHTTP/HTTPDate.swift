/// A moment as HTTP writes it, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
package struct HTTPDate: Hashable, Sendable, CustomStringConvertible {
    package let description: String

    private static let dayNames = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    private static let monthNames = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    private static let secondsPerDay = 86_400
    /// The end of year 9999: the format has four digits.
    private static let secondsMax = 253_402_300_799

    /// `seconds` since 1970-01-01 00:00 UTC; what the format cannot tell becomes its first or last moment.
    package init(secondsSince1970 seconds: Int) {
        let seconds = min(max(seconds, 0), Self.secondsMax)
        let day = seconds / Self.secondsPerDay
        let second = seconds % Self.secondsPerDay
        let (year, month, dayOfMonth) = Self.date(ofDay: day)
        // 1970-01-01 was a Thursday.
        let dayName = Self.dayNames[(day + 3) % 7]
        let time = "\(Self.padded(second / 3_600)):\(Self.padded(second / 60 % 60)):\(Self.padded(second % 60))"
        let years = String(repeating: "0", count: 4 - String(year).count) + String(year)
        description = "\(dayName), \(Self.padded(dayOfMonth)) \(Self.monthNames[month]) \(years) \(time) GMT"
    }

    private static func padded(_ number: Int) -> String { (number < 10 ? "0" : "") + String(number) }

    /// Year, month (from 0) and day (from 1) of the Gregorian calendar, `day` days after 1970-01-01.
    private static func date(ofDay day: Int) -> (year: Int, month: Int, dayOfMonth: Int) {
        var year = 1970 + day / 366
        var rest = day - dayCount(before: year)
        while rest >= dayCount(of: year) {
            rest -= dayCount(of: year)
            year += 1
        }
        let february = dayCount(of: year) - 337
        let monthDayCounts = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        var month = 0
        while rest >= monthDayCounts[month] {
            rest -= monthDayCounts[month]
            month += 1
        }
        return (year, month, rest + 1)
    }

    private static func dayCount(of year: Int) -> Int { dayCount(before: year + 1) - dayCount(before: year) }

    /// Days from 1970-01-01 to the first of `year`.
    private static func dayCount(before year: Int) -> Int {
        let last = year - 1
        return year * 365 + last / 4 - last / 100 + last / 400 - 719_527
    }
}
