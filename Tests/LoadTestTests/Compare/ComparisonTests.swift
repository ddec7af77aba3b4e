// SPDX-License-Identifier: Apache-2.0

import LoadTesting
import Testing

@Suite struct ComparisonTests {
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
