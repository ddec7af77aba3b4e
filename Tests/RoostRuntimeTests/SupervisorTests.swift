// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostRuntime

// What OTP's manual says of each is in docs/otp-supervisor.md.
extension RuntimeTests {
    @Suite("Supervisors", .timeLimit(.minutes(1)))
    struct SupervisorTests {
        // MARK: Start and end

        @Test("Children start from left to right")
        func startsInOrder() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let ids = ["a", "b", "c", "d"]
                let supervisor = try await Supervisor.start(in: runtime, children: ids.map { child($0, journal) })
                #expect(journal.entries("starts") == ids)
                #expect(try await supervisor.whichChildren().map(\.id) == ids)
                await supervisor.stop()
            }
        }

        @Test("Children end from right to left, one after the other, and the supervisor last")
        func stopsInReverseOrder() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let ids = ["a", "b", "c", "d"]
                let supervisor = try await Supervisor.start(in: runtime, children: ids.map { child($0, journal) })
                await journal.wait(for: ids.map { "\($0) ready" })
                await supervisor.stop()
                #expect(journal.entries("ends") == ids.reversed())
                await runtime.waitForProcessCount(0)
            }
        }

        @Test(
            "A start that throws ends the children already started, right to left, and is the error of the start"
        )
        func failsToStart() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let children = [
                    child("a", journal, isReadyFirst: true), child("b", journal, isReadyFirst: true),
                    .starting("c") { _ in throw Refused(number: 3) }, child("d", journal),
                ]
                let (failure, isAlone) = try await runtime.value { process in
                    var failure: (id: String, reason: ExitReason)?
                    do {
                        _ = try Supervisor.start(from: process, children: children, onReport: journal.report)
                    } catch SupervisorError.startFailed(let id, let reason) {
                        failure = (id, reason)
                    }
                    return (failure, try process.receiveAny(timeout: .zero) == nil)
                }
                #expect(failure?.id == "c")
                #expect(failure?.reason.refusal == Refused(number: 3))
                #expect(isAlone, "the caller goes on, and nothing reaches its mailbox")
                #expect(journal.entries("starts") == ["a", "b"])
                #expect(journal.entries("ends") == ["b", "a"])
                #expect(journal.reports.map(\.event) == [.startError])
                await runtime.waitForProcessCount(0)
            }
        }

        @Test(
            "A supervisor ends with the process that started it, and its children end with it",
            arguments: [true, false])
        func endsWithItsOwner(isKilled: Bool) async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let owner = runtime.spawn { process in
                    _ = try Supervisor.start(from: process, children: [child("a", journal), child("b", journal)])
                    journal.note("owner ready")
                    _ = try process.receiveAny()
                }
                await journal.wait(for: ["owner ready", "a ready", "b ready"])
                runtime.exit(owner, isKilled ? .kill : .error(Refused()))
                await runtime.waitForProcessCount(0)
                #expect(journal.entries("ends") == ["b", "a"])
            }
        }

        @Test("A killed supervisor takes its children with it")
        func takesChildrenAlong() async throws {
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(in: runtime, children: [worker("a"), worker("b")])
                runtime.exit(supervisor.pid, .kill)
                await runtime.waitForProcessCount(0)
                await #expect(throws: SupervisorError.self) { try await supervisor.whichChildren() }
            }
        }

        // MARK: Restarts

        @Test(
            "Permanent children are always restarted, transient ones after a failure, temporary ones never",
            arguments: [ChildSpecification.Restart.permanent, .transient, .temporary], ChildEnding.allCases)
        func restartTypes(_ restart: ChildSpecification.Restart, _ ending: ChildEnding) async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, children: [worker("a", restart: restart), worker("b")], onReport: journal.report)
                let first = try #require(try await supervisor.whichChildren().first?.pid)
                let isFailure = ![.return, .shutdown, .shutdownTerm].contains(ending)
                let expected =
                    switch restart {
                    case .permanent: true
                    case .transient: isFailure
                    case .temporary: false
                    }
                try await supervisor.endChild("a", ending, runtime)
                let children = try await supervisor.whichChildren()
                #expect(children.contains { $0.id == "b" && $0.pid != nil })
                let child = children.first { $0.id == "a" }
                #expect((child?.pid != nil) == expected && child?.pid != first)
                #expect((child == nil) == (restart == .temporary), "a temporary child is forgotten")
                #expect(journal.reports.count == (expected || isFailure ? 1 : 0))
                #expect(
                    journal.reports.allSatisfy { $0.id == "a" && $0.child == first && $0.event == .childTerminated })
                await supervisor.stop()
            }
        }

        @Test("one_for_one: only the child that failed is restarted, in its place")
        func restartsOneForOne() async throws {
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(in: runtime, children: ["a", "b", "c"].map { worker($0) })
                let before = try await supervisor.whichChildren().map(\.pid)
                try await supervisor.endChild("b", .trap, runtime)
                let after = try await supervisor.whichChildren()
                #expect(after.map(\.id) == ["a", "b", "c"])
                #expect(after.map(\.pid).map(before.contains) == [true, false, true])
                await supervisor.stop()
            }
        }

        @Test(
            "Restarts past the intensity: the children end, right to left, then the supervisor, with reason shutdown"
        )
        func givesUp() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, intensity: RestartIntensity(2, in: .seconds(3_600)),
                    children: [child("a", journal), worker("b"), child("c", journal)], onReport: journal.report)
                await journal.wait(for: ["a ready", "c ready"])
                for _ in 0..<2 { try await supervisor.endChild("b", .fail, runtime) }
                let end = Task { await runtime.exitReason(of: supervisor.pid) }
                try await supervisor.tell("b", .fail)
                let reason = await end.value
                #expect(reason.isShutdown || reason.isNoProcess)
                await runtime.waitForProcessCount(0)
                #expect(
                    journal.reports.map(\.event) == [.childTerminated, .childTerminated, .childTerminated, .shutdown])
                #expect(journal.entries("ends") == ["c", "a"])
            }
        }

        @Test("The period slides: a restart counts until it is older than the period")
        func countsRestarts() {
            let start = MonotonicTime(nanoseconds: 1_000_000_000_000)
            func allows(_ intensity: RestartIntensity, _ seconds: [Double]) -> [Bool] {
                var window = RestartWindow(intensity)
                return seconds.map { window.allowsRestart(at: start + .seconds($0)) }
            }
            let three = RestartIntensity(3, in: .seconds(10))
            #expect(allows(.standard, [0, 4.9]) == [true, false])
            #expect(allows(.standard, [0, 5]) == [true, false])
            #expect(allows(.standard, [0, 5.1, 10.2, 15.2]) == [true, true, true, false])
            #expect(allows(three, [0, 1, 2, 3]) == [true, true, true, false])
            #expect(allows(three, [0, 4, 8, 10.1, 14.1, 14.2]) == [true, true, true, true, true, false])
            #expect(allows(RestartIntensity(0, in: .seconds(1)), [0]) == [false])
        }

        @Test("A restart that fails is tried again; each attempt counts", arguments: [3, 4])
        func triesAgain(failures: Int) async throws {
            let journal = Journal()
            let attempts = Counter()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, intensity: RestartIntensity(4, in: .seconds(3_600)),
                    children: [
                        .starting("a") { supervisor in
                            attempts.add()
                            if (2...failures + 1).contains(attempts.value) { throw Refused() }
                            return supervisor.spawnLink(receiving: ChildEnding.self) { try obey($0) }.pid
                        }
                    ], onReport: journal.report)
                let pid = try #require(try await supervisor.whichChildren().first?.pid)
                runtime.exit(pid, .kill)
                let last: [SupervisorReport.Event] = failures == 3 ? [] : [.shutdown]
                await journal.wait(forReports: failures + 1 + last.count)
                #expect(
                    journal.reports.map(\.event) == [.childTerminated] + Array(repeating: .startError, count: failures)
                        + last)
                if failures == 3 {
                    await attempts.wait(for: 5)
                    #expect(try await supervisor.whichChildren().first?.pid != nil)
                    await supervisor.stop()
                }
                // Past the intensity it has given up.
                await runtime.waitForProcessCount(0)
                #expect(attempts.value == 5)
            }
        }

        @Test("A supervisor that gives up is restarted by its own, with fresh children")
        func escalates() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let inner = ChildSpecification.supervisor(
                    "inner", intensity: RestartIntensity(0, in: .seconds(1)),
                    children: [worker("a"), child("b", journal)])
                let outer = try await Supervisor.start(
                    in: runtime, children: [inner, worker("c")], onReport: journal.report)
                await journal.wait(for: ["b ready"])
                let before = try await outer.whichChildren()
                let address = try #require(try await outer.address(of: "inner", receiving: Supervisor.Request.self))
                try await runtime.run { process in
                    let find: Result<Pid?, SupervisorError> = try process.call(address) {
                        .init(content: .find(id: "a", ObjectIdentifier(ChildEnding.self), $0))
                    }
                    try process.exit(#require(try find.get()), .kill)
                }
                await journal.wait(forReports: 1)
                let after = try await outer.whichChildren()
                #expect(after[0].kind == .supervisor && after[0].pid != before[0].pid && after[1].pid == before[1].pid)
                #expect(journal.entries("starts") == ["b", "b"])
                #expect(journal.reports.map(\.id) == ["inner"] && journal.reports[0].reason.isShutdown)
                await outer.stop()
                await runtime.waitForProcessCount(0)
            }
        }

        // MARK: Shutdown

        @Test("brutal_kill: the child is killed without being asked, and nothing is reported")
        func killsBrutally() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, children: [child("a", journal, shutdown: .brutalKill)], onReport: journal.report)
                await journal.wait(for: ["a ready"])
                try await supervisor.terminateChild("a")
                #expect(journal.entries("ends") == [] && journal.reports.isEmpty)
                await supervisor.stop()
            }
        }

        @Test("A child that does not end within its timeout is killed, and reported", arguments: [false, true])
        func killsAfterTimeout(isDynamic: Bool) async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, strategy: isDynamic ? .dynamic : .oneForOne, onReport: journal.report)
                try await supervisor.startChild(
                    ChildSpecification("deaf", shutdown: .timeout(.milliseconds(5))) { process in
                        process.trapExits()
                        journal.note("deaf ready")
                        while case .exit? = try process.receiveAny() { journal.note("deaf refuses") }
                    })
                await journal.wait(for: ["deaf ready"])
                await supervisor.stop()
                #expect(journal.entries("refuses") == ["deaf"])
                #expect(journal.reports.count == 1)
                #expect(journal.reports[0].event == .shutdownError && journal.reports[0].reason.isKilled)
            }
        }

        @Test("infinity: the supervisor waits until the child has ended by itself")
        func waitsWithoutEnd() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let slow = ChildSpecification("slow", receiving: ChildEnding.self, shutdown: .infinity) { process in
                    process.trapExits()
                    journal.note("slow ready")
                    guard case .exit? = try process.receiveAny() else { return }
                    journal.note("slow asked")
                    _ = try process.receive()
                    journal.note("slow ends")
                    throw ProcessExit(reason: .shutdown)
                }
                let supervisor = try await Supervisor.start(in: runtime, children: [slow], onReport: journal.report)
                let address = try #require(try await supervisor.address(of: "slow", receiving: ChildEnding.self))
                await journal.wait(for: ["slow ready"])
                async let end: Void = supervisor.stop()
                await journal.wait(for: ["slow asked"])
                address.send(.return)
                await end
                #expect(journal.entries("ends") == ["slow"] && journal.reports.isEmpty)
            }
        }

        // MARK: Operations

        @Test("An id is there once: a running child is already started, an ended one already present")
        func namesChildrenOnce() async throws {
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(in: runtime, children: [worker("a")])
                let pid = try await supervisor.whichChildren().first?.pid
                await #expect {
                    try await supervisor.startChild(worker("a"))
                } throws: { error in
                    guard case SupervisorError.alreadyStarted("a", let found) = error else { return false }
                    return found == pid
                }
                try await supervisor.terminateChild("a")
                await #expect {
                    try await supervisor.startChild(worker("a"))
                } throws: { error in
                    guard case SupervisorError.alreadyPresent("a") = error else { return false }
                    return true
                }
                await supervisor.stop()
            }
        }

        @Test("A child that does not start is an error and is forgotten")
        func discardsWhatDoesNotStart() async throws {
            try await withRuntime { runtime in
                for strategy in [Supervisor.Strategy.oneForOne, .dynamic] {
                    let supervisor = try await Supervisor.start(in: runtime, strategy: strategy)
                    await #expect {
                        try await supervisor.startChild(.starting("a") { _ in throw Refused() })
                    } throws: { error in
                        guard case SupervisorError.startFailed("a", let reason) = error else { return false }
                        return reason.refusal == Refused()
                    }
                    #expect(try await supervisor.countChildren() == ChildCounts())
                    await supervisor.stop()
                }
            }
        }

        @Test("A child with nothing to start is kept, but for temporary and dynamic ones")
        func keepsIgnoredChild() async throws {
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, children: [.starting("a") { _ in nil }])
                let temporary = ChildSpecification.starting("b", restart: .temporary) { _ in nil }
                #expect(try await supervisor.startChild(temporary) == nil)
                #expect(try await supervisor.whichChildren().map(\.id) == ["a"])
                #expect(try await supervisor.whichChildren().map(\.state) == [.undefined])
                await supervisor.stop()
                let dynamic = try await Supervisor.start(in: runtime, strategy: .dynamic)
                #expect(try await dynamic.startChild(.starting("a") { _ in nil }) == nil)
                #expect(try await dynamic.countChildren() == ChildCounts())
                await dynamic.stop()
            }
        }

        @Test("A terminated child is not restarted; it stays known, unless it is temporary, and can be started again")
        func terminatesAndRestarts() async throws {
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, children: [worker("a"), worker("b", restart: .temporary)])
                let before = try await supervisor.whichChildren()[0].pid
                await #expect(throws: SupervisorError.self) { try await supervisor.restartChild("a") }
                try await supervisor.terminateChild("a")
                try await supervisor.terminateChild("b")
                #expect(try await supervisor.whichChildren().map(\.id) == ["a"])
                #expect(try await supervisor.whichChildren().map(\.state) == [.undefined])
                #expect(try await supervisor.address(of: "a", receiving: ChildEnding.self) == nil)
                let after = try await supervisor.restartChild("a")
                #expect(after != nil && after != before)
                await #expect(throws: SupervisorError.self) { try await supervisor.restartChild("b") }
                await #expect(throws: SupervisorError.self) { try await supervisor.terminateChild("b") }
                await supervisor.stop()
            }
        }

        @Test("Only a child that does not run can be deleted")
        func deletes() async throws {
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(in: runtime, children: [worker("a")])
                await #expect(throws: SupervisorError.self) { try await supervisor.deleteChild("a") }
                try await supervisor.terminateChild("a")
                try await supervisor.deleteChild("a")
                await #expect(throws: SupervisorError.self) { try await supervisor.deleteChild("a") }
                #expect(try await supervisor.whichChildren().isEmpty)
                try await supervisor.startChild(worker("a"))
                await supervisor.stop()
            }
        }

        @Test("children and counts tell of running, ended and supervising children")
        func lists() async throws {
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime,
                    children: [
                        worker("a"), .supervisor("s", children: [worker("x")]), worker("b", restart: .transient),
                    ])
                try await supervisor.endChild("b", .return, runtime)
                try await supervisor.startChild(worker("c"))
                let children = try await supervisor.whichChildren()
                #expect(children.map(\.id) == ["a", "s", "b", "c"])
                #expect(children.map(\.kind) == [.worker, .supervisor, .worker, .worker])
                #expect(children.map { $0.pid != nil } == [true, true, false, true])
                #expect(
                    try await supervisor.countChildren()
                        == ChildCounts(specifications: 4, active: 3, supervisors: 1, workers: 3)
                )
                #expect(try await supervisor.address(of: "a", receiving: Int.self) == nil, "a child of another type")
                await supervisor.stop()
            }
        }

        // MARK: Dynamic

        @Test("A dynamic supervisor's children come and go at run time, and are known by their pids")
        func addsAndRemoves() async throws {
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(in: runtime, strategy: .dynamic)
                let sums = try await runtime.run { process in
                    let adders = try (0..<3).map { number in
                        try supervisor.startChild(receiving: ReplyAddress<Int>.self, from: process) { child in
                            while true { try child.receive().send(number) }
                        }
                    }
                    let sums: [Int] = try adders.map { adder in try process.call(adder) { $0 } }
                    try supervisor.terminateChild(adders[1].pid, from: process)
                    let left = try supervisor.whichChildren(from: process).map(\.pid)
                    #expect(Set(left) == [adders[0].pid, adders[2].pid])
                    // It has ended, as was asked for; only of a process that runs it is known not to be a child.
                    try supervisor.terminateChild(adders[1].pid, from: process)
                    #expect(throws: SupervisorError.self) {
                        try supervisor.terminateChild(process.pid, from: process)
                    }
                    return sums
                }
                #expect(sums == [0, 1, 2])
                #expect(
                    try await supervisor.countChildren()
                        == ChildCounts(specifications: 2, active: 2, supervisors: 0, workers: 2)
                )
                await supervisor.stop()
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("A dynamic supervisor has no operations that name children")
        func refusesNames() async throws {
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(in: runtime, strategy: .dynamic, children: [worker("a")])
                func refuses(_ body: () async throws -> Void) async {
                    do {
                        try await body()
                        Issue.record("an operation that names a child succeeded")
                    } catch SupervisorError.unsupported {
                    } catch { Issue.record(error) }
                }
                await refuses { try await supervisor.terminateChild("a") }
                await refuses { try await supervisor.deleteChild("a") }
                await refuses { _ = try await supervisor.restartChild("a") }
                #expect(try await supervisor.startChild(worker("a")) != nil, "ids need not be unique")
                await supervisor.stop()
            }
        }

        @Test("A dynamic supervisor restarts by restart type, and forgets a child that stays ended")
        func restartsDynamically() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(in: runtime, strategy: .dynamic, onReport: journal.report)
                let pid = try #require(try await supervisor.startChild(worker("a", restart: .transient)))
                runtime.exit(pid, .kill)
                await journal.wait(forReports: 1)
                let again = try #require(try await supervisor.whichChildren().first?.pid)
                #expect(again != pid)
                runtime.exit(again, .shutdown)
                _ = await runtime.exitReason(of: again)
                while try await supervisor.countChildren().specifications > 0 {}
                await supervisor.stop()
            }
        }

        @Test("A dynamic supervisor tells all its children to end before it waits for any")
        func endsDynamicChildrenAtOnce() async throws {
            let journal = Journal()
            let asked = Counter()
            try await withRuntime { runtime in
                // Each ends only when all have been asked to.
                let children = (0..<100).map { number in
                    ChildSpecification("\(number)", shutdown: .infinity) { process in
                        process.trapExits()
                        journal.note("\(number) ready")
                        guard case .exit? = try process.receiveAny() else { return }
                        asked.add()
                        while asked.value < 100 { try process.yield() }
                        throw ProcessExit(reason: .shutdown)
                    }
                }
                let supervisor = try await Supervisor.start(
                    in: runtime, strategy: .dynamic, children: children, onReport: journal.report)
                await journal.wait(for: (0..<100).map { "\($0) ready" })
                await supervisor.stop()
                await runtime.waitForProcessCount(0)
                #expect(asked.value == 100 && journal.reports.isEmpty)
            }
        }

        @Test(
            "10,000 dynamic children start, are counted and end, also with a killed supervisor",
            arguments: [false, true])
        func carriesMany(isKilled: Bool) async throws {
            let count = Build.rounds(10_000)  // ThreadSanitizer knows 8,000 stacks
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(in: runtime, strategy: .dynamic)
                let counts = try await runtime.run { process in
                    for _ in 0..<count { try supervisor.startChild(worker("w", restart: .temporary), from: process) }
                    return try supervisor.countChildren(from: process)
                }
                #expect(counts == ChildCounts(specifications: count, active: count, supervisors: 0, workers: count))
                if isKilled { runtime.exit(supervisor.pid, .kill) } else { await supervisor.stop() }
                await runtime.waitForProcessCount(0)
            }
        }
    }
}
