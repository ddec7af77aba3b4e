// SPDX-License-Identifier: Apache-2.0

import LoadTesting
import Testing

@Suite struct PlotTests {
    @Test(
        "steps of an axis are 1, 2 or 5 of a decade",
        arguments: [(0.9, 1.0), (1, 1), (1.1, 2), (2.1, 5), (7, 10), (0.03, 0.05), (0.1, 0.1), (34_000, 50_000)])
    func niceSteps(least: Double, step: Double) {
        #expect(abs(PlotScale.niceStep(least) - step) < step * 1e-12)
    }

    @Test("a linear axis begins at 0 and ends at the first tick above the values")
    func linear() {
        #expect(PlotScale.linear(to: 12, base: .whole).ticks == [0, 5, 10, 15])
        #expect(PlotScale.linear(to: 10, base: .whole).ticks == [0, 2, 4, 6, 8, 10])
        #expect(PlotScale.linear(to: 2, base: .whole).ticks == [0, 1, 2])
        #expect(PlotScale.linear(to: 0, base: .whole).ticks == [0, 1])
        #expect(PlotScale.linear(to: .nan, base: .whole).ticks == [0, 1])
        #expect(PlotScale.linear(to: 200 * 0x1p20, base: .binary).ticks.map { $0 / 0x1p20 } == [0, 64, 128, 192, 256])
        #expect(PlotScale.linear(to: 3 * 0x1p30, base: .binary).ticks.map { $0 / 0x1p30 } == [0, 1, 2, 3])
    }

    @Test("time is told in steps of clocks")
    func elapsed() {
        #expect(PlotScale.elapsed(to: 64, tickCountMax: 8).ticks == [0, 10, 20, 30, 40, 50, 60])
        #expect(PlotScale.elapsed(to: 3_600, tickCountMax: 8).ticks == [0, 600, 1_200, 1_800, 2_400, 3_000, 3_600])
        #expect(PlotScale.elapsed(to: 0, tickCountMax: 8).high == 1)
    }

    @Test("a logarithmic axis is taken where the values need it")
    func logarithmic() {
        let wide = PlotScale.fitting([120_000, 45_000_000], isLogarithmicAllowed: true, base: .decimal)
        #expect(wide.isLogarithmic && wide.low == 100_000 && wide.high == 50_000_000)
        #expect(wide.ticks.first == 100_000 && wide.ticks.last == 10_000_000)
        #expect(!PlotScale.fitting([1, 49], isLogarithmicAllowed: true, base: .decimal).isLogarithmic)
        #expect(!PlotScale.fitting([1, 1_000], isLogarithmicAllowed: false, base: .decimal).isLogarithmic)
        // 0 has no place on it, and does not keep the others from theirs.
        #expect(PlotScale.fitting([0, 1, 1_000], isLogarithmicAllowed: true, base: .decimal).isLogarithmic)
        let huge = PlotScale.logarithmic(from: 80_000, to: 55e9)
        #expect(huge.ticks == [100_000, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11])
        #expect(huge.position(of: 0) == 0 && huge.position(of: 1e12) == 1)
        #expect(abs(PlotScale.logarithmic(from: 1, to: 100).position(of: 10) - 0.5) < 1e-12)
    }

    @Test("ticks lie within their axis, in order, and few enough to read", arguments: 0..<200)
    func ticks(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let values = (0..<10).map { _ in
            Double.random(in: 0...1, using: &random) * [1, 1e3, 1e9, 1e13].randomElement(using: &random)!
        }
        for base in [PlotScale.TickBase.decimal, .binary, .whole, .seconds] {
            for isLogarithmicAllowed in [false, true] {
                let scale = PlotScale.fitting(values, isLogarithmicAllowed: isLogarithmicAllowed, base: base)
                #expect(scale.low < scale.high, "seed \(seed)")
                #expect(scale.ticks == scale.ticks.sorted(), "seed \(seed)")
                #expect((1...20).contains(scale.ticks.count), "seed \(seed): \(scale.ticks)")
                #expect(scale.ticks.allSatisfy { $0 >= scale.low && $0 <= scale.high }, "seed \(seed)")
                #expect(values.allSatisfy { $0 <= scale.high }, "seed \(seed)")
            }
        }
    }

    @Test("values are told in three digits and a unit")
    func labels() {
        #expect(
            [0, 999, 1_500, 120_000, 45e6, 3e9, 999_960].map(PlotUnit.nanoseconds.label) == [
                "0", "999 ns", "1.5 µs", "120 µs", "45 ms", "3 s", "1 ms",
            ])
        #expect([0, 1_500, 2e6].map(PlotUnit.perSecond.label) == ["0", "1.5 k", "2 M"])
        #expect([512, 0x1p20 * 1.25].map(PlotUnit.bytes.label) == ["512 B", "1.25 MiB"])
        #expect(PlotUnit.share.label(0.125) == "12.5 %")
    }

    @Test(
        "thinning keeps the first, the last, every extreme and real points alone", arguments: [600, 601, 5_000, 36_000])
    func thinning(count: Int) {
        var random = SeededGenerator(seed: UInt64(count))
        var points = (0..<count).map { PlotPoint(Double($0), Double.random(in: 10...20, using: &random)) }
        points[count / 3].y = 99
        points[count / 2].y = 1
        let thinned = Thinning.thinned(points)
        #expect(thinned.count <= 600)
        #expect(count > 600 || thinned == points)
        #expect(thinned.first == points.first && thinned.last == points.last)
        #expect(thinned.contains(points[count / 3]) && thinned.contains(points[count / 2]))
        #expect(thinned.map(\.x) == thinned.map(\.x).sorted())
        #expect(Set(thinned.map(\.x)).count == thinned.count)
        #expect(thinned.allSatisfy { points[Int($0.x)] == $0 })
    }

    @Test("a long stretch without values stays a gap")
    func thinnedGap() {
        let points = (0..<6_000).map { PlotPoint(Double($0), (2_000..<4_000).contains($0) ? nil : 1) }
        let thinned = Thinning.thinned(points)
        #expect(thinned.contains { $0.y == nil })
        #expect(thinned.allSatisfy { ($0.y == nil) == (2_000..<4_000).contains(Int($0.x)) })
    }

    @Test("a line is broken where it has no value, and its lone points are drawn as dots")
    func path() {
        let points = [PlotPoint(0, 0), PlotPoint(5, 10), PlotPoint(6, nil), PlotPoint(10, 5)]
        let drawing = PlotDrawing(
            Plot("a", title: "A", summary: "B.", unit: .count, lines: [PlotLine("l", points)]), .wide)
        let path = drawing.path(points)
        // 62...596 across for 0...10 s, 266 down to 12 for 0...10.
        #expect(path.data == "M62 266L329 12M596 139")
        #expect(path.pointCount == 3)
        #expect(path.lone.map(\.x) == [596])
    }

    @Test("labels move apart, stay within the drawing and keep their order")
    func labelsApart() {
        #expect(PlotDrawing.spread([50, 50, 51], distance: 10, low: 0, high: 100) == [50, 60, 70])
        #expect(PlotDrawing.spread([99, 95], distance: 10, low: 0, high: 100) == [100, 90])
        #expect(PlotDrawing.spread([], distance: 10, low: 0, high: 100) == [])
    }
}
