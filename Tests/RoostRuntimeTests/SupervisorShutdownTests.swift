// SPDX-License-Identifier: Apache-2.0

import RuntimeHandlers
import Testing

@testable import RoostRuntime

// What OTP's manual says of each is in docs/otp-supervisor.md.
extension RuntimeTests {
    @Suite("Supervisors and children that misbehave", .timeLimit(.minutes(1)))
    struct SupervisorShutdownTests {
        /// A child that unlinks itself when it is asked to.
        private let naughty = ChildSpecification.starting("naughty") { supervisor in
            let parent = supervisor.pid
            return supervisor.spawnLink(receiving: ReplyAddress<Bool>.self) { process in
                let answer = try process.receive()
                process.unlink(parent)
                answer.send(true)
                _ = try process.receive()
            }.pid
        }

        private func unlinkChild(of supervisor: Supervisor, _ runtime: Runtime) async throws -> Pid {
            let pid = try #require(try await supervisor.whichChildren()[0].pid)
            _ = try await runtime.run { try $0.call(Address<ReplyAddress<Bool>>(pid: pid)) { $0 } }
            return pid
        }

        // MARK: Ending

        @Test("A child that has unlinked itself is ended like any other", arguments: [true, false])
        func endsUnlinkedChild(isDynamic: Bool) async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, strategy: isDynamic ? .dynamic : .oneForOne, children: [naughty],
                    onReport: journal.report)
                _ = try await unlinkChild(of: supervisor, runtime)
                await supervisor.stop()
                await runtime.waitForProcessCount(0)
                #expect(journal.reports.isEmpty)
            }
        }

        @Test("An unlinked child that has ended is found out when it is to be ended")
        func reportsUnlinkedEnd() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(in: runtime, children: [naughty], onReport: journal.report)
                let pid = try await unlinkChild(of: supervisor, runtime)
                runtime.exit(pid, .kill)
                _ = await runtime.exitReason(of: pid)
                await runtime.waitForProcessCount(1)
                #expect(try await supervisor.whichChildren()[0].pid == pid)
                #expect(try await supervisor.countChildren().active == 0, "counting looks whether it is alive")
                try await supervisor.terminateChild("naughty")
                #expect(journal.reports.map(\.event) == [.shutdownError] && journal.reports[0].reason.isNoProcess)
                await supervisor.stop()
            }
        }

        @Test("A child that failed on its own before it could be ended is reported with its own reason")
        func keepsOwnReason() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                // "a" fails while the supervisor waits for "b", which ends last to first, before "a" is looked at.
                let victim = Locked<Address<ChildEnding>?>(nil)
                let killer = ChildSpecification("b", shutdown: .infinity) { process in
                    process.trapExits()
                    guard case .exit? = try process.receiveAny(), let address = victim.withLock({ $0 }) else { return }
                    let reference = process.monitor(address.pid)
                    address.send(.fail)
                    _ = try process.receiveDown(of: reference)
                    throw ProcessExit(reason: .shutdown)
                }
                let supervisor = try await Supervisor.start(
                    in: runtime, children: [worker("a"), killer], onReport: journal.report)
                let address = try await supervisor.address(of: "a", receiving: ChildEnding.self)
                victim.withLock { $0 = address }
                await supervisor.stop()
                #expect(journal.reports.map(\.id) == ["a"] && journal.reports[0].event == .shutdownError)
                #expect(journal.reports[0].reason.refusal == Refused())
            }
        }

        @Test(
            "Told to end, a permanent child should end with shutdown, others may end normally",
            arguments: [ChildSpecification.Restart.permanent, .transient, .temporary])
        func judgesTheEnd(_ restart: ChildSpecification.Restart) async throws {
            let reasons: [ExitReason] = [.shutdown, .normal, .shutdownTerm(Refused()), .error(Refused())]
            for (number, reason) in reasons.enumerated() {
                for strategy in [Supervisor.Strategy.oneForOne, .dynamic] {
                    let journal = Journal()
                    try await withRuntime { runtime in
                        let child = ChildSpecification.initializing("a", receiving: Never.self, restart: restart) {
                            process, start in
                            process.trapExits()
                            start.ready()
                            guard case .exit? = try process.receiveAny() else { return }
                            throw ProcessExit(reason: reason)
                        }
                        let supervisor = try await Supervisor.start(
                            in: runtime, strategy: strategy, children: [child], onReport: journal.report)
                        await supervisor.stop()
                        let isFine = number == 0 || (restart != .permanent && number < 3)
                        #expect(journal.reports.count == (isFine ? 0 : 1), "\(restart) \(reason) \(strategy)")
                        #expect(journal.reports.allSatisfy { $0.event == .shutdownError })
                    }
                }
            }
        }

        @Test("An exit signal that a child sends is not its end")
        func knowsEndsFromSignals() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime,
                    children: [
                        .starting("a") { supervisor in
                            let parent = supervisor.pid
                            return supervisor.spawnLink(receiving: ReplyAddress<Bool>.self) { process in
                                while true {
                                    let answer = try process.receive()
                                    process.exit(parent, .error(Refused()))
                                    answer.send(true)
                                }
                            }.pid
                        }
                    ], onReport: journal.report)
                let pid = try #require(try await supervisor.whichChildren()[0].pid)
                _ = try await runtime.run { try $0.call(Address<ReplyAddress<Bool>>(pid: pid)) { $0 } }
                #expect(try await supervisor.whichChildren()[0].pid == pid && journal.reports.isEmpty)
                await supervisor.stop()
            }
        }

        @Test("Exit signals of processes that are no children, or no longer, change nothing")
        func ignoresLateExits() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, children: [worker("a")], onReport: journal.report)
                let before = try await supervisor.whichChildren()[0].pid
                _ = await runtime.outcome { process in
                    process.exit(supervisor.pid, .error(Refused()))
                    process.exit(supervisor.pid, .shutdown)
                }
                #expect(try await supervisor.whichChildren()[0].pid == before)
                try await supervisor.terminateChild("a")
                #expect(try await supervisor.whichChildren()[0].state == .undefined && journal.reports.isEmpty)
                await supervisor.stop()
            }
        }

        @Test("stop ends a supervisor that a process owns, and its owner hears the reason")
        func stopsOwnedSupervisor() async throws {
            try await withRuntime { runtime in
                let outcome = Locked<Bool?>(nil)
                let handle = Locked<Supervisor?>(nil)
                let owner = runtime.spawn { process in
                    process.trapExits()
                    let supervisor = try Supervisor.start(from: process, children: [worker("a")])
                    handle.withLock { $0 = supervisor }
                    guard case .exit(let signal)? = try process.receiveAny() else { return }
                    outcome.withLock { $0 = signal.from == supervisor.pid && signal.reason.isPlainNormal }
                }
                while handle.withLock({ $0 == nil }) { await Task.yield() }
                await handle.withLock { $0 }?.stop(.normal)
                _ = await runtime.exitReason(of: owner)
                await runtime.waitForProcessCount(0)
                #expect(outcome.withLock { $0 } == true)
            }
        }

        // MARK: Starting

        @Test("A child that ends, traps or throws before it is ready has not started", arguments: ChildEnding.allCases)
        func waitsUntilReady(_ ending: ChildEnding) async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(in: runtime, onReport: journal.report)
                let child = ChildSpecification.initializing("a", receiving: ChildEnding.self) { process, _ in
                    process.address.send(ending)
                    try obey(process)
                }
                await #expect { try await supervisor.startChild(child) } throws: { error in
                    guard case SupervisorError.startFailed("a", let reason) = error else { return false }
                    return switch ending {
                    case .return: reason.isPlainNormal
                    case .shutdown: reason.isShutdown
                    case .shutdownTerm: reason.isNormal
                    case .fail: reason.refusal == Refused()
                    case .trap: reason.trap != nil
                    case .kill: reason.isKilled
                    }
                }
                #expect(journal.reports.map(\.event) == [.startError])
                #expect(try await supervisor.countChildren() == ChildCounts())
                await supervisor.stop()
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("A child that is not ready in time is killed, and has not started")
        func boundsTheStart() async throws {
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(in: runtime)
                let child = ChildSpecification.initializing(
                    "slow", receiving: Never.self, startTimeout: .milliseconds(1)
                ) { process, _ in
                    process.trapExits()
                    while true { _ = try process.receiveAny() }
                }
                await #expect { try await supervisor.startChild(child) } throws: { error in
                    "\(error)" == "child 'slow' did not start: threw was not ready within 0.001 seconds"
                }
                await runtime.waitForProcessCount(1)
                await supervisor.stop()
            }
        }

        @Test("A supervisor whose child never becomes ready still obeys its own supervisor")
        func obeysWhileItStarts() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let stuck = ChildSpecification.initializing("stuck", receiving: Never.self) { process, _ in
                    journal.note("stuck waits")
                    _ = try process.receiveAny()
                }
                let inner = ChildSpecification.supervisor("inner", children: [probe("a", journal), stuck])
                let owner = runtime.spawn { process in _ = try Supervisor.start(from: process, children: [inner]) }
                await journal.wait(for: ["stuck waits"])
                runtime.exit(owner, .shutdown)
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("A start that loops holds up its supervisor, but nobody else, and ends with the supervisor above")
        func survivesLoopingStart() async throws {
            let journal = Journal()
            try await withRuntime(schedulers: 1) { runtime in
                let looping = ChildSpecification.starting("looping") { _ in
                    journal.note("looping starts")
                    LoopShape.whileTrue.spin()
                    return nil
                }
                let inner = ChildSpecification.supervisor("inner", children: [worker("a"), looping])
                let owner = runtime.spawn { process in
                    _ = try Supervisor.start(from: process, children: [worker("b"), inner])
                }
                await journal.wait(for: ["looping starts"])
                // On the same scheduler, others have their turns.
                #expect(await runtime.outcome { try $0.yield() }.isPlainNormal)
                runtime.exit(owner, .shutdown)
                await runtime.waitForProcessCount(0)
                #expect(runtime.abandonedCount == 1)
            }
        }

        @Test(
            "A start that returns a process that it did not link has it linked; one that is a child already is refused")
        func linksWhatIsStarted() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let started = Locked<[Pid]>([])
                let unlinked = ChildSpecification.starting("a") { supervisor in
                    let pid = supervisor.spawn(receiving: ChildEnding.self) { try obey($0) }.pid
                    started.withLock { $0.append(pid) }
                    return pid
                }
                let supervisor = try await Supervisor.start(in: runtime, children: [unlinked], onReport: journal.report)
                let first = started.withLock { $0[0] }
                await #expect { try await supervisor.startChild(.starting("b") { _ in first }) } throws: { error in
                    "\(error)".contains("child 'a' runs already")
                }
                runtime.exit(first, .kill)
                while started.withLock({ $0.count }) < 2 { await Task.yield() }
                let left = try await supervisor.whichChildren()
                #expect(left.map(\.id) == ["a"] && left[0].pid == started.withLock { $0[1] })
                await supervisor.stop()
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("A start failure deep in a tree is the reason at each level, and all that started is ended")
        func nestsStartFailures() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let failures = Failures()
                failures.expect("b")
                let inner = ChildSpecification.supervisor(
                    "inner", children: [probe("a", journal), probe("b", journal, failing: failures)])
                await #expect {
                    _ = try await Supervisor.start(in: runtime, children: [probe("first", journal), inner])
                } throws: { error in
                    guard case SupervisorError.startFailed("inner", .shutdownTerm(let cause)) = error,
                        case SupervisorError.startFailed("b", let reason) = cause
                    else { return false }
                    return reason.refusal == Refused()
                }
                #expect(journal.take() == ["first starts", "a starts", "b fails", "a ends", "first ends"])
                await runtime.waitForProcessCount(0)
            }
        }

        // MARK: Specifications

        @Test("check_childspecs: ids are unique, and each specification can be")
        func checksSpecifications() async throws {
            typealias Check = (specifications: [ChildSpecification], Supervisor.AutoShutdown?, message: String?)
            let negative = ChildSpecification("n", shutdown: .timeout(.seconds(-1))) { _ in }
            let significant = worker("s", restart: .transient, significant: true)
            let checks: [Check] = [
                ([worker("a"), worker("b")], .never, nil), ([], nil, nil),
                ([worker("a"), worker("b"), worker("a")], nil, "two children have the id 'a'; give each its own"),
                ([negative], nil, "child 'n' has a shutdown timeout of -1.0 seconds; use zero or more"),
                ([significant], nil, nil), ([significant], .anySignificant, nil), ([significant], .allSignificant, nil),
                (
                    [significant], .never,
                    "child 's' is significant, but the supervisor's auto-shutdown is never; "
                        + "use anySignificant or allSignificant"
                ),
                (
                    [worker("p", significant: true)], nil,
                    "child 'p' is significant and permanent; use transient or temporary"
                ),
            ]
            for check in checks {
                var message: String?
                do throws(SupervisorError) {
                    try Supervisor.checkChildSpecifications(check.specifications, autoShutdown: check.1)
                } catch { message = "\(error)" }
                #expect(message == check.message)
            }
            try await withRuntime { runtime in
                let journal = Journal()
                await #expect {
                    _ = try await Supervisor.start(in: runtime, children: [probe("a", journal), probe("a", journal)])
                } throws: { error in
                    guard case SupervisorError.duplicateID("a") = error else { return false }
                    return true
                }
                #expect(journal.take() == [], "nothing is started")
            }
        }

        @Test("get_childspec tells all of a specification; the code of a temporary child is not kept")
        func getsSpecifications() async throws {
            try await withRuntime { runtime in
                let captured = Counter()
                let supervisor = try await Supervisor.start(
                    in: runtime, autoShutdown: .allSignificant,
                    children: [worker("a", restart: .transient, significant: true)])
                let found = try await supervisor.getChildSpecification("a")
                #expect(found.restart == .transient && found.isSignificant && found.kind == .worker)
                #expect(found.shutdown == .timeout(.seconds(5)) && found.isStartable)
                await #expect(throws: SupervisorError.self) { try await supervisor.getChildSpecification("b") }
                func startTemporary() async throws -> Pid? {
                    let payload = Payload(1, captured)
                    return try await supervisor.startChild(
                        .starting("t", restart: .temporary) { supervisor in
                            payload.number == 1 ? supervisor.spawnLink { _ = try $0.receiveAny() } : nil
                        })
                }
                let pid = try #require(try await startTemporary())
                await captured.wait(for: 1)
                let kept = try await supervisor.getChildSpecification(pid)
                #expect(kept.id == "t" && !kept.isStartable)
                await #expect { try await supervisor.startChild(kept) } throws: { error in
                    guard case SupervisorError.invalidSpecification("t", .noStart) = error else { return false }
                    return true
                }
                await supervisor.stop()
            }
        }

        @Test("A shutdown defaults to 5 s for workers and to infinity for supervisors")
        func hasDefaults() {
            #expect(worker("a").shutdown == .timeout(.seconds(5)) && worker("a").kind == .worker)
            #expect(worker("a").restart == .permanent && !worker("a").isSignificant)
            #expect(ChildSpecification.supervisor("s").shutdown == .infinity)
            #expect(ChildSpecification.starting("s", kind: .supervisor) { _ in nil }.shutdown == .infinity)
            #expect(ChildSpecification.starting("w") { _ in nil }.shutdown == .timeout(.seconds(5)))
            #expect(RestartIntensity.standard == RestartIntensity(1, in: .seconds(5)))
        }
    }
}
