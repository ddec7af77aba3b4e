// SPDX-License-Identifier: Apache-2.0

import LoadTesting
import Testing

@Suite struct ComparisonTests {
    @Test("the interval of paired rounds is Student's on their logarithms")
    func interval() throws {
        // Logarithms of the ratios: 0.1, 0.2, 0.3; mean 0.2, deviation 0.1, 4.303 * 0.1 / √3 = 0.24843.
        let a = [1.0, 10, 100]
        let b = [1.105_170_918, 12.214_027_58, 134.985_880_8]
        let comparison = try #require(RoundComparison(a: a, b: b))
        #expect(abs(comparison.ratio - 1.221_402_758) < 1e-6)
        #expect(abs((comparison.low ?? 0) - 0.952_73) < 1e-4)
        #expect(abs((comparison.high ?? 0) - 1.565_82) < 1e-4)
        #expect(!comparison.isDecided)
        #expect(
            comparison.sentence("throughput")
                == "throughput: no difference shown (B/A 1.221, 95 % interval 0.953 to 1.566)")
    }

    @Test("equal ratios leave no doubt, whatever the rounds have in common")
    func decided() throws {
        let comparison = try #require(RoundComparison(a: [1, 5, 2], b: [0.5, 2.5, 1]))
        #expect(comparison.isDecided)
        #expect(
            comparison.sentence("p99") == "p99: B is 50.0 % lower (B/A 0.500, 95 % interval 0.500 to 0.500)")
    }

    @Test("one round shows nothing, and no figures compare to nothing")
    func few() throws {
        let one = try #require(RoundComparison(a: [1], b: [2]))
        #expect(one.low == nil && one.high == nil && !one.isDecided)
        #expect(RoundComparison(a: [], b: []) == nil)
        #expect(RoundComparison(a: [1], b: [1, 2]) == nil)
        #expect(RoundComparison(a: [1, 0], b: [1, 2]) == nil)
        #expect(RoundComparison(a: [1, .nan], b: [1, 2]) == nil)
    }

    @Test("rounds are measured in the order ABBA")
    func order() async throws {
        var measured = ""
        var comparison = ServerComparison()
        try await comparison.run(roundCount: 3) { _, _, _ in
        } measure: { isA in
            measured += isA ? "A" : "B"
            return RunRecord(plan: .echo("ws://127.0.0.1:1/"), startedAt: 0)
        }
        #expect(measured == "ABBAAB")
        #expect(comparison.a.count == 3 && comparison.b.count == 3)
        #expect(comparison.json.contains("\"ratios\": {\"per_second\": null"))
    }

    @Test(
        "more clients than ports are foretold, with how many source addresses they need",
        arguments: [
            (100, 1, 1, nil), (101, 1, 1, "use 2 or more"), (200, 2, 1, nil), (450, 2, 1, "use 5 or more"),
            (201, 1, 2, "use 2 or more"),
        ]
            as [(Int, Int, Int, String?)])
    func ports(clientCount: Int, sourceCount: Int, urlCount: Int, remedy: String?) {
        var target = Target((0..<urlCount).map { "ws://127.0.0.\($0 + 1):9001/echo" })
        target.sourceAddresses = (0..<sourceCount).map { "127.0.1.\($0)" }
        let plan = LoadPlan(.idle, groups: [ClientGroup("clients", clientCount, target, .idle)])
        let warnings = PortBudget(portCount: 100).warnings(plan, machineCount: 1)
        #expect(warnings.count == (remedy == nil ? 0 : 1))
        if let remedy { #expect(warnings.first?.contains(remedy) == true, "\(warnings)") }
        #expect(PortBudget(portCount: 100).warnings(plan, machineCount: 5).isEmpty)
    }

    @Test("unix sockets need no ports, and this machine's range is known")
    func noPorts() throws {
        let plan = LoadPlan(.idle, groups: [ClientGroup("clients", 1_000, Target(["ws+unix:/run/x:/"]), .idle)])
        #expect(PortBudget(portCount: 1).warnings(plan, machineCount: 1) == [])
        #expect(try #require(PortBudget.ofThisMachine).portCount > 0)
    }
}
