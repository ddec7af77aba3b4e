// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostRuntime

extension RuntimeTests {
    @Suite("Supervisor reports", .timeLimit(.minutes(1)))
    struct SupervisorReportTests {
        @Test("Progress, crash and supervisor reports name the child, its pid and the reason, in order")
        func reportsInOrder() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, children: [worker("a")], onReport: journal.report)
                let first = try #require(try await supervisor.whichChildren()[0].pid)
                try await supervisor.endChild("a", .trap, runtime)
                let second = try #require(try await supervisor.whichChildren()[0].pid)
                try await supervisor.tell("a", .kill)
                await journal.wait(forReports: 3)
                await runtime.waitForProcessCount(0)
                let reports = journal.allReports
                #expect(
                    reports.map(\.event) == [
                        .progress, .crash, .childTerminated, .progress, .childTerminated, .shutdown,
                    ], "a kill is no crash of the child's own")
                #expect(reports.map(\.child) == [first, first, first, second, second, second])
                #expect(reports.allSatisfy { $0.id == "a" && $0.supervisor == supervisor.pid && $0.childCount == 1 })
                #expect(reports.map(\.isFailure) == [false, true, true, false, true, true])
                #expect(reports[1].reason.trap != nil && reports[2].reason.trap != nil && reports[4].reason.isKilled)
                let texts = reports.map(\.description)
                #expect(texts[0] == "supervisor \(supervisor.pid): child a \(first) started")
                #expect(texts[1].hasPrefix("supervisor \(supervisor.pid): child a \(first) crashed: trapped"))
                #expect(texts[1].contains("\n    at "))
                #expect(texts[4] == "supervisor \(supervisor.pid): child a \(second) terminated: killed; permanent")
                #expect(texts[5].contains("more than 1 restarts in 5.0 seconds") && texts[5].hasSuffix("; giving up"))
            }
        }

        @Test("Of many dynamic children that end alike, one report tells")
        func gathersShutdownErrors() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(in: runtime, strategy: .dynamic, onReport: journal.report)
                for _ in 0..<300 {
                    try await supervisor.startChild(
                        .initializing("deaf", receiving: Never.self, shutdown: .timeout(.milliseconds(1))) {
                            process, start in
                            process.trapExits()
                            start.ready()
                            while true { _ = try process.receiveAny() }
                        })
                }
                await supervisor.stop()
                await runtime.waitForProcessCount(0)
                #expect(journal.allReports.map(\.event) == [.shutdownError], "and no progress of each")
                #expect(journal.allReports[0].childCount == 300 && journal.allReports[0].reason.isKilled)
                #expect("\(journal.allReports[0])".contains("and 299 more did not shut down: killed"))
            }
        }

        @Test("A supervisor that is started again has the children of its specification, neither more nor less")
        func losesWhatWasChanged() async throws {
            try await withRuntime { runtime in
                let inner = ChildSpecification.supervisor(
                    "inner", intensity: RestartIntensity(0, in: .seconds(1)), children: [worker("a"), worker("b")])
                let outer = try await Supervisor.start(in: runtime, children: [inner])
                func current() async throws -> Supervisor {
                    let address = try await outer.address(of: "inner", receiving: Supervisor.Request.self)
                    return Supervisor(try #require(address), runtime)
                }
                let before = try await current()
                try await before.startChild(worker("added"))
                try await before.terminateChild("b")
                try await before.deleteChild("b")
                #expect(try await before.whichChildren().map(\.id) == ["a", "added"])
                try await before.tell("a", .fail)
                while try await outer.whichChildren()[0].pid == before.pid {}
                #expect(try await current().whichChildren().map(\.id) == ["a", "b"])
                await outer.stop()
                await runtime.waitForProcessCount(0)
            }
        }
    }
}
