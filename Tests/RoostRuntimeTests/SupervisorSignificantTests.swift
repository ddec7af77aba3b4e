// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostRuntime

// What OTP's manual says of each is in docs/otp-supervisor.md.
extension RuntimeTests {
    @Suite("Significant children and auto-shutdown", .timeLimit(.minutes(1)))
    struct SupervisorSignificantTests {
        /// Starts "a", "b" and "c", the first two significant, and returns what happens when `body` is done.
        private func run(
            _ autoShutdown: Supervisor.AutoShutdown, restart: ChildSpecification.Restart,
            strategy: Supervisor.Strategy = .oneForOne, _ journal: Journal,
            _ body: (Supervisor, Runtime) async throws -> Void
        ) async throws {
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, strategy: strategy, intensity: RestartIntensity(100, in: .seconds(3_600)),
                    autoShutdown: autoShutdown,
                    children: [
                        probe("a", journal, restart: restart, significant: true),
                        probe("b", journal, restart: restart, significant: true), probe("c", journal),
                    ], onReport: journal.report)
                _ = journal.take()
                try await body(supervisor, runtime)
                await supervisor.stop()
                await runtime.waitForProcessCount(0)
            }
        }

        private func expectShutdown(_ supervisor: Supervisor, _ runtime: Runtime, _ body: () async throws -> Void)
            async throws
        {
            let end = Locked<ExitReason?>(nil)
            runtime.whenEnded(supervisor.pid) { _, reason in end.withLock { $0 = reason } }
            try await body()
            while end.withLock({ $0 == nil }) { await Task.yield() }
            #expect(end.withLock { $0?.isShutdown } == true)
        }

        @Test(
            "any_significant: the normal end of a transient child and any end of a temporary one shut down",
            arguments: [ChildSpecification.Restart.transient, .temporary], ChildEnding.allCases)
        func shutsDownWithAny(_ restart: ChildSpecification.Restart, _ ending: ChildEnding) async throws {
            let journal = Journal()
            let isNormal = [.return, .shutdown, .shutdownTerm].contains(ending)
            try await run(.anySignificant, restart: restart, journal) { supervisor, runtime in
                if isNormal || restart == .temporary {
                    try await expectShutdown(supervisor, runtime) { try await supervisor.tell("a", ending) }
                    #expect(journal.take() == ["c ends", "b ends"])
                } else {
                    try await supervisor.endChild("a", ending, runtime)
                    #expect(journal.take() == ["a starts"], "a failed transient child is restarted instead")
                }
                #expect(journal.reports.map(\.event) == (isNormal ? [] : [.childTerminated]))
            }
        }

        @Test(
            "all_significant: only the end of the last one that runs shuts down",
            arguments: [ChildSpecification.Restart.transient, .temporary])
        func shutsDownWithAll(_ restart: ChildSpecification.Restart) async throws {
            let journal = Journal()
            try await run(.allSignificant, restart: restart, journal) { supervisor, runtime in
                try await supervisor.endChild("a", .return, runtime)
                try await supervisor.endChild("c", .fail, runtime)
                #expect(journal.take() == ["c starts"])
                try await expectShutdown(supervisor, runtime) { try await supervisor.tell("b", .shutdown) }
                #expect(journal.take() == ["c ends"])
            }
        }

        @Test("all_significant: a child that is being restarted still runs")
        func waitsForRestarts() async throws {
            let journal = Journal()
            let isOpen = Locked(false)
            let attempts = Counter()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, intensity: RestartIntensity(Int.max - 1, in: .seconds(3_600)),
                    autoShutdown: .allSignificant,
                    children: [
                        .starting("a", restart: .transient, significant: true) { supervisor in
                            attempts.add()
                            if attempts.value > 1, !isOpen.withLock({ $0 }) { throw Refused() }
                            return supervisor.spawnLink(receiving: ChildEnding.self) { try obey($0) }.pid
                        },
                        probe("b", journal, restart: .temporary, significant: true),
                    ])
                let address = try await supervisor.whichChildren()[0].pid.map { Address<ChildEnding>(pid: $0) }
                address?.send(.fail)
                await attempts.wait(atLeast: 3)
                try await supervisor.endChild("b", .return, runtime)
                isOpen.withLock { $0 = true }
                while try await supervisor.whichChildren()[0].pid == nil {}
                let again = try await supervisor.whichChildren()[0].pid.map { Address<ChildEnding>(pid: $0) }
                try await expectShutdown(supervisor, runtime) { again?.send(.return) }
            }
        }

        @Test("What the supervisor ends itself shuts nothing down: terminate_child")
        func ignoresTermination() async throws {
            let journal = Journal()
            try await run(.anySignificant, restart: .transient, journal) { supervisor, runtime in
                try await supervisor.terminateChild("a")
                #expect(try await supervisor.countChildren().active == 2)
            }
        }

        @Test("What the supervisor ends itself shuts nothing down: a sibling's failure")
        func ignoresSiblings() async throws {
            let journal = Journal()
            try await run(.anySignificant, restart: .temporary, strategy: .oneForAll, journal) { supervisor, runtime in
                try await supervisor.endChild("c", .fail, runtime)
                #expect(journal.take() == ["b ends", "a ends", "c starts"])
                #expect(try await supervisor.whichChildren().map(\.id) == ["c"])
            }
        }

        @Test("A supervisor that has shut itself down is a child that ended with reason shutdown")
        func endsNormallyForItsSupervisor() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let inner = ChildSpecification.supervisor(
                    "inner", restart: .transient, autoShutdown: .anySignificant,
                    children: [probe("a", journal, restart: .temporary, significant: true), probe("b", journal)])
                let outer = try await Supervisor.start(in: runtime, children: [inner], onReport: journal.report)
                let address = try #require(try await outer.address(of: "inner", receiving: Supervisor.Request.self))
                try await Supervisor(address, runtime).tell("a", .return)
                while try await outer.whichChildren()[0].state != .undefined {}
                #expect(journal.take() == ["a starts", "b starts", "b ends"] && journal.reports.isEmpty)
                await outer.stop()
            }
        }

        @Test("never, the default: significant children are refused, at the start and later")
        func refusesWhereNever() async throws {
            let significant = worker("a", restart: .transient, significant: true)
            func isRefusal(_ error: any Error) -> Bool {
                guard case SupervisorError.invalidSpecification("a", .significantWithoutAutoShutdown) = error else {
                    return false
                }
                return "\(error)".contains("auto-shutdown is never; use anySignificant or allSignificant")
            }
            try await withRuntime { runtime in
                for strategy in [Supervisor.Strategy.oneForOne, .dynamic] {
                    await #expect {
                        _ = try await Supervisor.start(in: runtime, strategy: strategy, children: [significant])
                    } throws: { isRefusal($0) }
                    let supervisor = try await Supervisor.start(in: runtime, strategy: strategy)
                    await #expect { try await supervisor.startChild(significant) } throws: { isRefusal($0) }
                    #expect(try await supervisor.countChildren() == ChildCounts())
                    await supervisor.stop()
                }
            }
        }

        @Test("A significant child cannot be permanent; a dynamic supervisor has no auto-shutdown")
        func refusesCombinations() async throws {
            let permanent = worker("a", restart: .permanent, significant: true)
            try await withRuntime { runtime in
                await #expect {
                    _ = try await Supervisor.start(in: runtime, autoShutdown: .allSignificant, children: [permanent])
                } throws: { "\($0)" == "child 'a' is significant and permanent; use transient or temporary" }
                let supervisor = try await Supervisor.start(in: runtime, autoShutdown: .anySignificant)
                await #expect { try await supervisor.startChild(permanent) } throws: { error in
                    guard case SupervisorError.invalidSpecification("a", .significantPermanent) = error else {
                        return false
                    }
                    return true
                }
                await supervisor.stop()
                await #expect {
                    _ = try await Supervisor.start(in: runtime, strategy: .dynamic, autoShutdown: .anySignificant)
                } throws: {
                    "\($0)" == "a supervisor with strategy dynamic cannot have auto-shutdown anySignificant; use never"
                }
            }
        }
    }
}
