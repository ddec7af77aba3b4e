// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostRuntime

// What OTP's manual says of each is in docs/otp-supervisor.md.
extension RuntimeTests {
    @Suite("Restart strategies", .timeLimit(.minutes(1)))
    struct SupervisorStrategyTests {
        private static let often = RestartIntensity(1_000, in: .seconds(3_600))

        @Test("one_for_all: the others end, right to left, and all start again, left to right")
        func restartsOneForAll() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, strategy: .oneForAll, intensity: Self.often,
                    children: ["a", "b", "c", "d"].map { probe($0, journal) })
                let before = try await supervisor.whichChildren().map(\.pid)
                _ = journal.take()
                try await supervisor.endChild("b", .trap, runtime)
                #expect(
                    journal.take() == [
                        "d ends", "c ends", "a ends", "a starts", "b starts", "c starts", "d starts",
                    ])
                let after = try await supervisor.whichChildren()
                #expect(after.map(\.id) == ["a", "b", "c", "d"])
                #expect(after.allSatisfy { $0.pid != nil && !before.contains($0.pid) })
                await supervisor.stop()
            }
        }

        @Test(
            "rest_for_one: those after it end, right to left; it and they start again; those before it run on",
            arguments: [
                ("a", ["d ends", "c ends", "b ends", "a starts", "b starts", "c starts", "d starts"]),
                ("c", ["d ends", "c starts", "d starts"]), ("d", ["d starts"]),
            ])
        func restartsRestForOne(_ failing: String, _ expected: [String]) async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let ids = ["a", "b", "c", "d"]
                let supervisor = try await Supervisor.start(
                    in: runtime, strategy: .restForOne, intensity: Self.often, children: ids.map { probe($0, journal) })
                let before = try await supervisor.whichChildren().map(\.pid)
                _ = journal.take()
                try await supervisor.endChild(failing, .fail, runtime)
                #expect(journal.take() == expected)
                let after = try await supervisor.whichChildren()
                #expect(after.map(\.id) == ids)
                #expect(zip(before, after).map { $0 == $1.pid } == ids.map { $0 < failing })
                await supervisor.stop()
            }
        }

        @Test("A failing child that is not restarted concerns no other", arguments: strategiesOfOrder)
        func leavesOthersAlone(_ strategy: Supervisor.Strategy) async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, strategy: strategy,
                    children: [
                        probe("a", journal, restart: .temporary), probe("b", journal, restart: .transient),
                        probe("c", journal),
                    ])
                _ = journal.take()
                try await supervisor.endChild("a", .fail, runtime)
                try await supervisor.endChild("b", .shutdownTerm, runtime)
                #expect(journal.take() == [])
                #expect(try await supervisor.whichChildren().map(\.id) == ["b", "c"])
                await supervisor.stop()
            }
        }

        @Test("A sibling's failure ends temporary children for good", arguments: strategiesOfOrder)
        func endsTemporaryChildren(_ strategy: Supervisor.Strategy) async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, strategy: strategy, intensity: Self.often,
                    children: [
                        probe("a", journal), probe("b", journal, restart: .temporary),
                        probe("c", journal, restart: .transient),
                    ])
                _ = journal.take()
                try await supervisor.endChild("a", .kill, runtime)
                #expect(journal.take() == ["c ends", "b ends", "a starts", "c starts"])
                #expect(try await supervisor.whichChildren().map(\.id) == ["a", "c"])
                await supervisor.stop()
            }
        }

        @Test("A restart of all starts those too that had ended, were terminated, or had nothing to start")
        func startsWhatDidNotRun() async throws {
            let journal = Journal()
            let isPresent = Locked(false)
            try await withRuntime { runtime in
                let late = ChildSpecification.starting("late") { supervisor in
                    guard isPresent.withLock({ $0 }) else { return nil }
                    journal.note("late starts")
                    return supervisor.spawnLink(receiving: ChildEnding.self) { try obey($0) }.pid
                }
                let supervisor = try await Supervisor.start(
                    in: runtime, strategy: .oneForAll, intensity: Self.often,
                    children: [
                        probe("a", journal), probe("b", journal, restart: .transient), late, probe("d", journal),
                    ])
                try await supervisor.endChild("b", .return, runtime)
                try await supervisor.terminateChild("a")
                isPresent.withLock { $0 = true }
                _ = journal.take()
                try await supervisor.endChild("d", .fail, runtime)
                #expect(journal.take() == ["a starts", "b starts", "late starts", "d starts"])
                #expect(try await supervisor.countChildren().active == 4)
                await supervisor.stop()
            }
        }

        @Test("one_for_all: where a start fails, those started end again and all are tried anew; each attempt counts")
        func triesAllAgain() async throws {
            let journal = Journal()
            let failures = Failures()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, strategy: .oneForAll, intensity: RestartIntensity(3, in: .seconds(3_600)),
                    children: ["a", "b", "c"].map { probe($0, journal, failing: failures) }, onReport: journal.report)
                _ = journal.take()
                failures.expect("b", 2)
                try await supervisor.tell("c", .fail)
                await journal.wait(forReports: 3)
                while try await supervisor.countChildren().active < 3 {}
                let attempt = ["a starts", "b fails", "a ends"]
                #expect(
                    journal.take() == ["b ends", "a ends"] + attempt + attempt + ["a starts", "b starts", "c starts"])
                #expect(journal.reports.map(\.event) == [.childTerminated, .startError, .startError])
                #expect(journal.reports.map(\.id) == ["c", "b", "b"])
                // Three restarts are counted: a fourth is one too many.
                try await supervisor.tell("a", .fail)
                await runtime.waitForProcessCount(0)
                #expect(journal.reports.last?.event == .shutdown)
            }
        }

        @Test("rest_for_one: where a start fails, the next attempt begins with that child")
        func triesRestAgain() async throws {
            let journal = Journal()
            let failures = Failures()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, strategy: .restForOne, intensity: Self.often,
                    children: ["a", "b", "c", "d"].map { probe($0, journal, failing: failures) },
                    onReport: journal.report)
                _ = journal.take()
                failures.expect("c")
                try await supervisor.tell("b", .fail)
                await journal.wait(forReports: 2)
                while try await supervisor.countChildren().active < 4 {}
                #expect(
                    journal.take() == ["d ends", "c ends", "b starts", "c fails", "c starts", "d starts"],
                    "b, which did start, is left alone")
                await supervisor.stop()
            }
        }

        @Test("Past the intensity all end, right to left", arguments: strategiesOfOrder)
        func givesUp(_ strategy: Supervisor.Strategy) async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, strategy: strategy, intensity: RestartIntensity(0, in: .seconds(1)),
                    children: ["a", "b", "c"].map { probe($0, journal) }, onReport: journal.report)
                _ = journal.take()
                async let reason = runtime.exitReason(of: supervisor.pid)
                try await supervisor.tell("b", .fail)
                let ended = await reason
                #expect(ended.isShutdown || ended.isNoProcess)
                #expect(journal.take() == ["c ends", "a ends"])
                #expect(journal.reports.map(\.event) == [.childTerminated, .shutdown])
                guard
                    case .error(SupervisorError.reachedMaxRestartIntensity(let intensity))? = journal.reports.last?
                        .reason
                else { return #expect(Bool(false), "\(journal.reports)") }
                #expect(intensity.restartCountMax == 0)
            }
        }

        @Test("Requests that come during a restart are answered after it; a child between attempts is restarting")
        func answersAfterRestart() async throws {
            let isOpen = Locked(false)
            let attempts = Counter()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, intensity: RestartIntensity(Int.max - 1, in: .seconds(3_600)),
                    children: [
                        worker("other"),
                        .starting("a") { supervisor in
                            attempts.add()
                            if attempts.value > 1, !isOpen.withLock({ $0 }) { throw Refused() }
                            return supervisor.spawnLink(receiving: ChildEnding.self) { try obey($0) }.pid
                        },
                    ])
                let first = try #require(try await supervisor.whichChildren()[1].pid)
                Address<ChildEnding>(pid: first).send(.fail)
                await attempts.wait(atLeast: 10)
                #expect(try await supervisor.whichChildren().map(\.state)[1] == .restarting)
                #expect(try await supervisor.countChildren().active == 1)
                await #expect { try await supervisor.restartChild("a") } throws: { $0.isRestarting }
                await #expect { try await supervisor.deleteChild("a") } throws: { $0.isRestarting }
                await #expect {
                    try await supervisor.startChild(worker("a"))
                } throws: { error in
                    guard case SupervisorError.alreadyPresent("a") = error else { return false }
                    return true
                }
                try await supervisor.terminateChild("a")
                let count = attempts.value
                #expect(try await supervisor.whichChildren().map(\.state)[1] == .undefined)
                #expect(attempts.value == count, "terminated, it is not tried again")
                isOpen.withLock { $0 = true }
                #expect(try await supervisor.restartChild("a") != nil)
                await supervisor.stop()
            }
        }

        @Test("A million restarts are counted in a few steps each")
        func countsManyRestarts() {
            let start = MonotonicTime(nanoseconds: 1_000_000_000_000)
            var window = RestartWindow(RestartIntensity(1_000_000, in: .seconds(1_000_000)))
            var allowed = 0
            for number in 0..<1_000_100 where window.allowsRestart(at: start + .seconds(number / 100)) { allowed += 1 }
            #expect(allowed == 1_000_000)
            var sliding = RestartWindow(RestartIntensity(1_000, in: .seconds(10)))
            #expect((0..<100_000).allSatisfy { sliding.allowsRestart(at: start + .milliseconds($0 * 11)) })
        }
    }
}

private let strategiesOfOrder: [Supervisor.Strategy] = [.oneForAll, .restForOne]

extension Error {
    fileprivate var isRestarting: Bool {
        if let error = self as? SupervisorError, case .restarting = error { true } else { false }
    }
}
