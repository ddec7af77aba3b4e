// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostDaemon

@Suite struct QuantityTests {
    @Test(
        "a size is bytes, or a number with a unit",
        arguments: [
            ("0", 0), ("65536", 65_536), ("1_000", 1_000), ("7B", 7), ("64KiB", 65_536), ("1 MiB", 1 << 20),
            ("2GiB", 2 << 30),
            ("1TiB", 1 << 40), ("3kB", 3_000), ("2MB", 2_000_000), ("1GB", 1_000_000_000), ("-1", -1),
        ])
    func readsSizes(text: String, byteCount: Int) { #expect(Quantity.byteCount(text) == byteCount) }

    @Test(
        "what is no size is refused",
        arguments: ["", " ", "KiB", "1.5MiB", "1Mib", "1M", "0x10", "1  KiB", "+1", "_1", "ten", "9999999999TiB", "1 "])
    func refusesSizes(text: String) { #expect(Quantity.byteCount(text) == nil) }

    @Test(
        "a duration is seconds, or a number with a unit",
        arguments: [
            ("0", Duration.zero), ("30", .seconds(30)), ("250ms", .milliseconds(250)), ("30s", .seconds(30)),
            ("5m", .seconds(300)),
            ("1h", .seconds(3_600)), ("1d", .seconds(86_400)), ("-1s", .seconds(-1)),
        ])
    func readsDurations(text: String, duration: Duration) { #expect(Quantity.duration(text) == duration) }

    @Test(
        "what is no duration is refused",
        arguments: ["", "s", "1.5s", "1min", "1 hour", "1h30m", "9223372036854775807"])
    func refusesDurations(text: String) { #expect(Quantity.duration(text) == nil) }

    @Test(
        "sizes are written in the largest unit that is exact, and read back",
        arguments: [1, 1_023, 1_024, 8_192, 1 << 20, 65_535, 3 << 30])
    func writesSizes(byteCount: Int) {
        #expect(Quantity.byteCount(Quantity.text(byteCount: byteCount)) == byteCount)
    }

    @Test(
        "durations are written in the largest unit that is exact, and read back",
        arguments: [0, 1, 250, 1_000, 90_000, 3_600_000])
    func writesDurations(milliseconds: Int) {
        let text = Quantity.text(.milliseconds(milliseconds))
        #expect(Quantity.duration(text) == .milliseconds(milliseconds))
    }

    @Test("the shortest form") func isShort() {
        #expect(Quantity.text(byteCount: 1 << 20) == "1MiB")
        #expect(Quantity.text(byteCount: 65_535) == "65535")
        #expect(Quantity.text(.seconds(86_400)) == "1d")
        #expect(Quantity.text(.seconds(90)) == "90s")
        #expect(Quantity.text(.zero) == "0")
    }
}
